"""What estimators need to know of a discrete site: its logits, its relaxation, its states.

A site is a Bernoulli or OneHotCategorical family, or an Independent of it; its relaxation is in transforms.
"""

import math

import torch
from torch import Tensor

from reparam.distributions import Bernoulli, Distribution, Independent, OneHotCategorical
from reparam.distributions.categorical import log_weights
from reparam.transforms.relaxation import Site


def family(q: torch.distributions.Distribution) -> torch.distributions.Distribution:
    """Return q without its Independent wrappers."""
    while isinstance(q, Independent):
        q = q.base_dist
    return q


def discrete_site(estimator: object, q: Distribution) -> Site:
    """Return the site of a Bernoulli or OneHotCategorical q, or raise."""
    base = family(q)
    if isinstance(base, Bernoulli):
        return Site(bernoulli_logits(estimator, base), True)
    if isinstance(base, OneHotCategorical):
        return Site(log_weights(base), False)
    raise TypeError(
        f"{type(estimator).__name__}: q must be Bernoulli or OneHotCategorical, or Independent of one; got "
        f"{type(base).__name__}; for integers use LeaveOneOut, Enumerate, RaoBlackwell or WithoutReplacement"
    )


def binary_logits(estimator: object, q: Distribution) -> Tensor:
    """Return the logits (*B, *E) of a Bernoulli q, or raise."""
    base = family(q)
    if not isinstance(base, Bernoulli):
        raise TypeError(
            f"{type(estimator).__name__}: q must be Bernoulli, or Independent of it; got {type(base).__name__}; "
            "use LeaveOneOut, REBAR or RELAX"
        )
    return bernoulli_logits(estimator, base)


def bernoulli_logits(estimator: object, base: Bernoulli) -> Tensor:
    """Return logits, from probs where these were given; probs of 0 and 1 have none, and raise."""
    ((name, value),) = base.parameters().items()
    if name == "logits":
        return value
    if base._validate_args and not bool(((value > 0) & (value < 1)).all()):
        raise ValueError(
            f"{type(estimator).__name__}: probs must be inside (0, 1), since the estimator works on logits; got "
            "a probability of 0 or 1; use Enumerate, LeaveOneOut or MeasureValued"
        )
    return torch.special.logit(value)


def states(estimator: object, q: Distribution, limit: int) -> Tensor:
    """Return every state of a finite q, shape (N, *B, *E), the last site running fastest, or raise."""
    base = family(q)
    name = type(estimator).__name__
    if not base.has_enumerate_support:
        raise TypeError(
            f"{name}: q must have finitely many states; got {type(base).__name__}; use LeaveOneOut or ScoreFunction"
        )
    support = base.enumerate_support(expand=False)
    support = support.reshape(support.shape[0], *base.event_shape)
    sites = q.event_shape[: len(q.event_shape) - len(base.event_shape)]
    n, count = len(support), math.prod(sites)
    if n**count > limit:
        raise ValueError(
            f"{name}: q must have at most {limit} states; got {n}^{count}; raise `limit`, or use LeaveOneOut"
        )
    index = torch.arange(n**count, device=support.device).unsqueeze(-1)
    powers = torch.tensor([n**k for k in reversed(range(count))], dtype=torch.int64, device=support.device)
    digits = (index // powers) % n
    grid = support[digits].reshape(n**count, *(1,) * len(q.batch_shape), *q.event_shape)
    return grid.expand(n**count, *q.batch_shape, *q.event_shape)


def probability(q: Distribution, z: Tensor) -> Tensor:
    """Return q(z), shape (*S, *B), differentiable also where it is 0 by a given probs of 0 or 1."""
    if isinstance(q, Independent):
        each = probability(q.base_dist, z)
        for _ in range(q.reinterpreted_batch_ndims):
            each = each.prod(-1)
        return each
    if isinstance(q, Bernoulli) and "probs" in q.parameters():
        p = q.parameters()["probs"]
        return torch.where(z > 0, p, 1 - p)
    if isinstance(q, OneHotCategorical) and "probs" in q.parameters():
        return (z * q.parameters()["probs"]).sum(-1)
    return q.log_prob(z).exp()
