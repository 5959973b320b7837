"""The evidence lower bound, ELBO(x) = E_q[log p(x|z)] - KL(q(z|x) || p(z)) = E_q[log p(x,z) - log q(z|x)]."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from reparam.distributions import Distribution, convert
from reparam.estimators.base import check_samples, evaluate
from reparam.estimators.surrogate import box
from reparam.noise import Noise, given
from reparam.objectives.terms import Terms

Density = Callable[[Tensor], Tensor]


def elbo(
    log_density: Density,
    q: torch.distributions.Distribution,
    *,
    prior: torch.distributions.Distribution | None = None,
    kl: str = "analytic",
    beta: float | Tensor = 1.0,
    free_bits: float = 0.0,
    samples: int = 1,
    noise: Noise | None = None,
    gradient: str = "total",
) -> Terms:
    """Estimate the ELBO per example, in nats.

    Without `prior`, `log_density` is log p(x, z):      bound = mean_s [log p(x, z_s) - log q(z_s)]
    With `prior` p, `log_density` is log p(x|z):        bound = mean_s log p(x|z_s) - KL(q || p)
                                                    objective = mean_s log p(x|z_s) - beta max(KL, free_bits)

    Args:
        log_density: maps z of shape (S, *B, *E) to (S, *B).
        q: q(z|x), batch shape (*B), event shape (*E); reparameterized.
        prior: p(z), of the event shape of q and a batch shape that broadcasts to q's.
        kl: "analytic" (needs a registered formula) or "monte_carlo", mean_s [log q(z_s) - log p(z_s)].
        beta: weight of the KL in the objective, >= 0.
        free_bits: nats per example below which the KL is not pressed further, >= 0.
        samples: S.
        noise: the address of the draws.
        gradient: "total", the total derivative; or "stl" (sticking the landing), which drops the score of q. It
            needs log q in the bound, so no analytic KL.

    Gradient: both choices are unbiased in the parameters of the model and of q. The variance of "stl" goes to
    zero as q approaches the posterior; that of "total" does not. Derivatives of any order are unbiased.
    Cost: S evaluations.

    Raises:
        TypeError: q has no pathwise derivative.
        ValueError: options that exclude each other, a prior of other shapes, or no analytic KL.

    References: kingma2014, roeder2017 (stl), kingma2016 (free bits).

    Example:
        >>> import reparam as rp
        >>> p = torch.distributions.Normal(0.0, 1.0)
        >>> terms = rp.elbo(lambda z: p.log_prob(z), rp.distributions.Normal(0.0, 1.0), noise=rp.Noise(0))
        >>> round(terms.bound.item(), 6)
        0.0
    """
    check_samples("elbo", samples)
    q = reparameterized("elbo", convert(q))
    _check_options(prior, kl, beta, free_bits, gradient)
    if prior is not None:
        _check_prior(prior, q)
    z = q.rsample((samples,), noise=given(noise, "elbo"))
    if prior is None:
        bound = (evaluate(log_density, z, q) - log_q(q, z, gradient)).mean(0)
        return Terms(bound=bound, objective=bound)
    reconstruction = evaluate(log_density, z, q).mean(0)
    error = None
    if kl == "analytic":
        divergence = analytic_kl(q, prior)
    else:
        draws = log_q(q, z, gradient) - prior.log_prob(z)
        divergence = draws.mean(0)
        if samples > 1:
            error = draws.detach().std(0) / math.sqrt(samples)
    return weighed(reconstruction, divergence, beta, free_bits, error)


def weighed(
    reconstruction: Tensor,
    kl: Tensor,
    beta: float | Tensor = 1.0,
    free_bits: float = 0.0,
    error: Tensor | None = None,
) -> Terms:
    """Return the terms of bound = reconstruction - KL and objective = reconstruction - beta max(KL, free_bits)."""
    pressed = torch.clamp(kl, min=free_bits) if free_bits else kl
    return Terms(
        bound=reconstruction - kl,
        objective=reconstruction - beta * pressed,
        reconstruction=reconstruction,
        kl=kl,
        kl_standard_error=error,
    )


def log_q(q: Distribution, z: Tensor, gradient: str) -> Tensor:
    """Return log q(z); for "stl" without the score of q, so that only z carries its parameters.

    The score is taken away as box - 1, of value 0: its first derivative is the score, and every derivative of it has
    mean 0, so that higher derivatives stay unbiased.
    """
    total = q.log_prob(z)
    return total - (box(q.log_prob(z.detach())) - 1) if gradient == "stl" else total


def analytic_kl(q: torch.distributions.Distribution, prior: torch.distributions.Distribution) -> Tensor:
    """Return KL(q || prior) by the formula registered with torch, shape (*B)."""
    try:
        return torch.distributions.kl_divergence(q, prior)
    except NotImplementedError:
        raise ValueError(
            f"elbo: no analytic KL is registered for ({type(q).__name__}, {type(prior).__name__}); "
            "got kl='analytic'; write kl='monte_carlo'"
        ) from None


def reparameterized(who: str, q: Distribution) -> Distribution:
    """Return q, or raise if its draws have no derivative."""
    if q.rule == "none":
        raise TypeError(
            f"{who}: q must have draws with a derivative; got {type(q).__name__}, of rule 'none'; "
            "write the bound with reparam.expect and an estimator"
        )
    return q


def _check_prior(prior: torch.distributions.Distribution, q: Distribution) -> None:
    """Raise unless log p(z) is one number for each example of q."""
    pairs = zip(reversed(prior.batch_shape), reversed(q.batch_shape))
    fits = len(prior.batch_shape) <= len(q.batch_shape) and all(m in (1, n) for m, n in pairs)
    if prior.event_shape != q.event_shape or not fits:
        raise ValueError(
            f"elbo: prior must have the event shape of q, {tuple(q.event_shape)}, and a batch shape that broadcasts "
            f"to q's, {tuple(q.batch_shape)}; got {tuple(prior.event_shape)} and {tuple(prior.batch_shape)}; wrap "
            "prior or q in Independent, or expand q"
        )


def _check_options(
    prior: torch.distributions.Distribution | None,
    kl: str,
    beta: float | Tensor,
    free_bits: float,
    gradient: str,
) -> None:
    if gradient not in ("total", "stl"):
        raise ValueError(f"elbo: gradient must be 'total' or 'stl'; got {gradient!r}")
    if kl not in ("analytic", "monte_carlo"):
        raise ValueError(f"elbo: kl must be 'analytic' or 'monte_carlo'; got {kl!r}")
    check_weights(beta, free_bits)
    if prior is None and (isinstance(beta, Tensor) or beta != 1 or free_bits):
        raise ValueError(
            "elbo: beta and free_bits weigh KL(q || prior); got no prior; pass prior= and log p(x|z)"
        )
    if prior is not None and kl == "analytic" and gradient == "stl":
        raise ValueError(
            "elbo: an analytic KL has no score term to drop; got gradient='stl'; write kl='monte_carlo'"
        )


def check_weights(beta: float | Tensor, free_bits: float) -> None:
    """Raise unless the weights of a KL are none below 0."""
    if not isinstance(beta, Tensor) and not beta >= 0:
        raise ValueError(f"elbo: beta must be >= 0; got {beta!r}")
    if not free_bits >= 0:
        raise ValueError(f"elbo: free_bits must be >= 0 nats; got {free_bits!r}")
