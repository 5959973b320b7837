"""Modified Bessel functions I of any real order: the ratio of neighbours and the logarithm.

Both climb SHIFT orders up, where Debye's uniform expansion holds for every kappa, and come down again by
r_n = I_n/I_{n-1} = 1/(2n/kappa + r_{n+1}), which shrinks errors. Plain torch, differentiable in order and kappa.
"""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from reparam.special.normal import _in_double, refuse

SHIFT = 48
ORDERS = 9
HALF_LOG_2PI = 0.91893853320467274178
Polynomial = list[Fraction]


def _debye() -> tuple[list[list[float]], list[list[float]]]:
    """Coefficients in p of Debye's U_k and of W_k, where V_k = U_k + (1 - p^2) W_k belongs to the derivative.

    U_{k+1} = p^2(1-p^2)/2 U_k' + (1/8) integral_0^p (1 - 5t^2) U_k dt, W_{k+1} = -(p/2) U_k - p^2 U_k'.
    """
    u: Polynomial = [Fraction(1)]
    us, ws = [u], [[Fraction(0)]]
    for _ in range(1, ORDERS):
        size = len(u) + 3
        after, w = [Fraction(0)] * size, [Fraction(0)] * size
        for n, c in enumerate(u):
            after[n + 1] += c * Fraction(n, 2) + c / (8 * (n + 1))
            after[n + 3] -= c * Fraction(n, 2) + 5 * c / (8 * (n + 3))
            w[n + 1] -= c / 2 + n * c
        u = after
        us.append(u)
        ws.append(w)
    return [[float(c) for c in row] for row in us], [[float(c) for c in row] for row in ws]


DEBYE_U, DEBYE_W = _debye()  # numbers, which a compiler can trace


def _sum(rows: list[list[float]], p: Tensor, r: Tensor) -> Tensor:
    """sum_k r^k sum_n rows[k][n] p^n."""
    total = torch.zeros_like(p)
    for row in reversed(rows):
        inner = torch.zeros_like(p)
        for c in reversed(row):
            inner = inner * p + c
        total = total * r + inner
    return total


def _top(order: Tensor, kappa: Tensor) -> tuple[Tensor, Tensor]:
    """I_{n+1}/I_n and log(I_n e^-kappa unit^-n), n large: z = kappa/n, s = sqrt(1 + z^2), p = 1/s."""
    root = torch.sqrt(order * order + kappa * kappa)
    z, s, p, r = kappa / order, root / order, order / root, 1.0 / order
    U, W = _sum(DEBYE_U, p, r), _sum(DEBYE_W, p, r)
    V = U + (1.0 - p * p) * W
    ratio = z * (V / (1.0 + s) + p * p * W) / U
    exponent = order * order / (root + kappa) + order * torch.log(
        torch.where(kappa < 1, 1.0, kappa) / (order + root)
    )
    return ratio, exponent - HALF_LOG_2PI - 0.5 * root.log() + U.log()


def bessel_ratio(order: Tensor, kappa: Tensor) -> Tensor:
    """Return I_order(kappa) / I_{order-1}(kappa), in (0, 1) for order >= 1/2.

    Args:
        order: real, >= 1/2.
        kappa: >= 0, finite. Other arguments give nan.

    **Gradient**: in both arguments, any order of differentiation. The kappa-derivative is exact relative to 1/kappa.

    Example:
        >>> bessel_ratio(torch.tensor(1.5, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64))
        tensor(0.5373, dtype=torch.float64)
    """
    return _in_double(lambda n, k: _descend(n, k, 0.5)[0], order, kappa)


def log_ive(order: Tensor, kappa: Tensor) -> Tensor:
    """Return log(I_order(kappa) e^-kappa) for order >= 0 and kappa >= 0, without overflow at any size."""
    return _in_double(lambda n, k: _descend(n + 1.0, k, 1.0)[1], order, kappa)


def log_iv(order: Tensor, kappa: Tensor) -> Tensor:
    """Return log I_order(kappa) for order >= 0 and kappa >= 0."""
    return _in_double(lambda n, k: _descend(n + 1.0, k, 1.0)[1] + k, order, kappa)


def _descend(order: Tensor, kappa: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """I_n/I_{n-1} and log(I_{n-1} e^-kappa) at n = order: r_n = kappa/(2n + kappa r_{n+1}).

    Below kappa = 1 the unit of kappa is kappa itself, elsewhere 1: its power (n-1) is the only part singular at 0.
    """
    order, kappa = torch.broadcast_tensors(order, kappa)
    valid = (order >= least) & (order < torch.inf) & (kappa >= 0) & (kappa < torch.inf)
    n, k = torch.where(valid, order, 1.0), torch.where(valid, kappa, 1.0)
    ratio, log_top = _top(n + (SHIFT - 1.0), k)  # I_{n+SHIFT}/I_{n+SHIFT-1}, log I_{n+SHIFT-1}
    small = k < 1
    scaled = torch.where(small, 1.0, k)
    product = torch.zeros_like(k)
    for j in range(SHIFT - 1, -1, -1):
        bottom = 2.0 * (n + j) + k * ratio
        ratio = k / bottom
        product = product + torch.log(scaled / bottom)
    power = n - 1.0
    singular = small & ~((power == 0) & (k == 0))  # I_0(0) = 1
    unit = torch.where(singular, torch.where(small, k, 1.0), 1.0)
    total = log_top - product + torch.xlogy(power, unit)
    return refuse(ratio, valid, order, kappa), refuse(total, valid, order, kappa)
