"""What `reparam train` does: data, model, loop, pictures, report."""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reparam.data import NAMES, Dataset, load, split
from reparam.data.files import write_json
from reparam.models import VAE, GaussianLikelihood, ModelSpec, build_vae
from reparam.noise import Noise
from reparam.objectives import Terms
from reparam.train.config import ConfigError, TrainConfig, from_record, resolve
from reparam.train.fit import DatasetExamples, adam
from reparam.train.folder import RunError, RunFolder, check_free, claim, create, environment, open_run
from reparam.train.loop import Loop, Progress
from reparam.train.progress import Reporter

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}
CONV_SIDE = 16  # pixels a side from which the automatic choice of net is convolutional
EXTENDABLE = ("epochs", "warmup")
LAST = "report.html"  # the last file of a finished run: without it, resuming writes pictures and report again


@dataclass(frozen=True)
class Prepared:
    """Everything a run needs, made from its configuration and nothing else."""

    config: TrainConfig
    dataset: Dataset
    spec: ModelSpec
    notes: tuple[str, ...]

    def parts(self) -> tuple[DatasetExamples, DatasetExamples, DatasetExamples]:
        """Return training, validation and test data."""
        dtype = DTYPES[self.config.precision]
        train, validation, test = (
            DatasetExamples(self.dataset, index, dtype, self.config.device)
            for index in split(len(self.dataset), self.config.seed)
        )
        return train, validation, test

    def model(self) -> VAE:
        """Return the model with its initial weights."""
        noise = Noise(self.config.seed)
        model = build_vae(self.spec, noise.child("init"), DTYPES[self.config.precision])
        if isinstance(model.likelihood, GaussianLikelihood) and not self.spec.pictures:
            x = self.parts()[0].batch(torch.arange(len(self.parts()[0]))).double().cpu()
            unit = x.std(0, correction=0)
            model.likelihood.standardize(x.mean(0), torch.where(unit > 0, unit, 1.0))
        return model.to(self.config.device)


def prepare(config: TrainConfig) -> Prepared:
    """Load the data and decide what "auto" leaves open; each decision is a note for people.

    Raises:
        ConfigError, DataError: settings or data that do not go together.
    """
    if not config.data:
        raise ConfigError("train: --data must name the data; got nothing; write --data digits, or a path")
    check_device(config.device)
    dataset = load(config.data, size=config.size or None)
    config = replace(config, data=standing(config.data))
    likelihood, notes = choose_likelihood(config, dataset)
    net = config.net
    if net == "auto":
        net = "conv" if len(dataset.shape) == 3 and min(dataset.shape[1:]) >= CONV_SIDE else "mlp"
    if net == "conv" and len(dataset.shape) != 3:
        raise ConfigError(
            f"train: net 'conv' needs pictures; got examples of shape {dataset.shape}; write --net mlp"
        )
    hidden = config.hidden or ((32, 64, 128) if net == "conv" else (400,))
    pictures = dataset.kind == "pictures"
    spec = ModelSpec(
        dataset.shape,
        config.latent,
        net,
        hidden,
        likelihood,
        likelihood == "bernoulli" and pictures,
        pictures,
    )
    return Prepared(config, dataset, spec, (*dataset.note, *notes))


def standing(data: str) -> str:
    """Return the name of data, or their path from the root: a run is resumed from any folder."""
    if data in NAMES:
        return data
    front = data.rpartition(":")[0]
    exists = Path(data).expanduser().exists() or (front and Path(front).expanduser().exists())
    return os.path.abspath(Path(data).expanduser()) if exists else data


def choose_likelihood(config: TrainConfig, dataset: Dataset) -> tuple[str, list[str]]:
    """Return the likelihood, and notes that say what it means for these data."""
    chosen = config.likelihood
    if chosen == "auto":
        chosen = "bernoulli" if dataset.kind == "binary" else "gaussian"
    if chosen == "bernoulli" and dataset.kind not in ("binary", "pictures"):
        raise ConfigError(
            f"train: a Bernoulli likelihood needs binary data or grey pictures; got {dataset.kind} data; "
            "write --likelihood gaussian"
        )
    if chosen == "bernoulli" and dataset.kind == "pictures":
        return chosen, [
            "likelihood: Bernoulli of the pictures binarised afresh at each step, b = 1[u < grey level]"
        ]
    if chosen == "bernoulli":
        return chosen, ["likelihood: Bernoulli"]
    text = "likelihood: Gaussian with a learned scale"
    if dataset.kind == "pictures":
        text += " on grey levels scaled to [0, 1]: a density, not a probability of the levels"
    return chosen, [text]


def check_device(name: str) -> None:
    """Raise unless torch can use a device."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ConfigError(f"train: device must be one that torch can use; got {name!r} ({reason})") from None


def vae_loss(config: TrainConfig) -> Any:
    """Return the loss of a run: the terms of the ELBO with the scheduled KL weight."""

    def loss(module: nn.Module, x: Tensor, noise: Noise, progress: float) -> Terms:
        assert isinstance(module, VAE)
        beta = kl_weight(config, progress)
        with torch.autocast(torch.device(config.device).type, torch.bfloat16, config.precision == "bfloat16"):
            return module.elbo(x, noise=noise, beta=beta, free_bits=config.free_bits)

    return loss


def kl_weight(config: TrainConfig, progress: float) -> float:
    """Return beta min(1, progress / warmup): a fraction of the run, which ends at beta."""
    return config.beta if progress >= config.warmup else config.beta * progress / config.warmup


def make_loop(ready: Prepared, folder: Path | None, quiet: bool) -> Loop:
    """Return the loop of a run, at its start."""
    config = ready.config
    train, validation, _ = ready.parts()
    model = ready.model()
    loop = Loop(
        model,
        adam(model, config.lr),
        train,
        validation,
        vae_loss(config),
        Noise(config.seed),
        config.epochs,
        config.batch_size,
        config.grad_clip,
        folder,
    )
    loop.reporter = Reporter(loop.total, loop.per_epoch, quiet=quiet)
    loop.save_seconds = config.checkpoint_seconds
    return loop


def train(config: TrainConfig, out: str, *, overwrite: bool = False, quiet: bool = False) -> RunFolder:
    """Train a model into a new run folder."""
    check_free(Path(out).expanduser(), overwrite=overwrite)
    ready = prepare(config)
    with thread_count(config.threads):
        loop = make_loop(ready, None, quiet)
        run = create(out, record(ready), overwrite=overwrite)
        loop.folder = run.path
        say(ready.notes, quiet)
        with claim(run.path):
            finish(run, ready, loop, loop.run(), quiet)
    return run


@contextlib.contextmanager
def thread_count(threads: int) -> Iterator[None]:
    """Run a block under a number of torch's threads; 0 leaves it."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resume(path: str, changes: Mapping[str, Any], *, quiet: bool = False) -> RunFolder:
    """Continue a run where its last checkpoint left it; with more epochs, extend it.

    Raises:
        RunError: the data changed, or settings that a run cannot change.
    """
    run = open_run(path)
    before = from_record(run.record["config"], str(run.file("config.json")))
    config = extended(before, changes)
    ready = prepare(config)
    if ready.dataset.fingerprint != run.data["fingerprint"]:
        raise RunError(f"resume: the data of {path} must be as they were; {config.data} changed; train anew")
    with thread_count(config.threads), claim(run.path):
        warn_environment(run)
        loop = make_loop(ready, run.path, quiet)
        loop.resume()
        done = loop.progress.step >= loop.total and loop.progress.finished
        if done and run.file(LAST).exists():
            say([f"{path} is finished: nothing to do (more epochs: --epochs {config.epochs * 2})"], quiet)
            return run
        if config != before:
            run = replace(run, record={**run.record, "config": config.as_dict()})
            write_json(run.file("config.json"), run.record, who="resume")
            run.file(LAST).unlink(missing_ok=True)
        loop.progress.finished = False
        finish(run, ready, loop, loop.run(), quiet)
    return run


def extended(before: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """Return a run's configuration with the changes that resuming allows."""
    changed = {name: value for name, value in changes.items() if value != getattr(before, name)}
    for name, value in changed.items():
        if name not in EXTENDABLE:
            raise RunError(
                f"resume: {name.replace('_', '-')} must stay {getattr(before, name)!r}; got {value!r}; "
                "only --epochs (and --warmup with it) can change; train anew for the rest"
            )
    epochs = changed.get("epochs", before.epochs)
    if epochs < before.epochs:
        raise RunError(
            f"resume: epochs must be {before.epochs} or more; got {epochs}; a run cannot be shortened"
        )
    if epochs > before.epochs and before.warmup > 0 and "warmup" not in changes:
        raise RunError(
            f"resume: warmup {before.warmup:g} is a fraction of {before.epochs} epochs; got {epochs}; "
            "say what it shall be with --warmup"
        )
    if "warmup" in changed and epochs == before.epochs:
        raise RunError("resume: warmup can change only with --epochs; got no more epochs; leave it out")
    return resolve(before.as_dict() | {"hidden": before.hidden}, changed)


def warn_environment(run: RunFolder) -> None:
    """Say on stderr what differs from the machine that began a run: the bits are promised for one only."""
    was, now = run.record.get("environment", {}), environment()
    differing = [name for name in now if was.get(name) != now[name]]
    if differing:
        print(
            f"warning: resuming under another {', '.join(differing)}: the result may differ in its last bits",
            file=sys.stderr,
        )


def record(ready: Prepared) -> dict[str, Any]:
    """Return what config.json says of a run."""
    spec = ready.spec
    return {
        "config": ready.config.as_dict(),
        "model": {**vars(spec), "event": list(spec.event), "hidden": list(spec.hidden)},
        "data": {
            "name": ready.dataset.name,
            "kind": ready.dataset.kind,
            "examples": len(ready.dataset),
            "shape": list(ready.dataset.shape),
            "levels": ready.dataset.levels,
            "fingerprint": ready.dataset.fingerprint,
        },
        "notes": list(ready.notes),
        "environment": environment(),
    }


def finish(run: RunFolder, ready: Prepared, loop: Loop, progress: Progress, quiet: bool) -> None:
    """Write the pictures and the report of a finished run, from its best weights."""
    from reparam.train.report import write_pictures, write_report

    model = loop.module
    assert isinstance(model, VAE)
    if loop.best_state is not None:
        model.load_state_dict(loop.best_state)
    model.eval()
    pictures = write_pictures(run, model, ready)
    write_report(run, loop.history, pictures)
    best = (
        f"best epoch {progress.best_epoch}: validation bound {-progress.best:.4f} nats"
        if progress.best is not None
        else ""
    )
    skipped = [f"{progress.skipped} steps were skipped: not finite"] if progress.skipped else []
    say([best, *skipped, f"run folder: {run.path}"], quiet)


def say(lines: Any, quiet: bool) -> None:
    """Print lines for people on stderr."""
    if not quiet:
        with contextlib.suppress(BrokenPipeError):  # the run goes on when nobody reads
            for line in filter(None, lines):
                print(line, file=sys.stderr)
