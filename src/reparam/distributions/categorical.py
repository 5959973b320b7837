"""The categorical family: the k with the largest logits_k + eps_k, eps Gumbel."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from reparam.distributions.base import Distribution
from reparam.noise import NoiseSpec


class Categorical(Distribution, torch.distributions.Categorical):
    """Categorical law on the integers 0 .. K-1, P(z = k) = probs_k.

        z = argmax_k (log probs_k + eps_k),  eps_k ~ Gumbel(0, 1)

    Args:
        probs: weights >= 0 along the last axis, divided by their sum; 0 is exact, not moved.
        logits: real, normalised along the last axis. Exactly one of the two is given.

    Shape: parameter (*B, K), batch shape (*B), scalar int64 events; the noise has shape (*S, *B, K).

    Gradient: rule "none": z is an integer. Use an estimator of `reparam.expect`.

    Example:
        >>> import reparam as rp
        >>> rp.distributions.Categorical(probs=torch.tensor([0.0, 1.0, 0.0])).sample((3,), noise=rp.Noise(0))
        tensor([1, 1, 1])
    """

    rule = "none"
    base_law = "gumbel"

    def parameters(self) -> dict[str, Tensor]:
        """Return {"probs": ...} or {"logits": ...}, as given, normalised."""
        return {"probs" if self.__dict__.get("probs") is self._param else "logits": self._param}

    def noise_spec(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> NoiseSpec:
        """Return Gumbel noise, one number per category."""
        shape = (*self._extended_shape(torch.Size(sample_shape)), self._num_events)
        return NoiseSpec("gumbel", shape, len(sample_shape), self._param.dtype, self._param.device)

    def push(self, eps: Tensor) -> Tensor:
        """Return argmax_k (log probs_k + eps_k), int64."""
        return (log_weights(self) + eps).argmax(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log P(z = value) in nats; -inf where probs is 0."""
        probs = self.parameters().get("probs")
        if probs is None:
            return super().log_prob(value)
        if self._validate_args:
            self._validate_sample(value)
        value, probs = torch.broadcast_tensors(value.long().unsqueeze(-1), probs)
        return probs.gather(-1, value[..., :1]).squeeze(-1).log()


class OneHotCategorical(Distribution, torch.distributions.OneHotCategorical):
    """Categorical law on the K unit vectors, P(z = e_k) = probs_k.

        z = e_k,  k = argmax_k (log probs_k + eps_k),  eps_k ~ Gumbel(0, 1)

    Args:
        probs: weights >= 0 along the last axis, divided by their sum; 0 is exact, not moved.
        logits: real, normalised along the last axis. Exactly one of the two is given.

    Shape: parameter (*B, K), batch shape (*B), event shape (K,).

    Gradient: rule "none": z is piecewise constant. Use an estimator of `reparam.expect`.

    Example:
        >>> import reparam as rp
        >>> rp.distributions.OneHotCategorical(probs=torch.tensor([0.0, 1.0])).sample(noise=rp.Noise(0))
        tensor([0., 1.])
    """

    rule = "none"
    base_law = "gumbel"

    def parameters(self) -> dict[str, Tensor]:
        """Return {"probs": ...} or {"logits": ...}, as given, normalised."""
        inner = self._categorical
        return {"probs" if inner.__dict__.get("probs") is inner._param else "logits": inner._param}

    def push(self, eps: Tensor) -> Tensor:
        """Return the unit vector of argmax_k (log probs_k + eps_k)."""
        return one_hot((log_weights(self) + eps).argmax(-1), eps.shape[-1]).to(eps.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log P(z = value) in nats; -inf where probs is 0."""
        if self._validate_args:
            self._validate_sample(value)
        probs = self.parameters().get("probs")
        if probs is None:
            value, logits = torch.broadcast_tensors(value, self.logits)
            return logits.gather(-1, value.argmax(-1, keepdim=True)).squeeze(-1)
        value, probs = torch.broadcast_tensors(value, probs)
        return probs.gather(-1, value.argmax(-1, keepdim=True)).squeeze(-1).log()


def log_weights(q: Categorical | OneHotCategorical) -> Tensor:
    """Return log probs of shape (*B, K), -inf where probs is 0 and then without a gradient."""
    given = q.parameters()
    if "logits" in given:
        return given["logits"]
    probs = given["probs"]
    return torch.where(probs > 0, torch.where(probs > 0, probs, 1.0).log(), -torch.inf)
