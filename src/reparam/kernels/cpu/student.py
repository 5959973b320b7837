"""Student's t with nu degrees of freedom.

- U (nu >= 20, w = log(1 + t^2/nu) < 1.5): dt/dnu = t sum_{k>=1} nu^-k h_k(w), and the quantile is
  t = sqrt(nu (e^(r^2) - 1)), r = q sum_k nu^-k R_k(q^2), q = eps/sqrt(nu).
- else by the Beta law: x = nu/(nu + t^2) has the tail probability I_x(nu/2, 1/2) = P(|T| > |t|), so with xi = logit x,
  t^2 = nu e^-xi and dt/dnu = (t/2) (1/nu - (1/2) dxi/da).
"""

from __future__ import annotations

import numpy as np

from reparam.kernels.cpu import elementary as el
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.series import BLOCK, double_series

LEAST = 20.0


@jit
def velocity(nu, w, out, table, lengths):
    """Fill (1/t) dt/dnu in U."""
    r, scratch = np.empty(BLOCK), np.empty(BLOCK)
    for start in range(0, nu.size, BLOCK):
        m = min(BLOCK, nu.size - start)
        for i in range(m):
            r[i] = 1.0 / nu[start + i]
        double_series(table, lengths, w[start:], r, m, scratch, out[start:])
        for i in range(m):
            out[start + i] *= r[i]


@jit
def second(nu, w, h, hs, hnu, table, slopes, orders, lengths):
    """Fill h = (1/t) dt/dnu in U and its slopes in s = log|t| and in nu.

    h = r sum_k r^k g_k(w), r = 1/nu, w_s = 2 (1 - e^-w), w_nu = -r (1 - e^-w); slopes: g_k', orders: (k + 1) g_k.
    """
    r, scratch = np.empty(BLOCK), np.empty(BLOCK)
    for start in range(0, nu.size, BLOCK):
        m = min(BLOCK, nu.size - start)
        for i in range(m):
            r[i] = 1.0 / nu[start + i]
        double_series(table, lengths, w[start:], r, m, scratch, h[start:])
        double_series(slopes, lengths, w[start:], r, m, scratch, hs[start:])
        double_series(orders, lengths, w[start:], r, m, scratch, hnu[start:])
        for i in range(m):
            bend = -el.expm1(-w[start + i]) * r[i] * hs[start + i]
            h[start + i] *= r[i]
            hs[start + i] = 2.0 * bend
            hnu[start + i] = -r[i] * (r[i] * hnu[start + i] + bend)


@jit
def quantile(nu, eps, t, table, lengths):
    """Fill t in U."""
    r, q, s, scratch = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    for start in range(0, nu.size, BLOCK):
        m = min(BLOCK, nu.size - start)
        for i in range(m):
            r[i] = 1.0 / nu[start + i]
            q[i] = eps[start + i] * eps[start + i] * r[i]
        double_series(table, lengths, q, r, m, scratch, s)
        for i in range(m):
            e = eps[start + i]
            size = np.sqrt(nu[start + i] * np.expm1(q[i] * s[i] * s[i]))
            t[start + i] = size if e >= 0.0 else -size
