# mypy: allow-untyped-defs
"""Truncated normal draws and their derivatives in one straight-line pass.

With a, b the standardised bounds, u = 1 - v = sigmoid(eps): Phi(y) = v Phi(a) + u Phi(b), z = loc + scale y,

    dz/dlow = A = v e^((y^2 - a^2)/2)     dz/dloc = 1 - A - B
    dz/dhigh = B = u e^((y^2 - b^2)/2)    dz/dscale = (y - a) A + (y - b) B + y (1 - A - B)

The law is mirrored so that a + b <= 0, hence a < 0. With c = min(b, 0) and x = c + d <= 0 the smaller tail at y,
everything is divided by e^(-c^2/2), so that no tail is too far:

    log scaled(-x) - c d - d^2/2 = log T,   T = Phi(x) e^(c^2/2),   scaled(t) = Phi(-t) e^(t^2/2)

solved by Halley steps for d, the distance from the bound, which keeps its digits where z does not.
"""

from __future__ import annotations

import numpy as np

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.normal_tail import ROOT_2PI, exp_coarse, exp_negative, scaled32, scaled64

FAR = 1e150  # an infinite bound, at which every tail is 0


@jit(forceinline=True)
def score_start(log_p):
    """x <= 0 with log Phi(x) = log_p <= -log 2, to 5e-4 for x > -9 and 5e-3 relative beyond."""
    r = np.sqrt(max(-2.0 * log_p, 1.38))
    top = 2.515517 + r * (0.802853 + r * 0.010328)
    bottom = 1.0 + r * (1.432788 + r * (0.189269 + r * 0.001308))
    return top / bottom - r


@jit(forceinline=True)
def halley64(c, d, T):
    """One step for d."""
    x = c + d
    M = scaled64(-x)
    gap = el.log(M / T) - d * (c + 0.5 * d)
    newton = gap * (M * ROOT_2PI)
    return d - newton / (1.0 + 0.5 * newton * (x + 1.0 / (M * ROOT_2PI)))


@jit(forceinline=True)
def halley32(c, d, T):
    """One step for d with a coarser tail."""
    x = c + d
    M = scaled32(-x)
    gap = el.log(M / T) - d * (c + 0.5 * d)
    newton = gap * (M * ROOT_2PI)
    return d - newton / (1.0 + 0.5 * newton * (x + 1.0 / (M * ROOT_2PI)))


@jit
def draw64(eps, loc, scale, low, high, z, of_loc, of_scale, of_low, of_high):
    """Fill z and its derivatives in loc, scale, low and high, in double."""
    for i in range(eps.size):
        s = scale[i]
        a0 = min(max((low[i] - loc[i]) / s, -FAR), FAR)
        b0 = min(max((high[i] - loc[i]) / s, -FAR), FAR)
        e = exp_negative(-abs(eps[i]))
        near = 1.0 / (1.0 + e)
        far = e * near
        flip = a0 + b0 > 0.0
        a, b = (-b0 if flip else a0), (-a0 if flip else b0)
        right = (eps[i] > 0.0) != flip
        u, v = (near if right else far), (far if right else near)
        c = min(b, 0.0)
        ta = exp_negative(-0.5 * (a - c) * (a + c)) * scaled64(-a)
        tb = exp_negative(-0.5 * (b - c) * (b + c)) * scaled64(abs(b))
        inside = b < 0.0
        below = v * ta + u * (tb if inside else 1.0 - tb)
        above = v * (1.0 - ta) + u * tb
        upper = (not inside) and above < below
        T = above if upper else below
        d = score_start(el.log(T) - 0.5 * c * c) - c
        d = halley64(c, d, T)
        d = halley64(c, d, T)
        x = c + d
        y = -x if upper else x
        A = v * exp_negative(0.5 * (x - a) * (x + a))
        B = u * exp_negative(0.5 * (d * (2.0 * c + d) if inside else (x - b) * (x + b)))
        A = 0.0 if a <= -FAR else A
        B = 0.0 if b >= FAR else B
        rest = 1.0 - A - B
        stretch = (y - a) * A + (d if inside else y - b) * B + y * rest
        edge = low[i] if flip else high[i]
        point = edge + s * (-d if flip else d) if inside else loc[i] + s * (-y if flip else y)
        z[i] = min(max(point, low[i]), high[i])
        of_loc[i] = rest
        of_scale[i] = -stretch if flip else stretch
        of_low[i] = B if flip else A
        of_high[i] = A if flip else B


@jit
def draw32(eps, loc, scale, low, high, z, of_loc, of_scale, of_low, of_high):
    """Fill z and its derivatives in loc, scale, low and high, for single precision (computed in double, to 1e-9)."""
    for i in range(eps.size):
        m, s, l, h, t = (
            np.float64(loc[i]),
            np.float64(scale[i]),
            np.float64(low[i]),
            np.float64(high[i]),
            np.float64(eps[i]),
        )
        a0 = min(max((l - m) / s, -FAR), FAR)
        b0 = min(max((h - m) / s, -FAR), FAR)
        e = exp_coarse(-abs(t))
        near = 1.0 / (1.0 + e)
        far = e * near
        flip = a0 + b0 > 0.0
        a, b = (-b0 if flip else a0), (-a0 if flip else b0)
        right = (t > 0.0) != flip
        u, v = (near if right else far), (far if right else near)
        c = min(b, 0.0)
        ta = exp_coarse(-0.5 * (a - c) * (a + c)) * scaled32(-a)
        tb = exp_coarse(-0.5 * (b - c) * (b + c)) * scaled32(abs(b))
        inside = b < 0.0
        below = v * ta + u * (tb if inside else 1.0 - tb)
        above = v * (1.0 - ta) + u * tb
        upper = (not inside) and above < below
        T = above if upper else below
        d = score_start(el.log(T) - 0.5 * c * c) - c
        d = halley32(c, d, T)
        x = c + d
        y = -x if upper else x
        A = v * exp_coarse(0.5 * (x - a) * (x + a))
        B = u * exp_coarse(0.5 * (d * (2.0 * c + d) if inside else (x - b) * (x + b)))
        A = 0.0 if a <= -FAR else A
        B = 0.0 if b >= FAR else B
        rest = 1.0 - A - B
        stretch = (y - a) * A + (d if inside else y - b) * B + y * rest
        edge = l if flip else h
        point = edge + s * (-d if flip else d) if inside else m + s * (-y if flip else y)
        z[i] = min(max(point, l), h)
        of_loc[i] = rest
        of_scale[i] = -stretch if flip else stretch
        of_low[i] = B if flip else A
        of_high[i] = A if flip else B
