"""VIMCO: the importance-weighted bound for discrete q, with a baseline for each sample from the others."""

import math

import torch
from torch import Tensor

from reparam.distributions import convert
from reparam.estimators.base import check_samples, evaluate, refuse_scheme
from reparam.estimators.surrogate import box
from reparam.noise import Noise, given
from reparam.objectives.elbo import Density
from reparam.objectives.terms import Terms


def vimco(
    log_joint: Density,
    q: torch.distributions.Distribution,
    *,
    samples: int,
    noise: Noise | None = None,
) -> Terms:
    """Estimate the importance-weighted bound per example, in nats, for a q without pathwise derivatives.

        bound = L = log (1/K) sum_k w_k,   w_k = p(x, z_k) / q(z_k|x)
        L_k = the same with log w_k replaced by the mean of the other log w_j
        d E L = E [ sum_k (L - L_k) d log q(z_k) + sum_k v_k d log w_k ],   v_k = w_k / sum_j w_j

    Args:
        log_joint: log p(x, z): maps z of shape (K, *B, *E) to (K, *B).
        q: any distribution; the draws are not differentiated.
        samples: K >= 2.
        noise: the address of the draws, independent of each other.

    Gradient: unbiased for E[bound], in the parameters of p and q, to any order. Cost: K evaluations, K^2 additions.

    References: mnih2016.
    """
    check_samples("vimco", samples, least=2)
    q = convert(q)
    noise = given(noise, "vimco")
    refuse_scheme("vimco", noise)
    z = q.sample((samples,), noise=noise)
    log_q = q.log_prob(z)
    log_w = evaluate(log_joint, z, q) - log_q
    L = torch.logsumexp(log_w, 0) - math.log(samples)
    L_k = leave_one_out_bounds(log_w.detach())
    bound = L * box(log_q.sum(0)) + ((1 - box(log_q)) * L_k).sum(0)
    return Terms(bound=bound, objective=bound)


def leave_one_out_bounds(log_w: Tensor) -> Tensor:
    """Return L_k for every k, shape (K, *B)."""
    K = len(log_w)
    others = (log_w.sum(0) - log_w) / (K - 1)
    own = torch.eye(K, dtype=torch.bool, device=log_w.device).reshape(K, K, *(1,) * (log_w.ndim - 1))
    return torch.logsumexp(torch.where(own, others, log_w), 1) - math.log(K)
