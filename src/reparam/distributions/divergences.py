"""Kullback-Leibler divergences in closed form that torch does not register; those of torch's classes hold for ours too.

KL(p || q) = E_p[log p - log q] in nats. InverseGaussian has its own beside the family.
"""

import torch
from torch import Tensor
from torch.distributions.kl import register_kl

from reparam import special
from reparam.distributions.gamma import ExpGamma
from reparam.distributions.positive import Weibull
from reparam.distributions.spherical import VonMisesFisher
from reparam.distributions.von_mises import VonMises
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
