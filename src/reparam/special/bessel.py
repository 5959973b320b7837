"""Modified Bessel functions I of any real order: the ratio of neighbours and the logarithm.

With R = sqrt(n^2 + kappa^2), p = n/R, Debye's uniform expansion is a series in 1/R:

    I_n = e^(R - n asinh(n/kappa)) (2 pi R)^(-1/2) U          U = sum_k R^-k u_k(p^2)
    I_{n+1}/I_n = e^(-asinh(n/kappa)) + (kappa/R) W/U         W = sum_k R^-k w_k(p^2)

It holds from R = FAR on, at small orders too. Below, the ratio climbs FAR orders up and comes down again by
I_n/I_{n-1} = 1/(2n/kappa + I_{n+1}/I_n), which shrinks errors, and the logarithm is that of the power series, whose
terms are positive. No derivative cancels at large kappa. Plain torch, differentiable in order and kappa.
"""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from reparam.kernels.reference.implicit import log_gamma_gap
from reparam.special.normal import _in_double, refuse
from reparam.special.series import double_series

FAR = 48
ORDERS = 13
TERMS = 72  # of the power series at kappa = FAR
HALF_LOG_2PI = 0.91893853320467274178
Polynomial = list[Fraction]


def _debye() -> tuple[Tensor, Tensor]:
    """Coefficients in p^2 of u_k = p^-k U_k and w_k = p^-k W_k, V_k = U_k + (1 - p^2) W_k that of the derivative.

    U_{k+1} = p^2(1-p^2)/2 U_k' + (1/8) integral_0^p (1 - 5t^2) U_k dt, W_{k+1} = -(p/2) U_k - p^2 U_k'.
    """
    u: Polynomial = [Fraction(1)]
    out = torch.zeros(2, ORDERS, ORDERS, dtype=torch.float64)
    out[0, 0, 0] = 1.0
    for k in range(1, ORDERS):
        after, w = [Fraction(0)] * (len(u) + 3), [Fraction(0)] * (len(u) + 3)
        for n, c in enumerate(u):
            after[n + 1] += c * Fraction(n, 2) + c / (8 * (n + 1))
            after[n + 3] -= c * Fraction(n, 2) + 5 * c / (8 * (n + 3))
            w[n + 1] -= c / 2 + n * c
        u = after
        for i, row in enumerate((u, w)):
            kept = [float(c) for c in row[k : 3 * k + 1 : 2]]
            out[i, k, : len(kept)] = torch.tensor(kept, dtype=torch.float64)
    return out[0], out[1]


DEBYE_U, DEBYE_W = _debye()


def _angle(n: Tensor, kappa: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """asinh(n/kappa), less log(1/kappa) where kappa <= n; and e^-asinh(n/kappa) = kappa/(n + R)."""
    wide = kappa > n
    t = torch.asinh(torch.where(wide, n, 0.0) / torch.where(wide, kappa, 1.0))
    size = torch.where(wide, 1.0, n + root)
    return torch.where(wide, t, size.log()), torch.where(wide, torch.exp(-t), kappa / size)


def _root(n: Tensor, kappa: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """R, p^2 and 1/R."""
    root = torch.sqrt(n * n + kappa * kappa)
    return root, (n / root) ** 2, 1 / root


def _far_ratio(n: Tensor, kappa: Tensor) -> Tensor:
    """I_{n+1}/I_n."""
    root, q, r = _root(n, kappa)
    return _angle(n, kappa, root)[1] + kappa * r * double_series(DEBYE_W, q, r) / double_series(DEBYE_U, q, r)


def _far_logarithm(n: Tensor, kappa: Tensor) -> Tensor:
    """log(I_n e^-kappa)."""
    root, q, r = _root(n, kappa)
    lead = n * n / (root + kappa) - n * _angle(n, kappa, root)[0]
    power = torch.xlogy(n, torch.where(kappa > n, 1.0, kappa))
    return lead + power - HALF_LOG_2PI - 0.5 * root.log() + double_series(DEBYE_U, q, r).log()


def _near_logarithm(n: Tensor, kappa: Tensor) -> Tensor:
    """log I_n = n log(kappa/2) - log Gamma(n + 1) + log sum_k (kappa/2)^2k/(k! (n + 1)..(n + k))."""
    h, total = (0.5 * kappa) ** 2, torch.zeros_like(kappa)
    for k in range(TERMS, 0, -1):
        total = (1 + total) * h / (k * (n + k))
    unit = torch.where((n == 0) & (kappa == 0), 1.0, 0.5 * kappa)  # I_0(0) = 1
    return torch.xlogy(n, unit) - log_gamma_gap(torch.ones_like(n), n) + torch.log1p(total)


def bessel_ratio(order: Tensor, kappa: Tensor) -> Tensor:
    """Return I_order(kappa) / I_{order-1}(kappa), in (0, 1) for order >= 1/2.

    Args:
        order: real, >= 1/2.
        kappa: >= 0, finite. Other arguments give nan.

    **Gradient**: in both arguments, any order of differentiation, without cancellation at large kappa.

    Example:
        >>> bessel_ratio(torch.tensor(1.5, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64))
        tensor(0.5373, dtype=torch.float64)
    """
    return _in_double(_ratio, order, kappa)


def log_ive(order: Tensor, kappa: Tensor) -> Tensor:
    """Return log(I_order(kappa) e^-kappa) for order >= 0 and kappa >= 0, without overflow at any size."""
    return _in_double(lambda n, k: _logarithm(n, k, True), order, kappa)


def log_iv(order: Tensor, kappa: Tensor) -> Tensor:
    """Return log I_order(kappa) for order >= 0 and kappa >= 0."""
    return _in_double(lambda n, k: _logarithm(n, k, False), order, kappa)


def _prepared(order: Tensor, kappa: Tensor, least: float, lower: float) -> tuple[Tensor, ...]:
    """The arguments, where they are valid, where R of n = order - lower is large, and both made harmless elsewhere."""
    order, kappa = torch.broadcast_tensors(order, kappa)
    valid = (order >= least) & (order < torch.inf) & (kappa >= 0) & (kappa < torch.inf)
    n, k = torch.where(valid, order, 1.0), torch.where(valid, kappa, 1.0)
    return order, kappa, valid, ((n - lower).abs() >= FAR) | (k >= FAR), n, k


def _ratio(order: Tensor, kappa: Tensor) -> Tensor:
    order, kappa, valid, far, n, k = _prepared(order, kappa, 0.5, 1.0)
    top = _far_ratio(n + torch.where(far, -1.0, FAR - 1.0), k)
    m, x, near = torch.where(far, 1.0, n), torch.where(far, 1.0, k), torch.where(far, 0.0, top)
    for j in range(FAR - 1, -1, -1):
        near = x / (2.0 * (m + j) + x * near)
    return refuse(torch.where(far, top, near), valid, order, kappa)


def _logarithm(order: Tensor, kappa: Tensor, scaled: bool) -> Tensor:
    order, kappa, valid, far, n, k = _prepared(order, kappa, 0.0, 0.0)
    above = _far_logarithm(torch.where(far, n, 1.0 * FAR), torch.where(far, k, 1.0))
    below = _near_logarithm(torch.where(far, 1.0, n), torch.where(far, 1.0, k))
    value = torch.where(far, above, below - k) if scaled else torch.where(far, above + k, below)
    return refuse(value, valid, order, kappa)
