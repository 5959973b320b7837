"""The importance-weighted bound, log (1/K) sum_k w_k, w_k = p(x, z_k) / q(z_k|x)."""

import math

import torch
from torch import Tensor

from reparam.distributions import convert
from reparam.estimators.base import check_samples, evaluate, refuse_scheme
from reparam.estimators.surrogate import with_slope
from reparam.noise import Noise, given
from reparam.objectives.elbo import Density, log_q, reparameterized
from reparam.objectives.terms import Terms


def iwae(
    log_joint: Density,
    q: torch.distributions.Distribution,
    *,
    samples: int = 1,
    noise: Noise | None = None,
    gradient: str = "total",
) -> Terms:
    """Estimate the importance-weighted bound per example, in nats, from K = samples draws.

        bound = log (1/K) sum_k w_k,   w_k = p(x, z_k) / q(z_k|x),   v_k = w_k / sum_j w_j

    Args:
        log_joint: log p(x, z): maps z of shape (K, *B, *E) to (K, *B).
        q: q(z|x), reparameterized.
        samples: K.
        noise: the address of the draws; for "dreg" they must be independent of each other.
        gradient: "total": v_k d log w_k / d(theta, phi). "dreg" (doubly reparameterized): v_k for the model's
            parameters theta, v_k^2 along the path z_k for those of q.

    Gradient: both are unbiased gradients of E[bound], in theta and phi. The signal-to-noise ratio of "total" in
    phi falls as K grows, that of "dreg" does not. Where one parameter is in both p and q, "dreg" still adds the
    two parts. Double backward works for "total"; that of "dreg" raises. Cost: K evaluations.

    Raises:
        ValueError: gradient="stl", which is biased for K > 1, or "dreg" with noise that ties the draws together.
        RuntimeError: a second derivative of "dreg".

    References: burda2016, tucker2019 (dreg), rainforth2018.
    """
    check_samples("iwae", samples)
    if gradient == "stl":
        raise ValueError("iwae: gradient='stl' is biased for more than one sample; got 'stl'; write 'dreg'")
    if gradient not in ("total", "dreg"):
        raise ValueError(f"iwae: gradient must be 'total' or 'dreg'; got {gradient!r}")
    q = reparameterized("iwae", convert(q))
    noise = given(noise, "iwae")
    if gradient == "dreg" and samples > 1:
        refuse_scheme("iwae with gradient='dreg'", noise)
    z = q.rsample((samples,), noise=noise)
    weights: list[Tensor] = []
    if gradient == "dreg" and z.requires_grad:
        event = (1,) * len(q.event_shape)
        # the gradient that reaches z carries v already; one more factor makes it v^2
        z = z.clone()
        z.register_hook(lambda g: g * weights[0].reshape(weights[0].shape + event))
    log_w = evaluate(log_joint, z, q) - log_q(q, z, "stl" if gradient == "dreg" else "total")
    bound = torch.logsumexp(log_w, 0) - math.log(samples)
    if gradient == "dreg":
        weights.append(torch.softmax(log_w.detach(), 0))
        bound = with_slope(bound.detach(), log_w.movedim(0, -1), weights[0].movedim(0, -1))
    return Terms(bound=bound, objective=bound)
