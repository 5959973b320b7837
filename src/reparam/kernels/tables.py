"""Coefficients of the kernels.

tables.npz     uniform expansions, made by scripts/make_tables.py from exact rational series
gamma_fit.npz  Gamma quantile in two variables, fitted by scripts/fit_gamma.py
cells.npz      Beta and Student quantiles fitted cell by cell by scripts/fit_cells.py
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np


@cache
def _file() -> dict[str, np.ndarray]:
    tables: dict[str, np.ndarray] = {}
    for path in sorted(Path(__file__).parent.glob("*.npz")):
        with np.load(path) as archive:
            tables.update({name: archive[name] for name in archive.files})
    return tables


def table(name: str) -> np.ndarray:
    """Return the coefficient table `name` (float64, row k: the power series of order k)."""
    return _file()[name]


@cache
def derivative_table(name: str) -> np.ndarray:
    """Return the table of g_k' for a table of g_k."""
    g = table(name)
    out = np.zeros_like(g)
    out[:, :-1] = np.arange(1, g.shape[1]) * g[:, 1:]
    return out


@cache
def order_table(name: str) -> np.ndarray:
    """Return the table of (k + 1) g_k for a table of g_k."""
    g = table(name)
    return np.arange(1.0, g.shape[0] + 1)[:, None] * g


@cache
def slope_tables(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tables of g_k, of g_k' and of (k + 1) g_k + g_k', which -alpha^2 d/dalpha of the sum over k needs."""
    slope = derivative_table(name)
    return table(name), slope, order_table(name) + slope
