"""The kernels of the families as functions of tensors: compiled loops bound to their tables.

Each has two bindings: for double results, and with shorter series (errors of 1e-9) for single precision.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from torch import Tensor

from reparam.kernels.cpu import gamma
from reparam.kernels.cpu import gamma_quantile as gamma_q
from reparam.kernels.cpu.elementwise import elementwise
from reparam.kernels.tables import slope_table, table

LEAST_ALPHA = {"64": 12.0, "32": 6.0}  # of the uniform expansion
TERMS = {"64": gamma.TERMS_64, "32": gamma.TERMS_32}
LEVELS = {"64": 24, "32": 11}
STEP = {"64": 1e-5, "32": 1e-3}  # Halley steps triple the digits: stop after a step this small


def _series(name: str) -> tuple[np.ndarray, np.ndarray]:
    return table(name), table(f"{name}_lengths")


def _gamma_tables(digits: str) -> tuple[Any, ...]:
    return table("mills"), table("log_gamma_1p"), TERMS[digits], LEVELS[digits]


@cache
def _gamma_velocity(digits: str, order: int) -> Any:
    g, lengths = _series(f"gamma_velocity_{digits}")
    constants = (g, slope_table(f"gamma_velocity_{digits}"), lengths, LEAST_ALPHA[digits], TERMS[digits])

    def kernel(alpha: np.ndarray, y: np.ndarray, u: np.ndarray, ua: np.ndarray | None = None) -> None:
        gamma.velocity(alpha, y, u, u if ua is None else ua, order == 2, *constants, LEVELS[digits])

    return kernel


def gamma_velocity(alpha: Tensor, y: Tensor, order: int = 1) -> tuple[Tensor, ...]:
    """Return dy/dalpha of y = log z at fixed noise, and for order 2 its alpha-derivative at fixed y."""
    return elementwise((_gamma_velocity("64", order), _gamma_velocity("32", order)), order, alpha, y)


@cache
def _gamma_tails(digits: str) -> Any:
    score, lengths = _series(f"gamma_score_{digits}")

    def kernel(alpha: np.ndarray, y: np.ndarray, logp: np.ndarray, logq: np.ndarray) -> None:
        gamma_q.tails(alpha, y, logp, logq, score, lengths, LEAST_ALPHA[digits], _gamma_tables(digits))

    return kernel


def gamma_tails(alpha: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """Return log P(alpha, z) and log Q(alpha, z) at z = e^y."""
    return elementwise((_gamma_tails("64"), _gamma_tails("64")), 2, alpha, y)


@cache
def _gamma_quantile(digits: str) -> Any:
    inverse, lengths = _series(f"gamma_quantile_{digits}")

    def kernel(alpha: np.ndarray, eps: np.ndarray, y: np.ndarray) -> None:
        constants = (inverse, lengths, LEAST_ALPHA[digits], _gamma_tables(digits), STEP[digits])
        gamma_q.quantile(alpha, eps, y, *constants)

    return kernel


def gamma_quantile(alpha: Tensor, eps: Tensor) -> Tensor:
    """Return y = log z with P(alpha, z) = Phi(eps)."""
    return elementwise((_gamma_quantile("64"), _gamma_quantile("32")), 1, alpha, eps)[0]
