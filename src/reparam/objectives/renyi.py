"""The Renyi bound, log E_q[w^(1 - alpha)] / (1 - alpha), w = p(x, z) / q(z|x)."""

import math

import torch

from reparam.distributions import convert
from reparam.estimators.base import check_samples, evaluate
from reparam.noise import Noise, given
from reparam.objectives.elbo import Density, reparameterized
from reparam.objectives.terms import Terms


def renyi(
    log_joint: Density,
    q: torch.distributions.Distribution,
    *,
    alpha: float,
    samples: int = 1,
    noise: Noise | None = None,
) -> Terms:
    """Estimate the Renyi bound per example, in nats, from K = samples draws.

        bound = log( (1/K) sum_k w_k^(1 - alpha) ) / (1 - alpha),   w_k = p(x, z_k) / q(z_k|x)

    alpha = 0 is `iwae`, alpha = 1 (the limit) the ELBO, alpha < 0 an upper bound on log p(x) as K grows. For finite K
    the mean of the estimate lies below the Renyi bound if alpha < 1 and above it if alpha > 1.

    Args:
        log_joint: log p(x, z): maps z of shape (K, *B, *E) to (K, *B).
        q: q(z|x), reparameterized.
        alpha: any real number.
        samples: K.
        noise: the address of the draws.

    Gradient: the total derivative; an unbiased gradient of the mean of the K-sample estimate. Double backward works.
    Cost: K evaluations.

    References: li2016.
    """
    check_samples("renyi", samples)
    if not math.isfinite(alpha):
        raise ValueError(
            f"renyi: alpha must be finite; got {alpha!r}; large values tend to the extreme weights"
        )
    q = reparameterized("renyi", convert(q))
    z = q.rsample((samples,), noise=given(noise, "renyi"))
    log_w = evaluate(log_joint, z, q) - q.log_prob(z)
    if alpha == 1:
        bound = log_w.mean(0)
    else:
        bound = (torch.logsumexp((1 - alpha) * log_w, 0) - math.log(samples)) / (1 - alpha)
    return Terms(bound=bound, objective=bound)
