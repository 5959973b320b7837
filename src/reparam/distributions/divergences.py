"""Kullback-Leibler divergences in closed form that torch does not register; those of torch's classes hold for ours too.

KL(p || q) = E_p[log p - log q] in nats. InverseGaussian has its own beside the family.
"""

from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.distributions.kl import kl_divergence, register_kl

from reparam import special
from reparam.distributions.gamma import ExpGamma
from reparam.distributions.multivariate_normal import LowRankMultivariateNormal, MultivariateNormal
from reparam.distributions.narrow import half_of, single
from reparam.distributions.positive import Weibull
from reparam.distributions.spherical import VonMisesFisher
from reparam.distributions.truncated_normal import TruncatedNormal
from reparam.distributions.von_mises import VonMises
from reparam.distributions.wishart import Wishart
from reparam.special.logarithms import log_quotient

EULER = 0.57721566490153286061


@register_kl(Weibull, Weibull)
def _kl_weibull(p: Weibull, q: Weibull) -> Tensor:
    """KL = log r - (1 - 1/r) gamma - d + e^d Gamma(1 + 1/r) - 1, r = k_p/k_q, d = k_q log(lambda_p/lambda_q).

    With z = (x/lambda_p)^k_p standard exponential, log p - log q = log r - d + (1 - 1/r) log z - z + e^d z^(1/r).
    """
    s = q.concentration / p.concentration
    d = q.concentration * log_quotient(p.scale, q.scale)
    return -torch.log(s) - (1 - s) * EULER - d + torch.exp(d + torch.lgamma(1 + s)) - 1


@register_kl(ExpGamma, ExpGamma)
def _kl_exp_gamma(p: ExpGamma, q: ExpGamma) -> Tensor:
    """KL of the gamma laws: a map that is one to one changes no divergence."""
    a, b = p.concentration, q.concentration
    d = log_quotient(p.rate, q.rate)
    gap = torch.lgamma(b) - torch.lgamma(a) + (a - b) * torch.digamma(a)
    return gap + b * d + a * torch.expm1(-d)


@register_kl(TruncatedNormal, TruncatedNormal)
def _kl_truncated_normal(p: TruncatedNormal, q: TruncatedNormal) -> Tensor:
    """KL = -H(p) - E_p log q; inf where the bounds of p are not within those of q.

    With d = (x - mode_q)/scale_q and c = (mode_q - loc_q)/scale_q: log q(x) = log q(mode_q) - c d - d^2/2.
    """
    p_, q_ = p._as(torch.float64), q._as(torch.float64)
    mode, c, right, left = q_._about_mode()
    d = (p_.mean - mode) / q_.scale
    square = p_.variance / q_.scale**2 + d * d
    value = torch.log(q_.scale) + torch.log(right[0] + left[0]) + c * d + square / 2 - p_.entropy()
    within = (p_.low >= q_.low) & (p_.high <= q_.high)
    return torch.where(within, value, torch.inf).to(torch.promote_types(p.loc.dtype, q.loc.dtype))


@register_kl(VonMises, VonMises)
def _kl_von_mises(p: VonMises, q: VonMises) -> Tensor:
    """KL = log(I_0(k_q) e^-k_q / (I_0(k_p) e^-k_p)) + (k_q - k_p)(1 - A) + 2 k_q A sin^2((m_p - m_q)/2), A = A(k_p)."""
    k, other = p.concentration, q.concentration
    A = special.bessel_ratio(torch.ones_like(k), k)
    scaled = torch.log(torch.special.i0e(other)) - torch.log(torch.special.i0e(k))
    return scaled + (other - k) * (1 - A) + 2 * other * A * torch.sin((p.loc - q.loc) / 2) ** 2


@register_kl(VonMisesFisher, VonMisesFisher)
def _kl_von_mises_fisher(p: VonMisesFisher, q: VonMisesFisher) -> Tensor:
    """KL = log N_q - log N_p + (k_q - k_p)(1 - A) + k_q A |m_p - m_q|^2/2, A = A_d(k_p)."""
    k, other = p.concentration, q.concentration
    gap = p._gap().to(k.dtype)
    apart = (p.loc - q.loc).square().sum(-1) / 2
    norms = (q._log_norm() - p._log_norm()).to(k.dtype)
    return norms + (other - k) * gap + other * (1 - gap) * apart


def _kl_wishart(p: torch.distributions.Wishart, q: torch.distributions.Wishart) -> Tensor:
    """KL = n_q/2 (log|V_q| - log|V_p|) + n_p/2 (tr V_q^{-1} V_p - d) + log Gamma_d(n_q/2) - log Gamma_d(n_p/2)

    + (n_p - n_q)/2 psi_d(n_p/2), with V = L L' and psi_d(a) = sum_{i<d} psi(a - i/2).
    """
    (m, L), (n, K), d = _bartlett(p), _bartlett(q), p.event_shape[-1]
    steps = torch.arange(d, dtype=m.dtype, device=m.device) / 2
    psi = torch.digamma(m.unsqueeze(-1) / 2 - steps).sum(-1)
    volume = (K.diagonal(dim1=-2, dim2=-1).log() - L.diagonal(dim1=-2, dim2=-1).log()).sum(-1)
    shape = torch.broadcast_shapes(K.shape, L.shape)
    trace = (
        torch.linalg.solve_triangular(K.expand(shape), L.expand(shape), upper=False).square().sum((-2, -1))
    )
    norms = torch.mvlgamma(n / 2, d) - torch.mvlgamma(m / 2, d)
    value = n * volume + m / 2 * (trace - d) + norms + (m - n) / 2 * psi
    return value.to(torch.promote_types(p.df.dtype, q.df.dtype))


def _bartlett(law: Any) -> tuple[Tensor, Tensor]:
    """Return df and L of a Wishart law, at least in float32."""
    wide = law._as(torch.float32) if half_of(law) else law
    return single(law.df), wide._unbroadcasted_scale_tril


def _kl_gaussian(p: Any, q: Any) -> Tensor:
    """Return torch's formula; in half precision that of the float32 twins, rounded once."""
    return kl_divergence(_plain(p), _plain(q)).to(torch.promote_types(p.loc.dtype, q.loc.dtype))


def _plain(law: Any) -> torch.distributions.Distribution:
    """Return a Gaussian law as one of torch's own class, at least in float32."""
    wide = law._as(torch.float32) if half_of(law) else law
    if isinstance(wide, LowRankMultivariateNormal):
        given = wide.loc, wide._unbroadcasted_cov_factor, wide._unbroadcasted_cov_diag
        return torch.distributions.LowRankMultivariateNormal(*given, validate_args=False)
    factor = wide._unbroadcasted_scale_tril
    return torch.distributions.MultivariateNormal(wide.loc, scale_tril=factor, validate_args=False)


for pair in product((MultivariateNormal, LowRankMultivariateNormal), repeat=2):
    register_kl(*pair)(_kl_gaussian)
for pair in (
    (Wishart, Wishart),
    (Wishart, torch.distributions.Wishart),
    (torch.distributions.Wishart, Wishart),
):
    register_kl(*pair)(_kl_wishart)
