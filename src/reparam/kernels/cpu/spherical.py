"""The von Mises-Fisher law of t = mu.x on the sphere of R^d, d >= 2, on the coordinate xi = atanh t.

With the angle s = arccos t the density is proportional to g(s) = e^(kappa cos s) sin(s)^(d-2), an entire function
for integer d, and everything is an integral of one sign over one side of an angle theta:

    F_upper(theta) = int_0^theta g / int_0^pi g,      1 - A = E[2 sin(s/2)^2]
    dxi/dkappa = int_0^theta (cos s - A) g(s) ds / (g(theta) sin theta),   or minus the integral over (theta, pi),

each over the part where g has not fallen below e^-42 of its largest value there, by Gauss and Legendre's rule of 64
nodes. For xi < 0 the sphere is reflected (theta -> pi - theta, kappa -> -kappa, A -> -A), so that no angle near pi
loses its digits. At d = 3 all is known: e = (1 + t)/2 has the density r e^(r e)/(e^r - 1) on [0, 1], r = 2 kappa, so
that with d = 1 - e, q = P(T < t) and p = 1 - q

    e = log(1 + q (e^r - 1))/r,   d = -log(1 - p (1 - e^-r))/r = -log(q + p e^-r)/r,   xi = log(e/d)/2.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from reparam.kernels.cpu.elementwise import elementwise
from reparam.kernels.cpu.families import slopes
from reparam.kernels.cpu.jit import jit

NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)
FALL = -42.0


@jit
def level(kappa, m, s, sin_s, p, sin_p):
    """log g(s) - log g(p), m = d - 2."""
    value = -2.0 * kappa * math.sin(0.5 * (s + p)) * math.sin(0.5 * (s - p))
    return value + m * math.log(sin_s / sin_p) if m > 0.0 else value


@jit
def mode(kappa, m):
    """The angle of the largest g: sin^2 = m cos / kappa."""
    k = abs(kappa)
    c = 2.0 * k / (m + math.sqrt(m * m + 4.0 * k * k)) if k > 0.0 else 0.0
    angle = math.atan2(math.sqrt(m * c / k), c) if k > 0.0 else 0.5 * math.pi
    return angle if kappa >= 0.0 else math.pi - angle


@jit
def edge(kappa, m, p, end):
    """The angle between p and `end` where g has fallen to e^FALL of g(p), or `end`."""
    sin_p = math.sin(p)
    near, far = p, end
    if m <= 0.0 and level(kappa, m, far, 0.0, p, sin_p) > FALL:
        return end
    for _ in range(26):
        middle = 0.5 * (near + far)
        if level(kappa, m, middle, math.sin(middle), p, sin_p) > FALL:
            near = middle
        else:
            far = middle
    return far


@jit
def side(kappa, m, theta, gap, left, nodes, weights):
    """(shift, J, K): int g / g(theta) = e^shift J over one side, and the same of (cos s - A) g, gap = 1 - A."""
    top = mode(kappa, m)
    p = min(theta, top) if left else max(theta, top)
    # at m = 0 the mode may be the end itself
    end = edge(kappa, m, p, 0.0 if left else math.pi) if p != (0.0 if left else math.pi) else p
    half, middle = 0.5 * abs(theta - end), 0.5 * (theta + end)
    sin_p = math.sin(p)
    J, K = 0.0, 0.0
    for i in range(nodes.size):
        s = middle + half * nodes[i]
        value = weights[i] * math.exp(level(kappa, m, s, math.sin(s), p, sin_p))
        J += value
        K += value * (gap - 2.0 * math.sin(0.5 * s) ** 2)
    return level(kappa, m, p, sin_p, theta, math.sin(theta)), half * J, half * K


@jit
def whole(kappa, m, nodes, weights):
    """(mode, int g / g(mode), 1 - A), kappa >= 0."""
    top = mode(kappa, m)
    J, K = 0.0, 0.0
    if top > 0.0:
        _, J, K = side(kappa, m, top, 0.0, True, nodes, weights)
    _, J2, K2 = side(kappa, m, top, 0.0, False, nodes, weights)
    return top, J + J2, -(K + K2) / (J + J2)


@jit
def near_tail(kappa, m, xi, top, total, gap, nodes, weights):
    """(upper, log tail, log(density of xi / tail)): the smaller of P(t > tanh xi) and P(t < tanh xi), or nearly."""
    flip = xi < 0.0
    theta = 2.0 * math.atan(math.exp(-abs(xi)))
    k, a = (-kappa, 2.0 - gap) if flip else (kappa, gap)
    left = a > 2.0 * math.sin(0.5 * theta) ** 2
    shift, J, _ = side(k, m, theta, a, left, nodes, weights)
    sin = math.sin(theta)
    sin_top = math.sin(top)
    height = -2.0 * k * math.sin(0.5 * (theta + top)) * math.sin(0.5 * (theta - top))
    if flip:
        height = kappa * (-math.cos(theta) - math.cos(top))
    if m > 0.0:
        height += m * math.log(sin / sin_top)
    return left != flip, height + shift + math.log(J / total), math.log(sin) - shift - math.log(J)


@jit
def known_quantile(kappa, q, p):
    """xi at d = 3, from probabilities q below and p above it."""
    r = 2.0 * kappa
    h, less = math.exp(-0.5 * r), math.expm1(-r)
    if q * (1.0 + h) < h and r < 700.0:  # e < 1/2
        e = math.log1p(-q * less / (h * h)) / r
        return 0.5 * math.log(e / (1.0 - e))
    rest = -(math.log(q + p * h * h) if r > 1.0 and p > 0.5 else math.log1p(p * less)) / r
    return 0.5 * math.log((1.0 - rest) / rest)


@jit
def known_velocity(kappa, xi):
    """dxi/dkappa at d = 3, (de/dr)/(e d): with g(t) = (1 - e^-t)/t and divided differences g[a, b]

    de/dr = e (g(r e)/g(r) - 1)/r = d (1 - e^(-r e) g(r d)/g(r))/r = -e d g[r e, r]/g(r),

    the first where e < d, the second elsewhere, for r < 1 the third,

        -g[r e, r] = sum_k (-r)^k (1 + ... + e^k)/(k + 2)!
    """
    r = 2.0 * kappa
    e, d = 1.0 / (1.0 + math.exp(-2.0 * xi)), 1.0 / (1.0 + math.exp(2.0 * xi))
    mass = -math.expm1(-r)
    if r < 1.0:
        term, powers, power, total = 1.0, 1.0, e, 0.5
        for k in range(1, 19):
            powers += power
            power *= e
            term *= -r / (k + 2)
            total += 0.5 * term * powers
        return total * r / mass
    if e < d:
        return (-math.expm1(-r * e) / (e * mass) - 1.0) / (r * d)
    return (1.0 + math.exp(-r * e) * math.expm1(-r * d) / (d * mass)) / (r * e)


@jit
def velocity(d, kappa, xi, out, nodes, weights):
    """out = dxi/dkappa at fixed noise."""
    last_d, last_kappa, gap = -1.0, -1.0, 0.0
    for i in range(xi.size):
        if d[i] == 3.0:
            out[i] = known_velocity(kappa[i], xi[i])
            continue
        m = d[i] - 2.0
        if d[i] != last_d or kappa[i] != last_kappa:
            _, _, gap = whole(kappa[i], m, nodes, weights)
            last_d, last_kappa = d[i], kappa[i]
        flip = xi[i] < 0.0
        theta = 2.0 * math.atan(math.exp(-abs(xi[i])))
        k, a = (-kappa[i], 2.0 - gap) if flip else (kappa[i], gap)
        left = a > 2.0 * math.sin(0.5 * theta) ** 2
        shift, _, K = side(k, m, theta, a, left, nodes, weights)
        out[i] = (K if left else -K) * math.exp(shift) / math.sin(theta)


@jit
def tails(d, kappa, xi, low, high, nodes, weights):
    """low, high = log P(t < tanh xi), log P(t > tanh xi)."""
    for i in range(xi.size):
        m = d[i] - 2.0
        top, total, gap = whole(kappa[i], m, nodes, weights)
        upper, tail, _ = near_tail(kappa[i], m, xi[i], top, total, gap, nodes, weights)
        tail = min(tail, -1e-300)
        other = math.log1p(-math.exp(tail)) if tail < -0.7 else math.log(-math.expm1(tail))
        low[i], high[i] = (other, tail) if upper else (tail, other)


@jit
def quantile(d, kappa, eps, target, xi, nodes, weights):
    """xi with F(xi) = Phi(eps), target = log Phi(-|eps|): Newton on the log of a tail between shrinking bounds."""
    for i in range(xi.size):
        if d[i] == 3.0:
            near, rest = max(math.exp(target[i]), 1e-300), -math.expm1(target[i])
            xi[i] = (
                known_quantile(kappa[i], rest, near) if eps[i] > 0.0 else known_quantile(kappa[i], near, rest)
            )
            continue
        m = d[i] - 2.0
        top, total, gap = whole(kappa[i], m, nodes, weights)
        t = math.cos(mode(kappa[i], m + 1.0))
        curve = (1.0 - t * t) * (2.0 * kappa[i] * t + m + 1.0)
        x = math.atanh(t) + eps[i] / math.sqrt(curve)
        lowest, highest = -400.0, 400.0
        far = math.log1p(-math.exp(target[i])) if target[i] < -0.7 else math.log(-math.expm1(target[i]))
        for _ in range(200):
            upper, tail, hazard = near_tail(kappa[i], m, x, top, total, gap, nodes, weights)
            wanted = target[i] if upper == (eps[i] > 0.0) else far
            excess = tail - wanted if upper else wanted - tail  # > 0: x is too low
            if excess > 0.0:
                lowest = x
            else:
                highest = x
            step = excess * math.exp(-hazard)
            if abs(step) <= 1e-15 * max(1.0, abs(x)):
                break
            onward = x + step
            if not (lowest < onward < highest):
                onward = 0.5 * (lowest + highest)
            if onward == x or highest - lowest <= 1e-15 * max(1.0, abs(x)):
                break
            x = onward
        xi[i] = x


def _velocity(d: np.ndarray, kappa: np.ndarray, xi: np.ndarray, *out: np.ndarray) -> None:
    velocity(d, kappa, xi, out[1], NODES, WEIGHTS)
    out[0][:] = 0.0


def _velocity_2(d: np.ndarray, kappa: np.ndarray, xi: np.ndarray, *out: np.ndarray) -> None:
    """v_d = 0, v_kappa; then the slopes of v_d (0) and of v_kappa in xi, d (0), kappa."""
    _velocity(d, kappa, xi, *out[:2])
    for k in (2, 3, 4, 6):
        out[k][:] = 0.0
    for k, which in ((5, -1), (7, 1)):
        out[k][:] = slopes(_velocity, [d, kappa, xi], which, 2)[1]


def _tails(d: np.ndarray, kappa: np.ndarray, xi: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    tails(d, kappa, xi, low, high, NODES, WEIGHTS)


def _quantile(d: np.ndarray, kappa: np.ndarray, eps: np.ndarray, xi: np.ndarray) -> None:
    target = torch.special.log_ndtr(torch.from_numpy(-np.abs(eps))).numpy()
    quantile(d, kappa, eps, target, xi, NODES, WEIGHTS)


def fisher_velocity(d: Tensor, kappa: Tensor, xi: Tensor, order: int = 1) -> tuple[Tensor, ...]:
    """Return (0, dxi/dkappa) at fixed noise; the dimension d is a constant. Order 2 adds the slopes in xi, d, kappa."""
    kernel, count = (_velocity, 2) if order == 1 else (_velocity_2, 8)
    return elementwise((kernel, kernel), count, d, kappa, xi)


def fisher_tails(d: Tensor, kappa: Tensor, xi: Tensor) -> tuple[Tensor, ...]:
    """Return log P(t < tanh xi) and log P(t > tanh xi)."""
    return elementwise((_tails, _tails), 2, d, kappa, xi)


def fisher_quantile(d: Tensor, kappa: Tensor, eps: Tensor) -> Tensor:
    """Return xi with P(t < tanh xi) = Phi(eps)."""
    return elementwise((_quantile, _quantile), 1, d, kappa, eps)[0]
