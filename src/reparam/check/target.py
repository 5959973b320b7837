"""Targets of the command line: "module:function" or "path.py:function", a function that returns (loss, params).

The function may also return (loss, params, reference) or a dict with the keys "loss", "params", "reference".
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from reparam.check.compare import Comparison, compare
from reparam.check.gradient import gradient
from reparam.check.report import Report
from reparam.noise import Noise

EXIT_CODES = {"unbiased": 0, "biased": 1, "inconclusive": 3}
KEYS = ("loss", "params", "reference")


class TargetError(ValueError):
    """A target that cannot be found, or does not return what is to be checked; exit code 2."""


def exit_code(report: Report) -> int:
    """Return the exit code of a verdict: 0 unbiased, 1 biased, 3 inconclusive."""
    return EXIT_CODES[report.verdict]


def run_target(
    target: str,
    *,
    tolerance: float = 0.01,
    false_alarm: float = 1e-6,
    max_seconds: float = 60.0,
    max_draws: int | None = None,
    seed: int = 0,
) -> Report:
    """Check the gradient of what a target returns; options as in `gradient`, noise from `seed`.

    Raises:
        TargetError: a bad target. What the target itself raises passes through.
    """
    parts = load_parts(target)
    return gradient(
        parts["loss"],
        parts["params"],
        reference=parts.get("reference"),
        noise=Noise(seed),
        tolerance=tolerance,
        false_alarm=false_alarm,
        max_seconds=max_seconds,
        max_draws=max_draws,
    )


def run_compare(
    targets: Sequence[str],
    *,
    tolerance: float = 0.01,
    false_alarm: float = 1e-6,
    max_seconds: float = 60.0,
    max_draws: int | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare the targets, each on its own parameters, against the first reference that one of them gives.

    The parameters of all must have the same shapes, so that one bias and one variance mean the same in each row.
    """
    if len(targets) < 2 or len(set(targets)) < len(targets):
        raise TargetError(
            f"compare: targets must be two or more different ones; got {list(targets)}; write module:f module:g"
        )
    loaded = {target: load_parts(target) for target in targets}
    reference = next((p["reference"] for p in loaded.values() if p.get("reference") is not None), None)
    tables = [
        compare(
            {target: parts["loss"]},
            parts["params"],
            noise=Noise(seed),
            reference=parts.get("reference", reference if not callable(reference) else None),
            tolerance=tolerance,
            false_alarm=false_alarm / len(targets),
            max_seconds=max_seconds / len(targets),
            max_draws=max_draws,
        )
        for target, parts in loaded.items()
    ]
    return Comparison.ranked([row for table in tables for row in table])


def load_parts(target: str) -> dict[str, Any]:
    """Return {"loss": ..., "params": ..., "reference": ...} of a target."""
    function = load_function(target)
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise TargetError(
            f"check: {target} must be a function without arguments; got one with {error}; write a function that "
            "returns (loss, params)"
        ) from None
    returned = function()
    if isinstance(returned, Mapping):
        parts = dict(returned)
    elif isinstance(returned, tuple) and len(returned) in (2, 3):
        parts = dict(zip(KEYS, returned))
    else:
        parts = {}
    if not {"loss", "params"} <= set(parts) <= set(KEYS):
        raise TargetError(
            f"check: {target} must return (loss, params), (loss, params, reference) or a dict of these; got "
            f"{type(returned).__name__}; end the function with `return loss, params`"
        )
    return parts


def load_function(target: str) -> Callable[[], Any]:
    """Return the function that "module:function" or "path.py:function" names; its errors on import pass through."""
    where, colon, name = target.rpartition(":")
    if not colon or not where or not name.isidentifier():
        raise TargetError(
            f"check: TARGET must be module:function or path.py:function; got {target!r}; for example losses.py:elbo"
        )
    module = _module_of_file(Path(where)) if where.endswith(".py") else _module_of_name(where)
    function = getattr(module, name, None)
    if not callable(function):
        known = ", ".join(k for k, v in vars(module).items() if callable(v) and not k.startswith("_"))
        raise TargetError(
            f"check: {where} must hold a function {name}; got none; it holds {known or 'no function'}"
        )
    return function


def _module_of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise TargetError(f"check: {path} must be a Python file; got no such file; check the path")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with _on_path(path.resolve().parent):
        spec.loader.exec_module(module)
    return module


def _module_of_name(name: str) -> ModuleType:
    with _on_path(Path.cwd()):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
                raise TargetError(
                    f"check: {name} must be a module on the path or in this folder; got none of that name; "
                    "for a file write path.py:function"
                ) from None
            raise


class _on_path:
    """Put a folder first on sys.path for the time of an import."""

    def __init__(self, folder: Path):
        self.folder = str(folder)

    def __enter__(self) -> None:
        sys.path.insert(0, self.folder)

    def __exit__(self, *_: object) -> None:
        sys.path.remove(self.folder)


__all__ = ["TargetError", "exit_code", "load_function", "load_parts", "run_compare", "run_target"]
