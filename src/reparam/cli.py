"""The command line. Torch is imported inside the commands, so that --help answers at once.

Exit codes: 0 done; 1 the verdict is "biased"; 2 bad input; 3 inconclusive; 70 a fault of reparam; 130 interrupted.
"""

import inspect as _inspect
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

from cyclopts import App, CycloptsError, Parameter

from reparam._version import __version__
from reparam.cli_check import check, compare
from reparam.cli_input import input_errors, require_count, require_seed, whole_numbers
from reparam.train.config import ConfigError, TrainConfig, read_toml, resolve

app = App(
    name="reparam",
    help="Networks with random layers: train, evaluate and sample generative models on your own data.\n\n"
    "Start with:  reparam train --data digits --epochs 100 --out RUN",
    version=__version__,
    version_flags=["--version"],
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)
data_app = App(name="data", help="Look at data before training.", help_format="plaintext")
app.command(data_app)


RunPath = Annotated[str, Parameter(help="The folder of a run.")]
Split = Literal["train", "validation", "test", "all"]


def with_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option per setting of `TrainConfig`, None where it is not written."""
    own = [p for p in _inspect.signature(function).parameters.values() if p.kind != p.VAR_KEYWORD]
    settings = []
    for setting in fields(TrainConfig):
        if setting.name == "model":
            continue
        shown = "" if setting.default in ("", ()) else f" Default: {setting.default}."
        extra: dict[str, Any] = {"converter": whole_numbers} if setting.type is int else {}
        if get_origin(setting.type) is tuple:
            extra = {"converter": whole_numbers, "consume_multiple": True, "negative": ()}
        kind: Any = setting.type
        annotation = Annotated[
            kind | None,
            Parameter(help=f"{setting.metadata['help']}{shown}", show_default=False, **extra),  # type: ignore[arg-type]
        ]
        settings.append(
            _inspect.Parameter(
                setting.name, _inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
            )
        )
    function.__signature__ = _inspect.Signature([*own, *settings])  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in (*own, *settings)}
    return function


@app.command(name="train")
@with_settings
def train_command(
    model: Annotated[str, Parameter(help="The kind of model: vae.", show_default=False)] = "",
    /,
    *,
    out: Annotated[str, Parameter(help="The run folder to make.")] = "",
    overwrite: Annotated[bool, Parameter(help="Replace a run that stands there.", negative=())] = False,
    config: Annotated[str, Parameter(help="A TOML file of settings; options win over it.")] = "",
    resume: Annotated[str, Parameter(help="Continue this run from its last checkpoint.")] = "",
    dry_run: Annotated[
        bool, Parameter(help="Check everything, print the settings, train nothing.", negative=())
    ] = False,
    quiet: Annotated[bool, Parameter(help="Print nothing but errors.", negative=())] = False,
    **settings: Any,
) -> None:
    """Train a model on your data into a new run folder.

    reparam train --data digits --epochs 100 --out RUN
    reparam train vae --data photos/ --latent 32 --out RUN
    reparam train --resume RUN
    """
    given = {name: value for name, value in settings.items() if value is not None}
    given |= {"model": model} if model else {}
    layers = [read_toml(config)] if config else []
    if resume:
        if dry_run:
            raise ConfigError(
                "train: --dry-run checks a new run; got --resume with it; leave one of them out"
            )
        _resume(resume, {**(layers[0] if layers else {}), **given}, out, overwrite, quiet)
        return
    chosen = resolve(*layers, given)
    from reparam.train.job import prepare, say, train

    if dry_run:
        ready = prepare(chosen)
        say(ready.notes, quiet)
        print(json.dumps({"config": chosen.as_dict(), "model": vars(ready.spec)}, indent=2))
        return
    if not out:
        raise ConfigError("train: --out must name the run folder to make; got nothing; write --out RUN")
    train(chosen, out, overwrite=overwrite, quiet=quiet)


def _resume(path: str, changes: dict[str, Any], out: str, overwrite: bool, quiet: bool) -> None:
    if overwrite or (out and Path(out).resolve() != Path(path).resolve()):
        raise ConfigError(
            "train: --resume continues a run in its own folder; got --out or --overwrite; leave them out"
        )
    from reparam.train.job import resume

    resume(path, changes, quiet=quiet)


@app.command
def evaluate(
    run: RunPath,
    /,
    *,
    samples: Annotated[
        int, Parameter(converter=whole_numbers, help="K, importance draws per example.")
    ] = 500,
    data: Annotated[str, Parameter(help="Other data than the run's.", show_default=False)] = "",
    split: Annotated[Split, Parameter(help="Which part of the data.")] = "test",
    seed: Annotated[int, Parameter(converter=whole_numbers, help="Seed of the draws.")] = 0,
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON, nothing else.", negative=())] = False,
) -> None:
    """Evaluate a run on held-out data: ELBO and importance-weighted likelihood, in nats.

    reparam evaluate RUN --samples 500 --json
    """
    require_count("evaluate", "samples", samples)
    require_seed("evaluate", seed)
    from reparam.train.inspect import evaluate_run, evaluation_text

    result = evaluate_run(run, data=data, split=split, samples=samples, seed=seed)
    if result.collapsed:
        print(
            "warning: no latent unit is active: the decoder ignores z (posterior collapse)", file=sys.stderr
        )
    print(json.dumps(result.as_dict(), indent=2) if as_json else evaluation_text(result))


@app.command
def sample(
    run: RunPath,
    /,
    *,
    n: Annotated[int, Parameter(converter=whole_numbers, name=["-n", "--count"], help="How many.")] = 64,
    seed: Annotated[
        int, Parameter(converter=whole_numbers, help="Seed of the draws; one seed, one picture.")
    ] = 0,
    out: Annotated[str, Parameter(help="A picture (.png) or an array (.npy) to write.")],
    draw: Annotated[bool, Parameter(help="Draw x from p(x|z), not its mean.", negative=())] = False,
    label: Annotated[
        str, Parameter(help="The class, for a model that has classes.", show_default=False)
    ] = "",
    overwrite: Annotated[bool, Parameter(help="Replace the file.", negative=())] = False,
) -> None:
    """Sample new examples from a trained model.

    reparam sample RUN -n 64 --seed 1 --out samples.png
    """
    require_count("sample", "-n", n)
    require_seed("sample", seed)
    from reparam.train.inspect import sample_run

    sample_run(run, n=n, seed=seed, out=out, draw=draw, label=label, overwrite=overwrite)


@app.command
def reconstruct(
    run: RunPath,
    /,
    *,
    out: Annotated[str, Parameter(help="Default: RUN/reconstructions.png.", show_default=False)] = "",
    n: Annotated[int, Parameter(converter=whole_numbers, name=["-n", "--count"], help="How many.")] = 32,
    data: Annotated[str, Parameter(help="Other data than the run's.", show_default=False)] = "",
    split: Annotated[Split, Parameter(help="Which part of the data.")] = "test",
    overwrite: Annotated[bool, Parameter(help="Replace the file.", negative=())] = False,
) -> None:
    """Write examples and their reconstructions, each above its own.

    reparam reconstruct RUN --out pairs.png
    """
    require_count("reconstruct", "-n", n)
    from reparam.train.inspect import reconstruct_run

    reconstruct_run(run, out=out, n=n, data=data, split=split, overwrite=overwrite)


@app.command
def encode(
    run: RunPath,
    /,
    *,
    data: Annotated[
        str, Parameter(help="The data to encode; default: all of the run's.", show_default=False)
    ] = "",
    out: Annotated[str, Parameter(help="The .npy file to write.")],
    overwrite: Annotated[bool, Parameter(help="Replace the file.", negative=())] = False,
) -> None:
    """Write the posterior mean E_q[z|x] of every example, shape (N, latent).

    reparam encode RUN --data digits --out z.npy
    """
    from reparam.train.inspect import encode_run

    encode_run(run, data=data, out=out, overwrite=overwrite)


@data_app.command(name="inspect")
def data_inspect(
    path: Annotated[str, Parameter(help="'digits', an .npy or .npz file, or a folder of pictures.")],
    /,
    *,
    size: Annotated[
        int, Parameter(help="Side in pixels that pictures are brought to.", show_default=False)
    ] = 0,
) -> None:
    """Say what is in a file or folder, and how it will be modelled.

    reparam data inspect photos/
    """
    from reparam.data import inspect

    print(inspect(path, size=size or None))


app.command(check)
app.command(compare)


def _out_of_memory(error: Exception) -> bool:
    """Tell whether the system gave no memory; torch has no type of its own for the CPU."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("can't allocate memory" in str(error) or "out of memory" in str(error))
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    show_traceback = "--traceback" in tokens
    tokens = [t for t in tokens if t != "--traceback"]
    try:
        result = app(
            tokens or ["--help"], exit_on_error=False, print_error=False, result_action="return_value"
        )
        return result if isinstance(result, int) else 0
    except CycloptsError as error:
        return _fail(2, f"reparam: {' '.join(str(error).split())} (see reparam --help)", show_traceback)
    except KeyboardInterrupt:
        return _fail(
            130, "reparam: interrupted; what was finished is kept (a run continues with --resume)", False
        )
    except BrokenPipeError:
        return 0
    except Exception as error:
        if isinstance(error, input_errors()):
            return _fail(2, " ".join(str(error).split()), show_traceback)
        if _out_of_memory(error):
            text = "reparam: the work must fit into memory; got none left; ask for less (-n, --latent, --hidden, ...)"
            return _fail(2, text, show_traceback)
        text = f"reparam: a fault of reparam, not of yours: {type(error).__name__}: {' '.join(str(error).split())}"
        return _fail(70, f"{text}; run again with --traceback and report it", show_traceback)


def _fail(code: int, line: str, show_traceback: bool) -> int:
    if show_traceback:
        traceback.print_exc()
    print(line, file=sys.stderr)
    return code


__all__ = ["app", "main"]
