"""The kernels of the families as functions of tensors: compiled loops bound to their tables.

Each has two bindings: for double results, and with shorter series (errors of 1e-9) for single precision.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from torch import Tensor

from reparam.kernels.cpu import beta, gamma
from reparam.kernels.cpu import beta_quantile as beta_q
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


# weights of f(x + kh) - f(x - kh) in the central difference of order ten
CENTRAL = (5 / 6, -5 / 21, 5 / 84, -5 / 504, 1 / 1260)
LOG_STEP = 0.08


def log_slope(
    velocity: Any, parameters: list[np.ndarray], which: int, y: np.ndarray, count: int
) -> list[np.ndarray]:
    """Return d v/d parameters[which] at fixed y of the `count` results of a velocity kernel.

    The velocities are analytic in the logarithm of a parameter, with a radius of order one at any size of it, so
    that a central difference of order ten over steps of 0.08 keeps all but two of their digits.
    """
    totals = [np.zeros_like(y) for _ in range(count)]
    out = [np.empty_like(y) for _ in range(count)]
    for k, weight in enumerate(CENTRAL, start=1):
        for sign in (1.0, -1.0):
            moved = list(parameters)
            moved[which] = parameters[which] * np.exp(sign * k * LOG_STEP)
            velocity(*moved, y, *out)
            for total, value in zip(totals, out):
                total += sign * weight * value
    return [total / (LOG_STEP * parameters[which]) for total in totals]


BETA_LEAST = {"64": 16.0, "32": 10.0}
BETA_STEPS = {"64": 39.0, "32": 20.0}  # series stop below e^-steps
BETA_LEVELS = {"64": 36, "32": 16}


@cache
def _beta_velocity(digits: str, order: int) -> Any:
    name = f"beta_velocity_{digits}"
    constants = (*_series(name), table(f"{name}_powers"), BETA_LEAST[digits], BETA_STEPS[digits])

    def first(a: np.ndarray, b: np.ndarray, xi: np.ndarray, da: np.ndarray, db: np.ndarray) -> None:
        beta.velocity(a, b, xi, da, db, *constants, BETA_LEVELS[digits])

    def second(
        a: np.ndarray, b: np.ndarray, xi: np.ndarray, da: np.ndarray, db: np.ndarray, *outs: Any
    ) -> None:
        first(a, b, xi, da, db)
        for which in range(2):
            outs[which][:], outs[2 + which][:] = log_slope(first, [a, b], which, xi, 2)

    return first if order == 1 else second


def beta_velocity(a: Tensor, b: Tensor, xi: Tensor, order: int = 1) -> tuple[Tensor, ...]:
    """Return dxi/da and dxi/db of xi = logit x at fixed noise.

    Order 2 adds d(dxi/da)/da, d(dxi/da)/db, d(dxi/db)/da, d(dxi/db)/db at fixed xi.
    """
    return elementwise(
        (_beta_velocity("64", order), _beta_velocity("32", order)), 2 if order == 1 else 6, a, b, xi
    )


@cache
def _beta_tails(digits: str) -> Any:
    def kernel(a: np.ndarray, b: np.ndarray, xi: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        constants = (table("mills"), table("log_gamma_1p"), BETA_STEPS[digits], BETA_LEVELS[digits])
        beta_q.tails(a, b, xi, low, high, *constants)

    return kernel


def beta_tails(a: Tensor, b: Tensor, xi: Tensor) -> tuple[Tensor, ...]:
    """Return log I_x(a, b) and log(1 - I_x(a, b)) at x = sigmoid(xi)."""
    return elementwise((_beta_tails("64"), _beta_tails("64")), 2, a, b, xi)


@cache
def _beta_quantile(digits: str) -> Any:
    def kernel(a: np.ndarray, b: np.ndarray, eps: np.ndarray, xi: np.ndarray) -> None:
        constants = (table("mills"), table("log_gamma_1p"), BETA_STEPS[digits], BETA_LEVELS[digits])
        beta_q.quantile(a, b, eps, xi, *constants, STEP[digits])

    return kernel


def beta_quantile(a: Tensor, b: Tensor, eps: Tensor) -> Tensor:
    """Return xi = logit x with I_x(a, b) = Phi(eps)."""
    return elementwise((_beta_quantile("64"), _beta_quantile("32")), 1, a, b, eps)[0]
