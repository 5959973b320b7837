"""What the commands read from the command line, and which errors are those of bad input."""

import sys
from collections.abc import Sequence
from typing import Any, get_origin

from cyclopts import CoercionError

from reparam.train.config import ConfigError


def whole_numbers(kind: Any, tokens: Sequence[Any]) -> Any:
    """Read integers as they are written; 1.5 is an error, not 2."""
    for token in tokens:
        if not token.value.lstrip("+-").isdecimal():
            raise CoercionError(token=token, target_type=int)
    numbers = tuple(int(token.value) for token in tokens)
    return numbers if get_origin(kind) is tuple else numbers[0]


def require_count(who: str, option: str, value: int) -> None:
    """Raise unless a number is 1 or more."""
    if value < 1:
        raise ConfigError(f"{who}: {option} must be 1 or more; got {value}")


def require_seed(who: str, value: int) -> None:
    """Raise unless a number is a seed of 64 bits."""
    if not 0 <= value < 1 << 64:
        raise ConfigError(f"{who}: --seed must be in [0, 2^64); got {value}")


class TargetFault(ValueError):
    """An exception in the user's own target."""


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
