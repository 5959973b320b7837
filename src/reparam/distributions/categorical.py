"""The categorical family: the k with the largest logits_k + eps_k, eps Gumbel."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions.utils import lazy_property, probs_to_logits
from torch.nn.functional import one_hot

from reparam.distributions.base import Distribution
from reparam.noise import NoiseSpec


class Lazy(torch.distributions.Categorical):
    """torch's class, but its logits are normalised when somebody asks for them: relaxed draws and mixtures do not."""

    def __init__(
        self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None
    ) -> None:
        if probs is not None or logits is None or logits.dim() < 1:
            super().__init__(probs, logits, validate_args)
            return
        self._raw, self._num_events = logits, logits.shape[-1]
        if self._validate_args if validate_args is None else validate_args:
            # torch checks the normalised logits, which are numbers where these are
            self.logits = logits - logits.amax(-1, keepdim=True)
        torch.distributions.Distribution.__init__(self, logits.shape[:-1], validate_args=validate_args)
        self.__dict__.pop("logits", None)

    @lazy_property
    def logits(self) -> Tensor:
        """Log probs, normalised along the last axis."""
        if "_raw" not in self.__dict__:
            return probs_to_logits(self.probs)
        return self._raw - self._raw.logsumexp(-1, keepdim=True)

    @lazy_property
    def _param(self) -> Tensor:
        return self.logits

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Return the distribution with a larger batch shape."""
        new = type(self).__new__(type(self)) if _instance is None else _instance
        if "_raw" not in self.__dict__:
            return super().expand(batch_shape, new)
        batch_shape = torch.Size(batch_shape)
        new._raw, new._num_events = self._raw.expand(*batch_shape, self._num_events), self._num_events
        if "logits" in self.__dict__:
            new.logits = self.logits.expand(*batch_shape, self._num_events)
        torch.distributions.Distribution.__init__(new, batch_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new


class Categorical(Distribution, Lazy):
    """Categorical law on the integers 0 .. K-1, P(z = k) = probs_k.

        z = argmax_k (log probs_k + eps_k),  eps_k ~ Gumbel(0, 1)

    Args:
        probs: weights >= 0 along the last axis, divided by their sum; 0 is exact, not moved.
        logits: real, normalised along the last axis. Exactly one of the two is given.

    Shape: parameter (*B, K), batch shape (*B), scalar int64 events; the noise has shape (*S, *B, K).

    Gradient: rule "none": z is an integer. Use an estimator of `reparam.expect`.

    Source: maddison2017.

    Example:
        >>> import reparam as rp
        >>> rp.distributions.Categorical(probs=torch.tensor([0.0, 1.0, 0.0])).sample((3,), noise=rp.Noise(0))
        tensor([1, 1, 1])
    """

    rule = "none"
    base_law = "gumbel"

    def parameters(self) -> dict[str, Tensor]:
        """Return {"probs": ...} or {"logits": ...}, as given, normalised."""
        return parameters(self)

    def noise_spec(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> NoiseSpec:
        """Return Gumbel noise, one number per category."""
        shape = (*self._extended_shape(torch.Size(sample_shape)), self._num_events)
        given = raw(self)
        return NoiseSpec("gumbel", shape, len(sample_shape), given.dtype, given.device)

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

    Source: maddison2017.

    Example:
        >>> import reparam as rp
        >>> rp.distributions.OneHotCategorical(probs=torch.tensor([0.0, 1.0])).sample(noise=rp.Noise(0))
        tensor([0., 1.])
    """

    rule = "none"
    base_law = "gumbel"

    def __init__(
        self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None
    ) -> None:
        # torch's class validates its inner one, whatever validate_args is
        self._categorical = inner = Lazy(probs, logits, validate_args)
        shapes = inner.batch_shape, torch.Size((inner._num_events,))
        torch.distributions.Distribution.__init__(self, *shapes, validate_args=False)
        self._validate_args = inner._validate_args

    def expand(self, batch_shape: Any, _instance: Any = None) -> "OneHotCategorical":
        """Return the distribution with a larger batch shape."""
        blank = type(self).__new__(type(self)) if _instance is None else _instance
        return torch.distributions.OneHotCategorical.expand(self, batch_shape, blank)

    def parameters(self) -> dict[str, Tensor]:
        """Return {"probs": ...} or {"logits": ...}, as given, normalised."""
        return parameters(self._categorical)

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


def parameters(inner: torch.distributions.Categorical) -> dict[str, Tensor]:
    """Return {"probs": ...} or {"logits": ...}, as given, normalised."""
    lazy = "_raw" in inner.__dict__
    return {"probs" if not lazy and inner.__dict__.get("probs") is inner._param else "logits": inner._param}


def raw(q: torch.distributions.Categorical) -> Tensor:
    """Return the probs or logits that were given, the logits before they are normalised."""
    given = q.__dict__.get("_raw")
    return q._param if given is None else given


def scores(q: Categorical) -> Tensor:
    """Return log probs up to one number for each row: the logits as they were given, or `log_weights`."""
    return q._raw if "_raw" in q.__dict__ else log_weights(q)


def log_weights(q: Categorical | OneHotCategorical) -> Tensor:
    """Return log probs of shape (*B, K), -inf where probs is 0 and then without a gradient."""
    given = q.parameters()
    if "logits" in given:
        return given["logits"]
    probs = given["probs"]
    return torch.where(probs > 0, torch.where(probs > 0, probs, 1.0).log(), -torch.inf)
