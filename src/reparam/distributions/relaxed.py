"""Relaxed discrete families: continuous stand-ins at a temperature t, which harden as t goes to 0.

binary    z = sigmoid((logits + eps) / t),        eps logistic
one-hot   z = softmax((log probs + eps) / t),     eps Gumbel
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import TransformedDistribution
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli
from torch.distributions.relaxed_categorical import ExpRelaxedCategorical
from torch.distributions.transforms import ExpTransform, SigmoidTransform
from torch.nn.functional import logsigmoid

from reparam.distributions.arguments import holds
from reparam.distributions.base import Distribution, result_dtype
from reparam.distributions.categorical import Lazy, parameters, raw
from reparam.distributions.narrow import HALVES
from reparam.noise import Noise, NoiseSpec, given
from reparam.special.logarithms import sigmoid
from reparam.transforms.relaxation import relaxed_one_hot, relaxed_one_hot_draw


def _inside(x: Tensor, largest: float = 1.0) -> Tensor:
    """Return x, at least float32, with 0, to which draws round, exchanged for the float next to it; and 1 likewise."""
    inner = x.clamp(torch.finfo(x.dtype).tiny, largest)
    return inner.float() if x.dtype in HALVES else inner


def _checked(who: str, temperature: Any) -> None:
    if not holds(torch.as_tensor(temperature) > 0):
        raise ValueError(f"{who}: temperature must be > 0; got {temperature}; draws harden as it goes to 0")


def _temperature(q: Any, like: Tensor) -> Tensor:
    return torch.as_tensor(q.temperature, dtype=like.dtype, device=like.device)


class RelaxedBernoulli(Distribution, torch.distributions.RelaxedBernoulli):
    """Relaxed Bernoulli (binary Concrete) law on (0, 1).

        z = sigmoid((logits + eps) / t),  eps ~ Logistic(0, 1)

    Args:
        temperature: t > 0.
        probs: in (0, 1).
        logits: real. Exactly one of the two is given.

    Shape: the parameter is the batch shape; scalar events.

    Gradient: relaxed: unbiased for E f(z) of this law; biased for the Bernoulli law that it stands for. Double
    backward and forward mode work.

    At low temperatures draws round to 0 and 1, where `log_prob` is that of the float next to them. The logit of a
    draw, which does not round, follows Logistic(logits / t, 1 / t): densities and KL are exact in that law.

    Source: maddison2017, jang2017.

    Example:
        >>> import reparam as rp
        >>> q = rp.distributions.RelaxedBernoulli(torch.tensor(0.5), logits=torch.zeros(2))
        >>> round(q.cdf(q.icdf(torch.tensor(0.3)))[0].item(), 5)
        0.3
    """

    rule = "relaxed"
    own = ("temperature",)
    base_law = "logistic"

    def __init__(
        self,
        temperature: Tensor,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        # torch's class validates its inner one, whatever validate_args is, which no compiler can trace
        base = LogitRelaxedBernoulli(temperature, probs, logits, validate_args=validate_args)
        TransformedDistribution.__init__(self, base, SigmoidTransform(), validate_args=validate_args)
        if self._validate_args:
            _checked(type(self).__name__, temperature)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "RelaxedBernoulli":
        """Return the distribution with a larger batch shape."""
        blank = type(self).__new__(type(self)) if _instance is None else _instance
        return torch.distributions.RelaxedBernoulli.expand(self, batch_shape, blank)

    def parameters(self) -> dict[str, Tensor]:
        """Return {"probs": ...} or {"logits": ...}, as given."""
        inner = self.base_dist
        return {"probs" if inner.__dict__.get("probs") is inner._param else "logits": inner._param}

    def _point(self, value: Any, method: str) -> Any:
        if method in ("log_prob", "pathwise"):
            return _inside(value, 1 - torch.finfo(value.dtype).eps / 2)
        return super()._point(value, method)

    def push(self, eps: Tensor) -> Tensor:
        """Return sigmoid((logits + eps) / t)."""
        return torch.sigmoid((self._logits() + eps) / _temperature(self, eps))

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dlogits = x (1 - x) / t, dz/dprobs with the chain rule, dz/dt = -x (1 - x) logit(x) / t."""
        t, x = _temperature(self, x), _inside(x, 1 - torch.finfo(x.dtype).eps / 2)
        slope = x * (1 - x) / t
        ((name, value),) = self.parameters().items()
        chain = slope / (value * (1 - value)) if name == "probs" else slope.expand_as(slope + value)
        return {name: chain, "temperature": -slope * torch.special.logit(x)}

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density, log t + d - 2 log(1 + e^d) - log x(1 - x), d = logits - t logit(x)."""
        if self._validate_args:
            self._validate_sample(value)
        x = _inside(value, 1 - torch.finfo(value.dtype).eps / 2)
        t, logits = _temperature(self, x), self._logits()
        d = logits - t * torch.special.logit(x)
        log_prob = t.log() + d + 2 * logsigmoid(-d) - x.log() - torch.log1p(-x)
        return log_prob.to(result_dtype(logits, value))

    def cdf(self, value: Tensor) -> Tensor:
        """Return sigmoid(t logit(x) - logits)."""
        return sigmoid(_temperature(self, value) * torch.special.logit(value) - self._logits())

    def icdf(self, value: Tensor) -> Tensor:
        """Return sigmoid((logits + logit(u)) / t)."""
        return self.push(torch.special.logit(value))

    def _logits(self) -> Tensor:
        ((name, value),) = self.parameters().items()
        return torch.special.logit(value) if name == "probs" else value


class RelaxedOneHotCategorical(Distribution, torch.distributions.RelaxedOneHotCategorical):
    """Relaxed categorical (Concrete, Gumbel-softmax) law on the interior of the simplex.

        z = softmax((log probs + eps) / t),  eps_k ~ Gumbel(0, 1)

    Args:
        temperature: t > 0.
        probs: weights > 0 along the last axis, divided by their sum.
        logits: real, normalised along the last axis. Exactly one of the two is given.

    Shape: parameter (*B, K), batch shape (*B), event shape (K,).

    Gradient: relaxed: unbiased for E f(z) of this law; biased for the categorical law that it stands for.
    Double backward and forward mode work.

    Source: maddison2017, jang2017.

    Example:
        >>> import reparam as rp
        >>> q = rp.distributions.RelaxedOneHotCategorical(torch.tensor(0.5), logits=torch.zeros(3))
        >>> round(q.rsample(noise=rp.Noise(0)).sum().item(), 5)
        1.0
    """

    rule = "relaxed"
    own = ("temperature",)
    base_law = "gumbel"

    def __init__(
        self,
        temperature: Tensor,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        # torch's class normalises the logits at once, which costs as much as a draw and changes none
        inner = Lazy(probs, logits, validate_args)
        base: Any = ExpRelaxedCategorical.__new__(ExpRelaxedCategorical)
        base._categorical, base.temperature = inner, temperature
        shapes = inner.batch_shape, torch.Size((inner._num_events,))
        torch.distributions.Distribution.__init__(base, *shapes, validate_args=False)
        TransformedDistribution.__init__(self, base, ExpTransform(), validate_args=False)
        self._validate_args = base._validate_args = inner._validate_args
        if self._validate_args:
            _checked(type(self).__name__, temperature)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "RelaxedOneHotCategorical":
        """Return the distribution with a larger batch shape."""
        blank = type(self).__new__(type(self)) if _instance is None else _instance
        return torch.distributions.RelaxedOneHotCategorical.expand(self, batch_shape, blank)

    def parameters(self) -> dict[str, Tensor]:
        """Return {"probs": ...} or {"logits": ...}, as given, normalised."""
        return parameters(self.base_dist._categorical)

    def noise_spec(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> NoiseSpec:
        """Return Gumbel noise, one number per category."""
        shape, like = self._extended_shape(torch.Size(sample_shape)), raw(self.base_dist._categorical)
        return NoiseSpec("gumbel", tuple(shape), len(sample_shape), like.dtype, like.device)

    def rsample(
        self, sample_shape: torch.Size | tuple[int, ...] = (), *, noise: Noise | None = None
    ) -> Tensor:
        """Draw z = g(eps; phi), differentiable in phi; the noise is drawn in the same pass where a kernel serves."""
        if isinstance(sample_shape, int):
            return super().rsample(sample_shape, noise=noise)  # which raises
        noise, scores = given(noise, type(self).__name__), self._scores()
        spec = self.noise_spec(sample_shape)
        narrow = spec.dtype != scores.dtype
        z = None if narrow else relaxed_one_hot_draw(scores, noise, spec, _temperature(self, scores))
        return self.push(noise.draw(spec)) if z is None else z

    def sample(
        self, sample_shape: torch.Size | tuple[int, ...] = (), *, noise: Noise | None = None
    ) -> Tensor:
        """Draw the same numbers without a graph."""
        with torch.no_grad():
            return self.rsample(sample_shape, noise=noise).detach()

    def _point(self, value: Any, method: str) -> Any:
        return _inside(value) if method == "log_prob" else super()._point(value, method)

    def push(self, eps: Tensor) -> Tensor:
        """Return softmax((log probs + eps) / t)."""
        return relaxed_one_hot(self._scores(), eps, _temperature(self, eps))

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return the Jacobians dz_i/dlogits_j = x_i (1[i = j] - x_j) / t, (*x.shape, K), and dz/dt, (*x.shape).

        With probs given, column j is divided by probs_j.
        """
        t = _temperature(self, x)
        jacobian = (torch.diag_embed(x) - x.unsqueeze(-1) * x.unsqueeze(-2)) / t
        ((name, value),) = self.parameters().items()
        column = value.unsqueeze(-2) if name == "probs" else torch.ones_like(value).unsqueeze(-2)
        log_x = _inside(x).log().to(x.dtype)
        return {name: jacobian / column, "temperature": x * ((x * log_x).sum(-1, keepdim=True) - log_x) / t}

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density, with d_k = log probs_k - t log x_k,

        log (K-1)! + (K-1) log t + sum_k (d_k - log x_k) - K log sum_k e^{d_k}.
        """
        if self._validate_args:
            self._validate_sample(value)
        x, log_probs = _inside(value), self._log_probs()
        t, log_x, K = _temperature(self, x), x.log(), value.shape[-1]
        d = log_probs - t * log_x
        log_prob = math.lgamma(K) + (K - 1) * t.log() + (d - log_x).sum(-1) - K * torch.logsumexp(d, -1)
        return log_prob.to(result_dtype(log_probs, value))

    def _log_probs(self) -> Tensor:
        ((name, value),) = self.parameters().items()
        return value.log() if name == "probs" else value

    def _scores(self) -> Tensor:
        """Return log probs up to one number for each row, which a softmax does not see."""
        value = raw(self.base_dist._categorical)
        return value if "_raw" in self.base_dist._categorical.__dict__ else self._log_probs()
