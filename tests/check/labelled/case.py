"""A labelled loss, the list of all, and what several of them share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.distributions import Normal


@dataclass(frozen=True)
class Case:
    """A loss, its label, and what the check is given."""

    name: str
    build: Callable[[], tuple]
    verdict: str
    cause: str = ""  # a word of the cause
    options: dict[str, Any] = field(default_factory=dict)


CASES: list[Case] = []


def right(**options):
    return lambda build: CASES.append(Case(build.__name__, build, "unbiased", "", options)) or build


def fault(cause, **options):
    return lambda build: CASES.append(Case(build.__name__, build, "biased", cause, options)) or build


def leaf(*values, dtype=torch.float32):
    return torch.tensor(values if len(values) > 1 else values[0], dtype=dtype, requires_grad=True)


def carry(value, surrogate):
    """Return value with the gradient of surrogate."""
    return value.detach() + surrogate - surrogate.detach()


def bernoulli(S, weight, t=0.2, eta=0.3):
    """E (b - t)^2 with the surrogate weight(f) . log p(b)."""
    logit = leaf(eta)

    def loss():
        p = torch.sigmoid(logit)
        b = (torch.rand(S) < p).float().detach()
        f = (b - t) ** 2
        log_prob = b * torch.log(p) + (1 - b) * torch.log1p(-p)
        return carry(f.mean(), (weight(f) * log_prob).mean())

    return loss, {"logit": logit}


def importance(weights, x=1.5, S=64):
    """The bound of K = 8 importance samples, with the weights of log w_k in the surrogate chosen by `weights`."""
    loc, log_scale = leaf(0.5), leaf(-0.2)

    def loss():
        scale = log_scale.exp()
        z = loc + scale * torch.randn(8, S)
        q = Normal(loc.detach(), scale.detach())
        log_w = Normal(0.0, 1.0).log_prob(z) + Normal(z, 1.0).log_prob(torch.tensor(x)) - q.log_prob(z)
        v = torch.softmax(log_w.detach(), 0)
        return carry(-torch.logsumexp(log_w, 0).mean(), -(weights(v) * log_w).sum(0).mean())

    return loss, {"loc": loc, "log_scale": log_scale}
