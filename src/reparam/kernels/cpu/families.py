"""The kernels of the families as functions of tensors: compiled loops bound to their tables.

Each has two bindings: for double results, and with shorter series (errors of 1e-9) for single precision.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reparam.kernels.cpu import beta, beta_cells, beta_second, cells, gamma, gamma_draws
from reparam.kernels.cpu import beta_inverse as beta_q
from reparam.kernels.cpu import gamma_inverse as gamma_q
from reparam.kernels.cpu.cell_draws import fitted, share_beta
from reparam.kernels.cpu.elementwise import Kernel, elementwise, promoted
from reparam.kernels.tables import derivative_table, slope_tables, table

LEAST_ALPHA = {"64": 12.0, "32": 6.0}  # of the uniform expansion
TERMS = {"64": gamma.TERMS_64, "32": gamma.TERMS_32}
LEVELS = {"64": 24, "32": 11}
STEP = {"64": 1e-5, "32": 1e-3}  # Halley steps triple the digits: stop after a step this small


def series(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a coefficient table and the lengths of its rows."""
    return table(name), table(f"{name}_lengths")


def _gamma_tables(digits: str) -> tuple[Any, ...]:
    return table("mills"), table("log_gamma_1p"), TERMS[digits], LEVELS[digits]


@cache
def _gamma_velocity(digits: str, order: int) -> Any:
    name = f"gamma_velocity_{digits}"
    constants = (
        slope_tables(name),
        table(f"{name}_lengths"),
        LEAST_ALPHA[digits],
        TERMS[digits],
        LEVELS[digits],
    )

    def first(alpha: np.ndarray, y: np.ndarray, u: np.ndarray) -> None:
        gamma.velocity(alpha, y, u, u, u, False, *constants)

    def second(alpha: np.ndarray, y: np.ndarray, u: np.ndarray, uy: np.ndarray, ua: np.ndarray) -> None:
        gamma.velocity(alpha, y, u, uy, ua, True, *constants)

    return first if order == 1 else second


def gamma_velocity(alpha: Tensor, y: Tensor, order: int = 1) -> tuple[Tensor, ...]:
    """Return u = dy/dalpha of y = log z at fixed noise; order 2 adds du/dy and du/dalpha."""
    kernels = (_gamma_velocity("64", order), _gamma_velocity("32", order))
    return elementwise(kernels, 1 if order == 1 else 3, alpha, y)


@cache
def _gamma_tails(digits: str) -> Any:
    score, lengths = series(f"gamma_score_{digits}")

    def kernel(alpha: np.ndarray, y: np.ndarray, logp: np.ndarray, logq: np.ndarray) -> None:
        gamma_q.tails(alpha, y, logp, logq, score, lengths, LEAST_ALPHA[digits], _gamma_tables(digits))

    return kernel


def gamma_tails(alpha: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """Return log P(alpha, z) and log Q(alpha, z) at z = e^y."""
    return elementwise((_gamma_tails("64"), _gamma_tails("64")), 2, alpha, y)


@cache
def _gamma_quantile(digits: str) -> Any:
    tables = gamma_draws.tables()
    inner = gamma_draws.exact if digits == "64" else gamma_draws.single

    def kernel(alpha: np.ndarray, eps: np.ndarray, y: np.ndarray) -> None:
        inner(alpha, eps, False, y, y, *tables)

    return kernel


def gamma_quantile(alpha: Tensor, eps: Tensor) -> Tensor:
    """Return y = log z with P(alpha, z) = Phi(eps)."""
    return elementwise((_gamma_quantile("64"), _gamma_quantile("32")), 1, alpha, eps)[0]


# weights of f(x + kh) - f(x - kh) in the central difference of order ten
CENTRAL = (5 / 6, -5 / 21, 5 / 84, -5 / 504, 1 / 1260)
STEP_SIZE = 0.08


def slopes(
    velocity: Kernel, arguments: list[np.ndarray], which: int, count: int, step: float = STEP_SIZE
) -> list[np.ndarray]:
    """Return the derivative of the `count` results of a velocity kernel in arguments[which] (the last one is y).

    The velocities are analytic in y and in the logarithm of a parameter, with radii of order one whatever the
    parameter's size, so that a central difference of order ten over steps of 0.08 keeps all but two digits.
    """
    y = arguments[-1]
    totals = [np.zeros_like(y) for _ in range(count)]
    out = [np.empty_like(y) for _ in range(count)]
    for k, weight in enumerate(CENTRAL, start=1):
        for sign in (1.0, -1.0):
            moved = list(arguments)
            shift = sign * k * step
            moved[which] = y + shift if moved[which] is y else moved[which] * np.exp(shift)
            velocity(*moved, *out)
            for total, value in zip(totals, out):
                total += sign * weight * value
    scale = step * (1.0 if arguments[which] is y else arguments[which])
    return [total / scale for total in totals]


def with_slopes(velocity: Kernel, count: int, step: float = STEP_SIZE) -> Kernel:
    """Return a kernel that fills v_1..v_p, then for each v_j its derivatives in y and in every parameter."""

    def kernel(*arrays: np.ndarray) -> None:
        arguments, outs = list(arrays[: count + 1]), arrays[count + 1 :]
        velocity(*arguments, *outs[:count])
        for which in range(-1, count):
            column = outs[count + which + 1 :: count + 1]
            for target, value in zip(column, slopes(velocity, arguments, which, count, step)):
                target[:] = value

    return kernel


BETA_LEAST = {"64": 16.0, "32": 10.0}
BETA_STEPS = {"64": 39.0, "32": 20.0}  # series stop below e^-steps
BETA_LEVELS = {"64": 36, "32": 16}


@cache
def beta_second_tables() -> tuple[np.ndarray, ...]:
    """The uniform expansion of the velocity in double and its slopes in w."""
    name = "beta_velocity_64"
    rows, lengths = series(name)
    return rows, derivative_table(name), lengths, table(f"{name}_powers")


@cache
def _beta_velocity(digits: str, order: int) -> Any:
    name = f"beta_velocity_{digits}"
    constants = (*series(name), table(f"{name}_powers"), BETA_LEAST[digits], BETA_STEPS[digits])

    def first(a: np.ndarray, b: np.ndarray, xi: np.ndarray, da: np.ndarray, db: np.ndarray) -> None:
        beta.velocity(a, b, xi, da, db, *constants, BETA_LEVELS[digits])

    def second(a: np.ndarray, b: np.ndarray, xi: np.ndarray, *outs: np.ndarray) -> None:
        beta_second.velocity(a, b, xi, outs, beta_second_tables())
        da, db = np.empty_like(a), np.empty_like(a)
        first(a, b, xi, da, db)
        outs[3][:] += (outs[0] - da) / a  # v + a v_a, in which v cancels at small a, keeps its digits
        outs[7][:] += (outs[1] - db) / b
        outs[0][:], outs[1][:] = da, db

    return first if order == 1 else second


def beta_velocity(a: Tensor, b: Tensor, xi: Tensor, order: int = 1) -> tuple[Tensor, ...]:
    """Return va = dxi/da and vb = dxi/db of xi = logit x at fixed noise.

    Order 2 adds the derivatives of va in xi, a, b and of vb in xi, a, b.
    """
    return elementwise(
        (_beta_velocity("64", order), _beta_velocity("32", order)), 2 if order == 1 else 8, a, b, xi
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


def _beta_hazards(a: np.ndarray, b: np.ndarray, xi: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    beta_q.hazards(a, b, xi, low, high, table("log_gamma_1p"), BETA_STEPS["64"], BETA_LEVELS["64"])


def beta_hazards(a: Tensor, b: Tensor, xi: Tensor) -> tuple[Tensor, ...]:
    """Return f/F and f/(1 - F) of xi = logit x."""
    return elementwise((_beta_hazards, _beta_hazards), 2, a, b, xi)


def _beta_steps(digits: str) -> Kernel:
    """The Beta quantile by Halley steps; xi comes in with starts, nan where there is none."""
    constants = (table("mills"), table("log_gamma_1p"), BETA_STEPS[digits], BETA_LEVELS[digits], STEP[digits])

    def kernel(a: np.ndarray, b: np.ndarray, eps: np.ndarray, xi: np.ndarray) -> None:
        logp, logq = np.empty_like(eps), np.empty_like(eps)
        beta_q.normal_tails(eps, logp, logq, table("mills"))
        beta_q.quantile(a, b, eps, logp, logq, xi, *constants)

    return kernel


@cache
def _beta_exact(digits: str, kind: int, moving: bool) -> Kernel:
    """A Beta draw and, if `moving`, its derivatives by Halley steps; the draw comes in with starts."""
    steps, velocity = _beta_steps(digits), _beta_velocity(digits, 1)

    def kernel(a: np.ndarray, b: np.ndarray, eps: np.ndarray, xi: np.ndarray, *v: np.ndarray) -> None:
        steps(a, b, eps, xi)
        if moving:
            velocity(a, b, xi, *v)
        if kind != beta_cells.LOGIT:
            beta_cells.from_logit(a, b, kind, moving, xi, *(v or (xi, xi)))

    return kernel


@cache
def _beta_double(kind: int, moving: bool) -> Kernel:
    """The same in double precision, started by the fit: one step more."""
    exact, fit = _beta_exact("64", kind, moving), cells.fit("beta_cells")

    def kernel(a: np.ndarray, b: np.ndarray, eps: np.ndarray, out: np.ndarray, *v: np.ndarray) -> None:
        rest = np.empty(a.size, np.int64)
        left = beta_cells.draw(a, b, eps, fit, beta_cells.LOGIT, False, out, out, out, rest)
        out[rest[:left]] = np.nan
        exact(a, b, eps, out, *v)

    return kernel


def _of_freedom(beta: Kernel) -> Kernel:
    """Return a kernel of degrees of freedom m = 2a and n = 2b from one of a and b."""

    def kernel(m: np.ndarray, n: np.ndarray, eps: np.ndarray, out: np.ndarray, *v: np.ndarray) -> None:
        beta(0.5 * m, 0.5 * n, eps, out, *v)
        for slope in v:
            slope *= 0.5

    return kernel


def _beta(kind: int, moving: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
    outputs = 3 if moving else 1
    unit, of = (0.5, _of_freedom) if kind == beta_cells.RATIO else (1.0, lambda beta: beta)
    if promoted(*tensors)[1] == torch.float64:
        return elementwise((of(_beta_double(kind, moving)),) * 2, outputs, *tensors)
    settings = unit, kind, moving, cells.fit("beta_cells")
    return fitted(share_beta, settings, of(_beta_exact("32", kind, moving)), outputs, *tensors)


def beta_quantile(a: Tensor, b: Tensor, eps: Tensor) -> Tensor:
    """Return xi = logit x with I_x(a, b) = Phi(eps)."""
    return _beta(beta_cells.LOGIT, False, a, b, eps)[0]


def beta_draw(a: Tensor, b: Tensor, eps: Tensor, moving: bool = False) -> tuple[Tensor, ...]:
    """Return (x,) with I_x(a, b) = Phi(eps), and where `moving` also dx/da and dx/db at fixed eps."""
    return _beta(beta_cells.UNIT, moving, a, b, eps)


def ratio_draw(m: Tensor, n: Tensor, eps: Tensor, moving: bool = False) -> tuple[Tensor, ...]:
    """Return (z,), z = (n/m) x/(1 - x) with I_x(m/2, n/2) = Phi(eps); where `moving` also dz/dm and dz/dn."""
    return _beta(beta_cells.RATIO, moving, m, n, eps)
