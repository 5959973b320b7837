"""What a trained run can show: evaluation, samples, reconstructions, codes."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from reparam.check import Report, gradient
from reparam.data import Dataset, load
from reparam.data.files import write_bytes
from reparam.data.pictures import grid, pairs, save_picture
from reparam.models import VAE
from reparam.noise import Noise
from reparam.train.config import ConfigError, from_record
from reparam.train.evaluate import Evaluation, evaluate, split_part
from reparam.train.fit import DatasetExamples
from reparam.train.folder import RunError, open_run
from reparam.train.load import load as load_model
from reparam.train.report import shows_pictures

BATCH = 1024
CHECK_BATCH = 32


def evaluate_run(run: str, *, data: str, split: str, samples: int, seed: int) -> Evaluation:
    """Evaluate a run on a part of its own data, or on all of other data."""
    model = load_model(run)
    examples, name = _examples(run, data, split, model)
    return evaluate(model, examples, samples=samples, noise=Noise(seed).child("evaluate"), name=name)


def sample_run(run: str, *, n: int, seed: int, out: str, draw: bool, label: str, overwrite: bool) -> None:
    """Write n samples as a picture or an array."""
    if label:
        raise ConfigError(
            f"sample: --label needs a model with classes; got {label!r} for a vae; leave it out"
        )
    out = check_out("sample", out, (".npy", ".png", ".webp", ".bmp", ".jpg", ".jpeg"), overwrite)
    model = load_model(run)
    x = model.sample(n, noise=Noise(seed).child("sample"), draw=draw)
    if Path(out).suffix.lower() == ".npy":
        write_array(out, x, "sample")
        return
    _need_pictures(run, model, "sample", "an .npy file")
    save_picture(grid(x.float().clamp(0, 1)), out, who="sample")
    wrote(out)


def reconstruct_run(run: str, *, out: str, n: int, data: str, split: str, overwrite: bool) -> None:
    """Write pairs of examples and reconstructions as a picture, or (2, n, *event) as an array."""
    if out:
        out = check_out("reconstruct", out, (".npy", ".png", ".webp", ".bmp", ".jpg", ".jpeg"), overwrite)
    model = load_model(run)
    examples, _ = _examples(run, data, split, model)
    x = examples.batch(torch.arange(min(n, len(examples))))
    shown = model.reconstruct(x)
    out = out or str(Path(run) / "reconstructions.png")
    if Path(out).suffix.lower() == ".npy":
        write_array(out, torch.stack([x, shown]), "reconstruct")
        return
    _need_pictures(run, model, "reconstruct", "an .npy file")
    save_picture(pairs(x.float(), shown.float().clamp(0, 1)), out, who="reconstruct")
    wrote(out)


def encode_run(run: str, *, data: str, out: str, overwrite: bool) -> None:
    """Write the posterior means of all examples, (N, latent)."""
    out = check_out("encode", out, (".npy",), overwrite)
    model = load_model(run)
    examples, _ = _examples(run, data, "all", model)
    codes = [model.encode(examples.batch(p)) for p in torch.arange(len(examples)).split(BATCH)]
    write_array(out, torch.cat(codes), "encode")


def check_run(run: str, *, seed: int, **options: Any) -> Report:
    """Check a trained model's own training gradient, on a batch of its training data."""
    model = load_model(run)
    examples, _ = _examples(run, "", "train", model)
    positions = torch.arange(min(CHECK_BATCH, len(examples)))
    x, rows = examples.batch(positions), examples.numbers(positions)
    return gradient(
        lambda noise: model.elbo(x, noise=noise.rows(rows)).loss,
        dict(model.named_parameters()),
        noise=Noise(seed).child("check"),
        **options,
    )


def evaluation_text(result: Evaluation) -> str:
    """Return an evaluation as a few lines for people."""
    K = result.samples
    rows = [
        ("data", f"{result.examples} examples ({result.split})"),
        (
            "-ELBO",
            f"{-result.elbo_nats:.4f} nats  (standard error {digits(result.elbo_standard_error_nats)} over examples)",
        ),
        (
            f"NLL, K = {K}",
            f"{result.nll_nats:.4f} nats  (standard error {digits(result.nll_standard_error_nats)} over examples, "
            f"{digits(result.nll_importance_standard_error_nats)} over importance draws)",
        ),
        ("reconstruction", f"{result.reconstruction_nats:.4f} nats"),
        ("KL", f"{result.kl_nats:.4f} nats"),
        (
            "bits per dim",
            "none: the likelihood is a density"
            if result.bits_per_dim is None
            else digits(result.bits_per_dim),
        ),
        (
            "effective draws",
            f"mean {result.effective_sample_size_mean:.1f}, least {result.effective_sample_size_min:.1f} of {K}",
        ),
        ("active units", f"{result.active_units} of {result.latent_units}"),
    ]
    return "\n".join(f"{name:<16}{value}" for name, value in rows)


def digits(value: float | None) -> str:
    """Return a number with four digits, or "unknown"."""
    return "unknown" if value is None else f"{value:.4f}"


def check_out(who: str, out: str, suffixes: tuple[str, ...], overwrite: bool) -> str:
    """Return the path `out` with ~ expanded; raise unless a file of one of the kinds may be written there."""
    path = Path(out).expanduser()
    if path.suffix.lower() not in suffixes:
        raise ConfigError(
            f"{who}: --out must end in {', '.join(suffixes)}; got {out!r}; choose {suffixes[0]}"
        )
    if path.exists() and not overwrite:
        raise ConfigError(
            f"{who}: --out must be a new file; got {out}, which exists; write --overwrite to replace it"
        )
    return str(path)


def write_array(out: str, array: Tensor, who: str) -> None:
    """Write a tensor as .npy, atomically."""
    buffer = io.BytesIO()
    numpy.save(buffer, array.detach().cpu().numpy(), allow_pickle=False)
    write_bytes(out, buffer.getvalue(), who=who)
    wrote(out)


def wrote(out: str) -> None:
    """Say on stderr which file was written."""
    print(f"wrote {out}", file=sys.stderr)


def _examples(run: str, data: str, split: str, model: VAE) -> tuple[DatasetExamples, str]:
    """Return the examples to look at: a part of the run's data, or all of other data."""
    folder = open_run(run)
    config = from_record(folder.record["config"], run)
    dtype = next(model.parameters()).dtype
    dataset = load(data or config.data, size=config.size or None)
    _check_fit(dataset, folder.data, model, data or config.data)
    if not data and dataset.fingerprint != folder.data["fingerprint"]:
        raise RunError(
            f"run: the data {config.data} of {run} changed since training; name the data with --data"
        )
    if data:
        return DatasetExamples(dataset, torch.arange(len(dataset)), dtype), "all"
    return split_part(dataset, config.seed, split, dtype), split


def _check_fit(dataset: Dataset, trained: dict[str, object], model: VAE, name: str) -> None:
    if dataset.shape != model.event or dataset.kind != trained["kind"]:
        raise ConfigError(
            f"run: --data must be {trained['kind']} of shape {model.event}, as the training data; "
            f"got {dataset.kind} of shape {dataset.shape} in {name}"
        )


def _need_pictures(run: str, model: VAE, who: str, instead: str) -> None:
    kind = open_run(run).data["kind"]
    if not shows_pictures(model, kind):
        raise ConfigError(
            f"{who}: a picture needs a model of pictures; got {kind} data of shape {model.event}; write {instead}"
        )
