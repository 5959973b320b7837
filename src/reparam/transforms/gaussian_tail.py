"""Normal probabilities and partial moments, finite and differentiable at infinite bounds and far in the tails."""

import math

import numpy as np
import torch
from torch import Tensor

from reparam.special import log_ndtr
from reparam.special.mills import mills

SHORT = 1.5  # below: Gauss-Legendre sums; above: Mills' ratio at both ends
NODES, WEIGHTS = (values.tolist() for values in np.polynomial.legendre.leggauss(10))
FRACTION_FROM, FRACTION_LEVELS = 3.0, 48


def log_cdf(x: Tensor) -> Tensor:
    """Return log Phi(x); -inf at -inf and 0 at +inf, both with derivative zero."""
    finite = torch.isfinite(x)
    value = log_ndtr(torch.where(finite, x, 0.0))
    return torch.where(finite, value, torch.where(x > 0, 0.0, -torch.inf))


def log_density(x: Tensor) -> Tensor:
    """Return -x^2 / 2 - log(2 pi) / 2."""
    return -0.5 * x * x - 0.5 * math.log(2 * math.pi)


def log_add(x: Tensor, y: Tensor) -> Tensor:
    """Return log(e^x + e^y), differentiable in every mode where one of them is -inf."""
    alone_x, alone_y = torch.isinf(y), torch.isinf(x)
    safe_x, safe_y = torch.where(alone_y, 0.0, x), torch.where(alone_x, 0.0, y)
    both = torch.logaddexp(safe_x, safe_y)
    return torch.where(alone_x, x, torch.where(alone_y, y, both))


def partial_moments(y: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return h, A_0, A_1, A_2, E of int_0^w t^k e^(-y t - t^2/2) dt = e^h A_k, and E = e^(-y w - w^2/2 - h).

    h is the largest exponent, at p = min(max(-y, 0), w). With J_k(g, v) = int_0^v s^k e^(-g s - s^2/2) ds, g >= 0, the
    parts on either side of p are

        A_k = sum_j C(k, j) p^(k-j) (J_j(max(y, 0), w - p) + (-1)^j J_j(max(-y - w, 0), p)),

    without a difference of large numbers anywhere. w may be infinite.
    """
    far = torch.isinf(w)
    width = torch.where(far, 1.0, w)
    beyond = ~far & (
        -y > width
    )  # one branch for both sides of a tie: clamp and minimum would mix their derivatives
    p = torch.where(beyond, width, torch.where(y < 0, -y, 0.0))
    right = falling_moments(torch.where(y < 0, 0.0, y), torch.where(far, torch.inf, width - p))
    left = falling_moments(torch.where(beyond, -y - width, 0.0), p)
    plus, minus, square = (r + l for r, l in zip(right, left)), right[1] - left[1], p * p
    J0, _, J2 = plus
    rest = torch.where(far, 0.0, width - p)
    edge = torch.where(far, 0.0, torch.exp(-rest * (y + p + rest / 2)))
    return -p * (y + p / 2), J0, p * J0 + minus, square * J0 + 2 * p * minus + J2, edge


def falling_moments(g: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return J_k(g, v) = int_0^v s^k e^(-g s - s^2/2) ds, g >= 0, k = 0, 1, 2.

    With K_k = J_k(g, inf) and E = e^(-g v - v^2/2), J_k(g, v) = K_k(g) - E sum_j C(k, j) v^(k-j) K_j(g + v).
    """
    far = torch.isinf(v)
    finite = torch.where(far, 1.0, v)
    short = ~far & (finite * (g + finite / 2) < SHORT)
    width = torch.where(short, finite, 0.0)
    sums = [torch.zeros_like(width) for _ in range(3)]
    for node, weight in zip(NODES, WEIGHTS):
        s = (1 + node) / 2 * width
        term = weight / 2 * width * torch.exp(-s * (g + s / 2))
        sums = [total + term * s**k for k, total in enumerate(sums)]
    wide = torch.where(short, 2.0, finite)
    E = torch.where(far, 0.0, torch.exp(-wide * (g + wide / 2)))
    (a0, a1, a2), (b0, b1, b2) = _whole_moments(g), _whole_moments(torch.where(far, g, g + wide))
    ends = a0 - E * b0, a1 - E * (b1 + wide * b0), a2 - E * (b2 + wide * (2 * b1 + wide * b0))
    first, second, third = (torch.where(short, near, end) for near, end in zip(sums, ends))
    return first, second, third


def _whole_moments(g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return K_k = int_0^inf s^k e^(-g s - s^2/2) ds, k = 0, 1, 2: K_1 = 1 - g K_0 and K_2 = K_0 - g K_1.

    For large g by the ratios r_k = K_k/K_(k-1) = k/(g + r_(k+1)), from the last one backwards: no differences.
    """
    large = g > FRACTION_FROM
    x = torch.where(large, g, FRACTION_FROM)
    ratio = torch.zeros_like(x)
    for k in range(FRACTION_LEVELS, 2, -1):
        ratio = k / (x + ratio)
    second = 2 / (x + ratio)
    first = 1 / (x + second)
    K0 = 1 / (x + first)
    near = torch.where(large, 0.0, g)
    M = mills(near)
    K1 = 1 - near * M
    small, big = (M, K1, M - near * K1), (K0, K0 * first, K0 * first * second)
    zeroth, one, two = (torch.where(large, b, s) for b, s in zip(big, small))
    return zeroth, one, two
