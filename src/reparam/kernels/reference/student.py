"""Student's t with nu degrees of freedom, by the Beta law of x = nu/(nu + t^2): P(|T| > |t|) = I_x(nu/2, 1/2).

With s = log|t| and xi = logit x = log nu - 2 s: ds/dnu = (1/2)(1/nu - (1/2) dxi/da). For nu >= 20 and moderate t,
where the two terms cancel, (1/t) dt/dnu = sum_{k>=1} nu^-k h_k(w), w = log(1 + t^2/nu).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reparam.kernels.reference.beta import beta_tails, beta_velocity
from reparam.kernels.reference.implicit import bisect, double_series, in_double
from reparam.kernels.tables import derivative_table, order_table, table


def _log_size(t: Tensor) -> Tensor:
    return t.abs().clamp(1e-300, 1.7e308).log()


def _relative(nu: Tensor, s: Tensor) -> tuple[Tensor]:
    """(1/t) dt/dnu at log|t| = s."""
    xi = nu.log() - 2.0 * s
    w = torch.nn.functional.softplus(-xi)
    r = 1.0 / nu
    central = r * double_series(table("student_velocity_64"), w.clamp(max=2.0), r)
    general = 0.5 * r - 0.25 * beta_velocity(0.5 * nu, torch.full_like(nu, 0.5), xi)[0]
    return (torch.where((nu >= 20.0) & (w < 1.5), central, general),)


def _velocity(nu: Tensor, t: Tensor) -> tuple[Tensor]:
    return (t * _relative(nu, _log_size(t))[0],)


def _central(nu: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """h = r sum_k r^k g_k(w), r = 1/nu, and its slopes: w_s = 2 (1 - e^-w), w_nu = -r (1 - e^-w)."""
    name, r = "student_velocity_64", 1.0 / nu
    sums = [double_series(rows, w, r) for rows in (table(name), derivative_table(name), order_table(name))]
    bend = -torch.expm1(-w) * r * sums[1]
    return r * sums[0], 2.0 * bend, -r * (r * sums[2] + bend)


def _slopes(nu: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """v = t h(nu, s): v_t = h + h_s, v_nu = t h_nu."""
    xi = nu.log() - 2.0 * _log_size(t)
    w = torch.nn.functional.softplus(-xi)
    inside = (nu >= 20.0) & (w < 1.5)
    central = _central(nu, w.clamp(max=2.0))
    va, _, vas, vaa, *_ = beta_velocity(0.5 * nu, torch.full_like(nu, 0.5), xi, order=2)
    general = 0.5 / nu - 0.25 * va, 0.5 * vas, -0.5 / nu**2 - 0.25 * (0.5 * vaa + vas / nu)
    h, hs, hnu = (torch.where(inside, c, g) for c, g in zip(central, general))
    return t * h, h + hs, t * hnu


def student_velocity(df: Tensor, t: Tensor, order: int = 1) -> tuple[Tensor, ...]:
    """Return v = dt/ddf at fixed noise; order 2 adds dv/dt and dv/ddf."""
    return in_double(_velocity if order == 1 else _slopes, df, t)


def _both(nu: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """log P(|T| < e^s) and log P(|T| > e^s)."""
    outside, inside = beta_tails(0.5 * nu, torch.full_like(nu, 0.5), nu.log() - 2.0 * s)
    return inside, outside


def _tails(nu: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    near = _both(nu, _log_size(t))[1] - math.log(2.0)
    far = torch.log1p(-near.exp())
    return torch.where(t < 0, near, far), torch.where(t < 0, far, near)


def student_tails(df: Tensor, t: Tensor) -> tuple[Tensor, ...]:
    """Return log F(t; df) and log(1 - F(t; df))."""
    return in_double(_tails, df, t)


def _quantile(nu: Tensor, eps: Tensor) -> tuple[Tensor]:
    inside = torch.erf(0.5**0.5 * eps.abs())  # P(|N| < |eps|), the lower tail of |T|
    outside = torch.special.log_ndtr(-eps.abs()) + math.log(2.0)

    def signed(nu: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Tails shifted so that bisect's target, Phi(-|eps|), stands for the side that is small."""
        low, high = _both(nu, s)
        target = torch.special.log_ndtr(-eps.abs())
        central = inside < 0.5
        below = torch.where(central, low - inside.clamp(min=1e-300).log(), outside - high) + target
        return below, -below + 2.0 * target

    s = bisect(signed, -eps.abs(), torch.full_like(nu, -700.0), 80.0 / nu + 50.0, nu)
    return (torch.where(eps == 0, eps, torch.sign(eps) * s.exp()),)


def student_quantile(df: Tensor, eps: Tensor) -> Tensor:
    """Return t with F(t; df) = Phi(eps)."""
    return in_double(_quantile, df, eps)[0]


def _draw(nu: Tensor, scale: Tensor, loc: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    t = _quantile(nu, eps)[0]
    return loc + scale * t, scale * _velocity(nu, t)[0], t


def student_draw(
    df: Tensor, scale: Tensor, loc: Tensor, eps: Tensor, moving: bool = False
) -> tuple[Tensor, ...]:
    """Return (z,), z = loc + scale t with F(t; df) = Phi(eps); where `moving` also dz/ddf and dz/dscale."""
    return in_double(_draw, df, scale, loc, eps)[: 3 if moving else 1]
