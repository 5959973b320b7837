"""The Bernoulli family: b = 1[logits + eps > 0], eps logistic."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from reparam.distributions.base import Distribution, result_dtype
from reparam.transforms.logits import bernoulli_log_prob


class Bernoulli(Distribution, torch.distributions.Bernoulli):
    """Bernoulli law on {0, 1}, P(b = 1) = probs = sigmoid(logits).

        b = 1[logits + eps > 0],  eps ~ Logistic(0, 1)

    Args:
        probs: in [0, 1]; 0 and 1 are exact, not moved.
        logits: real. Exactly one of the two is given.

    Shape: the parameter is the batch shape; scalar events.

    Gradient: rule "none": b is piecewise constant in the parameter. Use an estimator of `reparam.expect`.

    Source: maddison2017.

    Example:
        >>> import reparam as rp
        >>> rp.distributions.Bernoulli(probs=torch.tensor([0.0, 1.0])).sample((3,), noise=rp.Noise(0)).tolist()
        [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    """

    rule = "none"
    base_law = "logistic"

    def parameters(self) -> dict[str, Tensor]:
        """Return {"probs": ...} or {"logits": ...}, as given."""
        probs = self.__dict__.get("probs")
        return {"probs": probs} if probs is self._param else {"logits": self._param}

    def push(self, eps: Tensor) -> Tensor:
        """Return 1[logits + eps > 0]."""
        given = self.parameters()
        logits = given["logits"] if "logits" in given else torch.special.logit(given["probs"])
        return (logits.detach() + eps).gt_(0).to(eps.dtype)  # in place: no pass from bool to numbers

    def cdf(self, value: Tensor) -> Tensor:
        """Return P(b <= x): 0 below 0, 1 - probs from there, 1 from 1."""
        below = self._failure().double()
        step = torch.where(value < 0, 0.0, torch.where(value < 1, below, 1.0))
        return step.to(result_dtype(self._param, value))

    def icdf(self, value: Tensor) -> Tensor:
        """Return the smallest b with P(z <= b) >= u, without a derivative."""
        return (value.double() > self._failure().double()).to(result_dtype(self._param, value))

    def _failure(self) -> Tensor:
        """P(b = 0)."""
        given = self.parameters()
        return torch.sigmoid(-given["logits"]) if "logits" in given else 1 - given["probs"]

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log P(b = value) in nats; exact at probs 0 and 1.

        With logits l: (b - 1[l > 0]) l - log(1 + e^-|l|), whose costly part has no sample axis.
        """
        if self._validate_args:
            self._validate_sample(value)
        probs = self.parameters().get("probs")
        if probs is None:
            l = self.logits
            made = bernoulli_log_prob(value, l)
            if made is not None:
                return made
            up = l > 0
            return (value - up.to(l.dtype)) * l - softplus(torch.where(up, -l, l))
        # the branch that does not count is given a harmless argument, so that its gradient is 0 and not nan
        one = torch.where(value != 0, probs, 1.0)
        zero = torch.where(value != 1, probs, 0.0)
        return value * torch.log(one) + (1 - value) * torch.log1p(-zero)
