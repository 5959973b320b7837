"""Coefficients of the uniform expansions, made by scripts/make_tables.py from exact rational series."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np


@cache
def _file() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_suffix(".npz")) as archive:
        return {name: archive[name] for name in archive.files}


def table(name: str) -> np.ndarray:
    """Return the coefficient table `name` (float64, row k: the power series of order k)."""
    return _file()[name]
