"""`reparam check` and `reparam compare`: verdicts on gradients as exit codes."""

import re
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from reparam.cli_input import TargetFault, input_errors, whole_numbers
from reparam.train.config import ConfigError

Tolerance = Annotated[float, Parameter(help="Bias that is accepted, relative to the gradient of a block.")]
FalseAlarm = Annotated[float, Parameter(help="Probability of calling a right gradient biased.")]
Seconds = Annotated[float, Parameter(help="Time that the check may take.")]
Draws = Annotated[int, Parameter(converter=whole_numbers, help="Draws that the check may take; 0: no limit.")]
Seed = Annotated[int, Parameter(converter=whole_numbers, help="Seed of the noise.")]
REFUSAL = re.compile(r"check(\.\w+)?: ")  # how the check's own errors about a loss or its parameters begin
Json = Annotated[bool, Parameter(name="--json", help="Print JSON, nothing else.", negative=())]


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


def _guarded(work: Callable[[], Any]) -> Any:
    """Run a check; what the target raises, and parts that cannot be checked, are bad input, no fault of ours."""
    try:
        return work()
    except (Exception, SystemExit) as error:
        if isinstance(error, input_errors()):
            raise
        text = " ".join(str(error).split())
        if isinstance(error, (ValueError, TypeError)) and REFUSAL.match(text):
            raise TargetFault(text) from error
        if not _in_user_code(error):
            raise
        raise TargetFault(
            f"check: the target raised {type(error).__name__}: {text}; --traceback shows where"
        ) from error


def _in_user_code(error: BaseException) -> bool:
    """Whether the error comes from a file, or a frame of its traceback, outside Python's and installed packages."""
    own = str(Path(__file__).resolve().parent)
    library = {str(Path(p).resolve()) for p in sysconfig.get_paths().values()}
    for frame in traceback.extract_tb(error.__traceback__):
        path = str(Path(frame.filename).resolve())
        if not frame.filename.startswith("<") and not path.startswith((own, *library)):
            return True
    return isinstance(error, (ImportError, SyntaxError))
