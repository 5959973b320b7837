"""The command line. Torch is imported inside the commands, so that --help answers at once.

Exit codes: 0 done; 1 the verdict is "biased"; 2 bad input; 3 inconclusive; 70 a fault of reparam; 130 interrupted.
"""

import inspect as _inspect
import json
import sys
import sysconfig
import traceback
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

from cyclopts import App, CoercionError, CycloptsError, Parameter

from reparam._version import __version__
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


def whole_numbers(kind: Any, tokens: Sequence[Any]) -> Any:
    """Read integers as they are written; 1.5 is an error, not 2."""
    for token in tokens:
        if not token.value.lstrip("+-").isdecimal():
            raise CoercionError(token=token, target_type=int)
    numbers = tuple(int(token.value) for token in tokens)
    return numbers if get_origin(kind) is tuple else numbers[0]


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
    _count("evaluate", "samples", samples)
    _seed("evaluate", seed)
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
    _count("sample", "-n", n)
    _seed("sample", seed)
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
    _count("reconstruct", "-n", n)
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


Tolerance = Annotated[float, Parameter(help="Bias that is accepted, relative to the gradient of a block.")]
FalseAlarm = Annotated[float, Parameter(help="Probability of calling a right gradient biased.")]
Seconds = Annotated[float, Parameter(help="Time that the check may take.")]
Draws = Annotated[int, Parameter(converter=whole_numbers, help="Draws that the check may take; 0: no limit.")]
Seed = Annotated[int, Parameter(converter=whole_numbers, help="Seed of the noise.")]
Json = Annotated[bool, Parameter(name="--json", help="Print JSON, nothing else.", negative=())]


@app.command
def check(
    target: Annotated[
        str, Parameter(help="module:function or file.py:function that returns (loss, params); or a run.")
    ],
    /,
    *,
    tolerance: Tolerance = 0.01,
    false_alarm: FalseAlarm = 1e-6,
    max_seconds: Seconds = 60.0,
    max_draws: Draws = 0,
    seed: Seed = 0,
    as_json: Json = False,
) -> int:
    """Check that a gradient is the gradient of what is meant. Exit code 0 unbiased, 1 biased, 3 inconclusive.

    reparam check losses.py:elbo
    reparam check RUN
    """
    options = _check_options("check", tolerance, false_alarm, max_seconds, max_draws, seed)
    from reparam.check import exit_code, run_target
    from reparam.train.inspect import check_run

    report = _guarded(lambda: (check_run if Path(target).is_dir() else run_target)(target, **options))
    print(report.to_json() if as_json else report)
    return exit_code(report)


@app.command
def compare(
    *targets: Annotated[str, Parameter(help="Two or more of module:function or file.py:function.")],
    tolerance: Tolerance = 0.01,
    false_alarm: FalseAlarm = 1e-6,
    max_seconds: Seconds = 60.0,
    max_draws: Draws = 0,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compare several ways to write one objective: bias, variance, time, and variance x time, ranked.

    reparam compare losses.py:pathwise losses.py:score
    """
    options = _check_options("compare", tolerance, false_alarm, max_seconds, max_draws, seed)
    from reparam.check import run_compare

    table = _guarded(lambda: run_compare(targets, **options))
    print(table.to_json() if as_json else table)


def _check_options(
    who: str, tolerance: float, false_alarm: float, max_seconds: float, max_draws: int, seed: int
) -> dict[str, Any]:
    for name, value, low, high in (
        ("tolerance", tolerance, 0, float("inf")),
        ("false-alarm", false_alarm, 0, 1),
        ("max-seconds", max_seconds, 0, float("inf")),
    ):
        if not low < value < high:
            raise ConfigError(f"{who}: {name} must be between {low} and {high}; got {value}")
    if max_draws < 0 or not 0 <= seed < 1 << 64:
        raise ConfigError(
            f"{who}: max-draws must be 0 or more and seed in [0, 2^64); got {max_draws} and {seed}"
        )
    return {
        "tolerance": tolerance,
        "false_alarm": false_alarm,
        "max_seconds": max_seconds,
        "max_draws": max_draws or None,
        "seed": seed,
    }


class TargetFault(ValueError):
    """An exception in the user's own target."""


def _guarded(work: Callable[[], Any]) -> Any:
    """Run a check; what the user's own code raises is bad input, not a fault of ours."""
    try:
        return work()
    except Exception as error:
        if isinstance(error, input_errors()) or not _in_user_code(error):
            raise
        text = " ".join(str(error).split())
        raise TargetFault(
            f"check: the target raised {type(error).__name__}: {text}; --traceback shows where"
        ) from error


def _in_user_code(error: Exception) -> bool:
    """Whether a frame of the traceback lies outside this package, Python's library and installed packages."""
    own = str(Path(__file__).resolve().parent)
    library = {str(Path(p).resolve()) for p in sysconfig.get_paths().values()}
    for frame in traceback.extract_tb(error.__traceback__):
        path = str(Path(frame.filename).resolve())
        if not frame.filename.startswith("<") and not path.startswith((own, *library)):
            return True
    return isinstance(error, ImportError)


def _count(who: str, option: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"{who}: {option} must be 1 or more; got {value}")


def _seed(who: str, value: int) -> None:
    if not 0 <= value < 1 << 64:
        raise ConfigError(f"{who}: --seed must be in [0, 2^64); got {value}")


def _out_of_memory(error: Exception) -> bool:
    """Tell whether the system gave no memory; torch has no type of its own for the CPU."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("can't allocate memory" in str(error) or "out of memory" in str(error))
    )


def input_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that mean bad input; modules that were never imported cannot have raised one."""
    names = {
        "reparam.train.folder": ("RunError",),
        "reparam.train.loop": ("TrainingError",),
        "reparam.check.target": ("TargetError",),
        "reparam.data.dataset": ("DataError",),
        "reparam.data.files": ("FileError",),
    }
    loaded = [
        getattr(sys.modules[m], name) for m, group in names.items() if m in sys.modules for name in group
    ]
    return (ConfigError, TargetFault, *loaded)


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
