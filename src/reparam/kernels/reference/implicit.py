"""What the references of the implicit families share: quantiles by bisection, slopes by differences.

Slow and plain on purpose: every quantile is what bisection makes of the tails, second derivatives of the gamma
and von Mises laws are central differences of order ten of the velocity, the others' those of its own formula.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

Tails = Callable[..., tuple[Tensor, Tensor]]
Velocity = Callable[..., tuple[Tensor, ...]]
CENTRAL = (5 / 6, -5 / 21, 5 / 84, -5 / 504, 1 / 1260)  # weights of f(x + kh) - f(x - kh)
STEP = 0.08
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
DIGAMMA = (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12)


def in_double(function: Callable[..., tuple[Tensor, ...]], *tensors: Tensor) -> tuple[Tensor, ...]:
    """Broadcast, evaluate in double, round once to the promoted dtype."""
    dtype = tensors[0].dtype
    for t in tensors[1:]:
        dtype = torch.promote_types(dtype, t.dtype)
    wide = torch.broadcast_tensors(*(t.detach().double() for t in tensors))
    return tuple(r.to(dtype) for r in function(*wide))


def with_slopes(velocity: Velocity, *arguments: Tensor, step: float = STEP) -> tuple[Tensor, ...]:
    """v_1..v_p, then for each v_j its derivatives in y (the last argument) and in every parameter."""
    count = len(arguments) - 1
    columns = []
    for which in (count, *range(count)):
        total = [torch.zeros_like(arguments[-1]) for _ in range(count)]
        for k, weight in enumerate(CENTRAL, start=1):
            for sign in (1.0, -1.0):
                moved, shift = list(arguments), torch.tensor(sign * k * step, dtype=torch.float64)
                moved[which] = moved[which] + shift if which == count else moved[which] * shift.exp()
                total = [t + sign * weight * v for t, v in zip(total, velocity(*moved))]
        scale = step if which == count else step * arguments[which]
        columns.append([t / scale for t in total])
    return (*velocity(*arguments), *(column[j] for j in range(count) for column in columns))


def bisect(tails: Tails, eps: Tensor, low: Tensor, high: Tensor, *parameters: Tensor) -> Tensor:
    """The y in (low, high) whose near tail is Phi(-|eps|)."""
    target = torch.special.log_ndtr(-eps.abs())
    for _ in range(120):
        middle = 0.5 * (low + high)
        lower, upper = tails(*parameters, middle)
        left = torch.where(eps < 0, lower < target, upper > target)
        low, high = torch.where(left, middle, low), torch.where(left, high, middle)
    return 0.5 * (low + high)


def log_complement(x: Tensor) -> Tensor:
    """log(1 - e^x) for x <= 0."""
    return torch.where(x > -0.7, torch.log(-torch.expm1(x)), torch.log1p(-torch.exp(x)))


def double_series(table: np.ndarray, x: Tensor, r: Tensor) -> Tensor:
    """sum_k r^k sum_n table[k, n] x^n."""
    total = torch.zeros_like(x)
    for row in table[::-1].tolist():
        total = total * r + polynomial(row, x)
    return total


def polynomial(coefficients: tuple[float, ...] | list[float], x: Tensor) -> Tensor:
    """sum_n coefficients[n] x^n."""
    total = torch.zeros_like(x)
    for c in reversed(coefficients):
        total = total * x + c
    return total


def stirling(x: Tensor) -> Tensor:
    """log Gamma(x) - ((x - 1/2) log x - x + log(2 pi)/2) for x >= 15."""
    return polynomial(STIRLING, x**-2) / x


def digamma_gap(b: Any, a: Any) -> Any:
    """psi(b + a) - psi(b), with a relative error also for small a: fifteen steps up, then Stirling's series."""
    total = sum(a / ((b + k) * (b + a + k)) for k in range(15))
    B = b + 15.0
    gap, p, q = 0.0, 1.0 / B, 1.0 / (B + a)
    for n, c in enumerate(DIGAMMA, start=1):  # c (q^2n - p^2n) = c (q^2 - p^2)(q^(2n-2) + ... + p^(2n-2))
        gap = gap + c * sum(q ** (2 * i) * p ** (2 * (n - 1 - i)) for i in range(n)) * (q + p)
    difference = -a * p * q  # q - p
    return (a / B).log1p() + difference * (gap - 0.5) + total


def log_gamma_gap(b: Tensor, a: Tensor) -> Tensor:
    """log Gamma(b + a) - log Gamma(b), with a relative error also for small a."""
    q = torch.zeros_like(a)
    for k in range(15):  # q = prod (b + a + k)/(b + k) - 1
        q = q * (1.0 + a / (b + k)) + a / (b + k)
    B = b + 15.0
    return (
        (B - 0.5) * torch.log1p(a / B)
        + a * torch.log(B + a)
        - a
        + stirling(B + a)
        - stirling(B)
        - torch.log1p(q)
    )
