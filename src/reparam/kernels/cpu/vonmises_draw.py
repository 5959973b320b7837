# mypy: allow-untyped-defs
"""Von Mises draws and their velocities in single precision, by the Fourier series of the distribution function.

    S(z) = 1 - F(z) = 1/2 - z/(2 pi) - (1/pi) sum_j r_j sin(j z)/j,   r_j = I_j(kappa)/I_0(kappa),   0 <= z < pi
    v = dz/dkappa = S_kappa/f,   S_kappa = -(1/pi) sum_j r_j' sin(j z)/j,   r_j' = (r_{j-1} + r_{j+1})/2 - r_1 r_j

Both sums by one pass backwards over j: p_{j-1} = p_{j+1} + (2 j/kappa) p_j (Miller) makes the r_j up to a factor, and
b_j = c_j + 2 cos z b_{j+1} - b_{j+2} (Clenshaw) sums them. The absolute error is 1e-15, enough for single precision
where the tail is above 1e-6: for kappa < 30 and |eps| < 4.6; the others go through the general kernels.

Quantile: Halley steps on log S from a fitted start of 2 % (8 % at worst). The velocity comes with the last step: it is
moved to the new point by v_z = A - cos z + kappa v sin z and v_zz.
"""

from __future__ import annotations

import math

import numpy as np

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.normal_tail import exp_coarse, exp_negative, scaled64

BLOCK = 256
LEAST, REACH = 30.0, 4.6  # of kappa and abs(eps): beyond them the general kernels
PI = math.pi
STEPS = 12
TINY = 1e-290  # where Miller's recurrence starts, so that it ends below 1e308


@jit(forceinline=True)
def start(kappa, eps):
    """z >= 0 to 2 % (8 % at worst): eps/sqrt(1 + kappa) times a polynomial in eps^2 and kappa/(kappa + 4)."""
    x = eps * eps * (2.0 / (REACH * REACH)) - 1.0
    w = kappa / (kappa + 4.0) * (34.0 / 15.0) - 1.0
    c0 = 1.5884 + w * (-0.58627 + w * (-1.2418 + w * (1.3683 + w * (0.68258 - w * 0.76333))))
    c1 = 0.060894 + w * (1.8518 + w * (-1.3191 + w * (-4.0101 + w * (1.1019 + w * 2.461))))
    c2 = -0.39303 + w * (0.30695 + w * (2.476 + w * (-2.0642 + w * (-2.0634 + w * 1.6822))))
    c3 = 0.2453 + w * (-2.2887 + w * (-1.0272 + w * (8.1066 + w * (0.58677 - w * 5.8484))))
    c4 = 0.021256 + w * (1.6014 + w * (-0.95022 + w * (-4.736 + w * (1.2689 + w * 3.0041))))
    c5 = -0.18982 + w * (1.0181 + w * (1.5215 + w * (-4.6669 + w * (-1.4261 + w * 3.8577))))
    c6 = 0.10344 + w * (-1.1331 + w * (-0.5886 + w * (4.3769 + w * (0.42258 - w * 3.3232))))
    factor = c0 + x * (c1 + x * (c2 + x * (c3 + x * (c4 + x * (c5 + x * c6)))))
    return min(eps / np.sqrt(1.0 + kappa) * factor, 3.1)


@jit(forceinline=True)
def sine(h):
    """sin h for abs(h) <= pi/2."""
    q = h * h
    p = 1.9572941063391263e-20
    p = p * q - 8.2206352466243297e-18
    p = p * q + 2.8114572543455206e-15
    p = p * q - 7.6471637318198164e-13
    p = p * q + 1.6059043836821613e-10
    p = p * q - 2.5052108385441718e-08
    p = p * q + 2.7557319223985893e-06
    p = p * q - 1.9841269841269841e-04
    p = p * q + 8.3333333333333332e-03
    p = p * q - 1.6666666666666666e-01
    return h + h * q * p


@jit
def sums(kappa, z, m, terms, W):
    """Into W: sin z, cos z, A, I_0 e^-kappa, S and S_kappa."""
    s, c, p, q, b1, b2, d1, d2, total = W[0], W[1], W[2], W[3], W[4], W[5], W[6], W[7], W[8]
    for i in range(m):
        s[i] = sine(z[i] if z[i] < 0.5 * PI else PI - z[i])
        c[i] = sine(0.5 * PI - z[i])
        p[i], q[i], total[i] = TINY, 0.0, 0.0
        b1[i], b2[i], d1[i], d2[i] = 0.0, 0.0, 0.0, 0.0
        W[9, i] = 2.0 / max(kappa[i], 1e-8)
    for j in range(terms, 0, -1):
        r = 1.0 / j
        for i in range(m):
            now, turn = p[i], 2.0 * c[i]
            below = q[i] + j * W[9, i] * now
            b = now * r + turn * b1[i] - b2[i]
            d = (below + q[i]) * (0.5 * r) + turn * d1[i] - d2[i]
            b2[i], b1[i], d2[i], d1[i] = b1[i], b, d1[i], d
            q[i], p[i] = now, below
            total[i] += now
    for i in range(m):
        norm = 1.0 / p[i]
        A = q[i] * norm
        first = b1[i] * s[i] * norm
        second = d1[i] * s[i] * norm - A * first
        W[2, i] = A
        W[3, i] = 1.0 / (1.0 + 2.0 * total[i] * norm)
        W[4, i] = 0.5 - (0.5 * z[i] + first) / PI
        W[5, i] = -second / PI


@jit
def advance(kappa, z, target, m, W, v, done):
    """One Halley step on log S, and the velocity at its end; done where the step was 2e-3 of the local scale."""
    for i in range(m):
        s, c, A, S = W[0, i], W[1, i], W[2, i], max(W[4, i], 1e-18)
        f = exp_coarse(kappa[i] * (c - 1.0)) / (2.0 * PI * W[3, i])
        gap = el.log(S) - target[i]
        hazard = f / S
        newton = gap / hazard
        bend = 1.0 + 0.5 * newton * (hazard - kappa[i] * s)
        new = min(max(z[i] + newton / min(max(bend, 0.5), 2.0), 0.2 * z[i]), z[i] + 0.8 * (PI - z[i]))
        move = new - z[i]
        v0 = W[5, i] / f
        v1 = A - c + kappa[i] * v0 * s
        v2 = s + kappa[i] * (v1 * s + v0 * c)
        v[i] = v0 + move * (v1 + 0.5 * move * v2)
        z[i] = new
        done[i] = 1.0 if abs(move) * (np.sqrt(1.0 + kappa[i]) + hazard) < 2e-3 else 0.0


@jit
def draw32(kappa, eps, out, velocity, other):
    """Fill out and velocity; return how many are left over, their numbers in `other`."""
    W, k, z, t = np.empty((10, BLOCK)), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    v, done, where = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK, np.int64)
    beyond = 0
    for begin in range(0, eps.size, BLOCK):
        m, most = 0, 0.0
        for i in range(begin, min(begin + BLOCK, eps.size)):
            inside = kappa[i] < LEAST and abs(eps[i]) < REACH
            where[m] = i
            other[beyond] = i
            m += inside
            beyond += not inside
        for i in range(m):
            k[i], t[i] = kappa[where[i]], abs(eps[where[i]])
            most = max(most, k[i])
        for i in range(m):
            z[i] = start(k[i], t[i])
            t[i] = el.log(exp_negative(-0.5 * t[i] * t[i]) * scaled64(t[i]))
        terms = int(6.0 + np.sqrt(80.0 * most))
        for _ in range(STEPS):
            sums(k, z, m, terms, W)
            advance(k, z, t, m, W, v, done)
            left = 0
            for i in range(m):
                sign = 1.0 if eps[where[i]] >= 0.0 else -1.0
                out[where[i]], velocity[where[i]] = sign * z[i], sign * v[i]
                if done[i] == 0.0:
                    where[left], k[left], z[left], t[left] = where[i], k[i], z[i], t[i]
                    left += 1
            m = left
            if m == 0:
                break
    return beyond
