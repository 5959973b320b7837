"""Counts: Geometric, Poisson, Binomial, negative Binomial; drawn by inversion, exact in both tails.

Draws are computed in float64 and rounded once to the dtype of the parameters, which holds integers exactly up to
2^24 in float32 and 2^53 in float64. Probabilities are those of the Gamma and Beta densities, which do not cancel for
large counts:

    Poisson             P(k) = f_Gamma(rate; k + 1)
    Binomial            P(k) = p (1 - p) f_Beta(p; k + 1, n - k + 1) / (p (1 - p) (n + 1))
    negative Binomial   P(k) = (1 - p) f_Beta(p; k + 1, r) / (k + r)
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from reparam import special
from reparam.distributions.base import Distribution, result_dtype
from reparam.kernels.scalar import scalar
from reparam.special.densities import beta_log_density, gamma_log_density
from reparam.special.logarithms import one_less_exp


class _Count(Distribution):
    rule = "none"
    base_law = "normal"

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log P(k) in nats; computed in float64 and rounded once."""
        if self._validate_args:
            self._validate_sample(value)
        like = next(iter(self.parameters().values()))
        return self._log_mass(value.double()).to(result_dtype(like, value))

    def cdf(self, value: Tensor) -> Tensor:
        """Return F(x) = P(k <= x), differentiable in the parameters; computed in float64 and rounded once."""
        like = next(iter(self.parameters().values()))
        k = torch.floor(value.double())
        inside = torch.exp(self._log_cdf(k.clamp(min=0)))
        return torch.where(k >= 0, inside, 0.0).to(result_dtype(like, value))

    def icdf(self, value: Tensor) -> Tensor:
        """Return the smallest k with F(k) >= u, without a derivative."""
        like = next(iter(self.parameters().values()))
        u = value.detach().double()
        with torch.no_grad():
            k = self.push(torch.special.ndtri(u) if self.base_law == "normal" else -torch.log1p(-u))
            before = torch.where(k > 0, torch.exp(self._log_cdf((k - 1).clamp(min=0))), -1.0)
            k = torch.where(before >= u, k - 1, k)  # where u is a value of F but for its rounding
        return k.to(result_dtype(like, value))

    def _log_mass(self, k: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__}.log_prob: this family has no probabilities")

    def _log_cdf(self, k: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__}.cdf: this family has no distribution function")


class Geometric(_Count, torch.distributions.Geometric):
    """Geometric law on 0, 1, 2, ..: failures before the first success, P(k) = (1 - p)^k p.

        k = floor(eps / lambda),  eps ~ Exponential(1),  lambda = -log(1 - p)

    Args:
        probs: p in (0, 1].
        logits: logit p, real. Exactly one of the two is given.

    Shape: the parameter is the batch shape; scalar events.

    Gradient: rule "none": k is an integer. Use an estimator of `reparam.expect`.

    Source: devroye1986.

    Example:
        >>> import reparam as rp
        >>> Geometric(probs=torch.tensor([1.0, 0.01])).sample(noise=rp.Noise(0))[0]
        tensor(0.)
    """

    base_law = "exponential"

    def parameters(self) -> dict[str, Tensor]:
        """Return {"probs": ...} or {"logits": ...}, as given."""
        name = next(key for key in self.__dict__ if key in ("probs", "logits"))
        return {name: self.__dict__[name]}

    def push(self, eps: Tensor) -> Tensor:
        """Return floor(eps / lambda)."""
        return torch.floor(eps.double() / self._rate().detach()).to(eps.dtype)

    def _rate(self) -> Tensor:
        """-log(1 - p) in float64."""
        given = self.parameters()
        return (
            -logsigmoid(-given["logits"].double())
            if "logits" in given
            else -torch.log1p(-given["probs"].double())
        )

    def _log_mass(self, k: Tensor) -> Tensor:
        given = self.parameters()
        first = (
            logsigmoid(given["logits"].double()) if "logits" in given else torch.log(given["probs"].double())
        )
        rate = self._rate()
        failures = torch.where(k > 0, k * torch.where(k > 0, rate, 1.0), 0.0)
        return first - failures

    def _log_cdf(self, k: Tensor) -> Tensor:
        return torch.log(one_less_exp(-(k + 1) * self._rate()))


class Poisson(_Count, torch.distributions.Poisson):
    """Poisson law on 0, 1, 2, ..: P(k) = rate^k e^-rate / k!.

        k = the smallest integer with F(k) >= Phi(eps),  eps ~ N(0, 1)

    Args:
        rate: mean, >= 0.

    Shape: rate is the batch shape; scalar events.

    Gradient: rule "none": k is an integer. Use an estimator of `reparam.expect`. `cdf` and `log_prob` are
    differentiable in rate.

    Source: devroye1986.

    Example:
        >>> Poisson(torch.tensor(3.0)).cdf(torch.tensor(0.0))
        tensor(0.0498)
    """

    def push(self, eps: Tensor) -> Tensor:
        """Return the quantile at Phi(eps)."""
        return scalar("poisson_quantile", self.rate.detach().double(), eps.double())[0].to(eps.dtype)

    def _log_mass(self, k: Tensor) -> Tensor:
        rate = self.rate.double()
        some = torch.where(rate > 0, rate, 1.0)
        mass = gamma_log_density(some.log(), k + 1) - some.log()
        # at rate 0: P(0) = e^-rate, so that the slope is right too
        return torch.where(rate > 0, mass, torch.where(k > 0, -torch.inf, -rate))

    def _log_cdf(self, k: Tensor) -> Tensor:
        rate = self.rate.double()
        some = torch.where(rate > 0, rate, 1.0)
        return torch.where(rate > 0, special.tails(special.GAMMA, some.log(), k + 1)[1], 0.0)


class _Trials(_Count):
    """What the two binomial families share: n or r by `total_count`, and p by probs or logits."""

    _param: Tensor
    total_count: Tensor

    def parameters(self) -> dict[str, Tensor]:
        """Return total_count and {"probs": ...} or {"logits": ...}, as given."""
        probs = self.__dict__.get("probs")
        weight = {"probs": probs} if probs is self._param else {"logits": self._param}
        return {**weight, "total_count": self.total_count}

    def _logit(self) -> Tensor:
        """logit p in float64, -inf and inf at p = 0 and 1."""
        given = self.parameters()
        return given["logits"].double() if "logits" in given else torch.logit(given["probs"].double())

    def _push(self, kernel: str, eps: Tensor) -> Tensor:
        count = self.total_count.detach().double()
        return scalar(kernel, count, self._logit().detach(), eps.double())[0].to(eps.dtype)


class Binomial(_Trials, torch.distributions.Binomial):
    """Binomial law on 0 .. n: successes in n trials, P(k) = C(n, k) p^k (1 - p)^(n - k).

        k = the smallest integer with F(k) >= Phi(eps),  eps ~ N(0, 1)

    Args:
        total_count: n, an integer >= 0.
        probs: p in [0, 1]; 0 and 1 are exact.
        logits: logit p, real. Exactly one of the two is given.

    Shape: total_count and the parameter broadcast to the batch shape; scalar events.

    Gradient: rule "none": k is an integer. Use an estimator of `reparam.expect`. `cdf` and `log_prob` are
    differentiable in p.

    Source: devroye1986.

    Example:
        >>> Binomial(3, probs=torch.tensor(0.5)).cdf(torch.tensor(1.0))
        tensor(0.5000)
    """

    def push(self, eps: Tensor) -> Tensor:
        """Return the quantile at Phi(eps)."""
        return self._push("binomial_quantile", eps)

    def _log_mass(self, k: Tensor) -> Tensor:
        n, logit = self.total_count.double(), self._logit()
        some = torch.where(logit.isfinite(), logit, 0.0)
        mass = (
            beta_log_density(some, k + 1, n - k + 1) - logsigmoid(some) - logsigmoid(-some) - torch.log(n + 1)
        )
        sure = torch.where(logit > 0, n, 0.0)
        return torch.where(logit.isfinite(), mass, torch.where(k == sure, 0.0, -torch.inf))

    def _log_cdf(self, k: Tensor) -> Tensor:
        n, logit = self.total_count.double(), self._logit()
        open_ = logit.isfinite() & (k < n)
        some, j = torch.where(logit.isfinite(), logit, 0.0), torch.where(k < n, k, 0.0)
        inside = special.tails(special.BETA, -some, torch.where(n > j, n - j, 1.0), j + 1)[0]
        return torch.where(open_, inside, torch.where((k >= n) | (logit < 0), 0.0, -torch.inf))


class NegativeBinomial(_Trials, torch.distributions.NegativeBinomial):
    """Negative binomial law on 0, 1, ..: successes before r failures, P(k) = C(k + r - 1, k) p^k (1 - p)^r.

        k = the smallest integer with F(k) >= Phi(eps),  eps ~ N(0, 1)

    Args:
        total_count: r >= 0, real.
        probs: p in [0, 1), the probability of what is counted.
        logits: logit p, real. Exactly one of the two is given.

    Shape: total_count and the parameter broadcast to the batch shape; scalar events; mean r p / (1 - p).

    Gradient: rule "none": k is an integer. Use an estimator of `reparam.expect`. `cdf` and `log_prob` are
    differentiable in r and p.

    Source: devroye1986.

    Example:
        >>> NegativeBinomial(1.0, probs=torch.tensor(0.5)).cdf(torch.tensor(1.0))
        tensor(0.7500)
    """

    def push(self, eps: Tensor) -> Tensor:
        """Return the quantile at Phi(eps)."""
        return self._push("negative_binomial_quantile", eps)

    def _log_mass(self, k: Tensor) -> Tensor:
        r, logit = self.total_count.double(), self._logit()
        usual = (r > 0) & logit.isfinite()
        some, count = torch.where(usual, logit, 0.0), torch.where(usual, r, 1.0)
        mass = beta_log_density(some, k + 1, count) - logsigmoid(some) - torch.log(k + count)
        return torch.where(usual, mass, torch.where(k > 0, -torch.inf, 0.0))

    def _log_cdf(self, k: Tensor) -> Tensor:
        r, logit = self.total_count.double(), self._logit()
        usual = (r > 0) & logit.isfinite()
        some, count = torch.where(usual, logit, 0.0), torch.where(usual, r, 1.0)
        return torch.where(usual, special.tails(special.BETA, -some, count, k + 1)[0], 0.0)


__all__ = ["Binomial", "Geometric", "NegativeBinomial", "Poisson"]
