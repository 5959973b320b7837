"""Bayesian layers: weights with a normal law, by weight sampling, local reparameterization or Flipout.

    W_ij = loc_ij + scale_ij eps_ij,   scale = exp(log_scale)

    "weight"    y = W x + b, one W for the whole batch
    "local"     y = loc x + b + sqrt(scale^2 x^2) eps, the law of W x for each row, one eps per output
    "flipout"   y = loc x + b + r o (scale eps (s o x)), signs r and s per row

All three have the same mean and, in each row, the same variance; they differ in how rows are tied to each other.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reparam.distributions import Normal
from reparam.layers.local import local_linear, normal_kl, root
from reparam.layers.scope import layer_noise, shared
from reparam.noise import Noise, NoiseSpec

METHODS = ("weight", "local", "flipout")


class Bayes(nn.Module):
    """What Bayesian layers share: parameters, the three methods, the KL. A layer gives `apply_map`."""

    weight_loc: nn.Parameter
    weight_log_scale: nn.Parameter
    bias_loc: nn.Parameter | None
    bias_log_scale: nn.Parameter | None

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        *,
        method: str,
        prior: torch.distributions.Distribution | None,
        initial_scale: float,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if method not in METHODS:
            raise ValueError(f"{name}: method must be one of {', '.join(METHODS)}; got {method!r}")
        if not initial_scale > 0:
            raise ValueError(f"{name}: initial_scale must be > 0; got {initial_scale!r}")
        self.method = method
        self.prior = Normal(0.0, 1.0) if prior is None else prior
        self.weight_loc = nn.Parameter(weight)
        self.weight_log_scale = nn.Parameter(torch.full_like(weight, math.log(initial_scale)))
        if bias is None:
            self.register_parameter("bias_loc", None)
            self.register_parameter("bias_log_scale", None)
        else:
            self.bias_loc = nn.Parameter(bias)
            self.bias_log_scale = nn.Parameter(torch.full_like(bias, math.log(initial_scale)))

    def apply_map(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the linear map of x."""
        raise TypeError(f"{type(self).__name__}: a Bayesian layer must define apply_map")

    def signs(self, x: Tensor, y: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of the signs s of the input and r of the output."""
        return tuple(x.shape), tuple(y.shape)

    def forward(self, x: Tensor, *, noise: Noise | None = None) -> Tensor:
        """Return the layer's output for x, random in the weights."""
        noise = layer_noise(self, noise, once=self.method == "weight")
        method: Callable[[Tensor, Noise], Tensor] = getattr(self, f"_{self.method}")
        return method(x, noise)

    def _sampled(self, name: str, noise: Noise) -> Tensor | None:
        """Return scale eps for the weight or the bias, one for the whole batch."""
        log_scale = getattr(self, f"{name}_log_scale")
        if log_scale is None:
            return None
        eps = (
            shared(noise).child(name).normal(log_scale.shape, dtype=log_scale.dtype, device=log_scale.device)
        )
        return torch.exp(log_scale) * eps

    def _weight(self, x: Tensor, noise: Noise) -> Tensor:
        W, b = self._sampled("weight", noise), self._sampled("bias", noise)
        assert W is not None
        bias = None if self.bias_loc is None or b is None else self.bias_loc + b
        return self.apply_map(x, self.weight_loc + W, bias)

    def _local(self, x: Tensor, noise: Noise) -> Tensor:
        mean = self.apply_map(x, self.weight_loc, self.bias_loc)
        bias_variance = None if self.bias_log_scale is None else torch.exp(2 * self.bias_log_scale)
        variance = self.apply_map(x.square(), torch.exp(2 * self.weight_log_scale), bias_variance)
        eps = noise.child("output").draw(NoiseSpec("normal", tuple(mean.shape), 0, mean.dtype, mean.device))
        return mean + root(variance) * eps

    def _flipout(self, x: Tensor, noise: Noise) -> Tensor:
        mean = self.apply_map(x, self.weight_loc, self.bias_loc)
        shape_s, shape_r = self.signs(x, mean)
        s = noise.child("in").rademacher(shape_s, dtype=x.dtype, device=x.device)
        r = noise.child("out").rademacher(shape_r, dtype=mean.dtype, device=x.device)
        delta = self._sampled("weight", noise)
        assert delta is not None
        return mean + r * self.apply_map(s * x, delta, self._sampled("bias", noise))

    def kl(self, *, samples: int | None = None, noise: Noise | None = None) -> Tensor:
        """Return KL(q(W, b) || prior) in nats, summed over weights and bias: exact, or over draws if asked.

        Args:
            samples: None for the formula registered with torch; a number of draws for Monte Carlo.
            noise: the address of the draws.
        """
        laws = [("weight", self.weight_loc, self.weight_log_scale)]
        if self.bias_loc is not None and self.bias_log_scale is not None:
            laws.append(("bias", self.bias_loc, self.bias_log_scale))
        p = self.prior
        if samples is None and isinstance(p, torch.distributions.Normal) and p.loc.ndim == 0:
            return normal_kl(p.loc, p.scale, *(t for _, *pair in laws for t in pair))
        return torch.stack([self._kl_of(*law, samples, noise) for law in laws]).sum()

    def _kl_of(
        self, name: str, loc: Tensor, log_scale: Tensor, samples: int | None, noise: Noise | None
    ) -> Tensor:
        p, q = self.prior, Normal(loc, torch.exp(log_scale))
        if samples is not None:
            z = q.rsample((samples,), noise=layer_noise(self, noise, once=True).child("kl").child(name))
            return (q.log_prob(z) - p.log_prob(z)).mean(0).sum()
        try:
            return torch.distributions.kl_divergence(q, p).sum()
        except NotImplementedError:
            raise ValueError(
                f"{type(self).__name__}.kl: no formula is registered for a prior of {type(p).__name__}; got "
                "samples=None; pass samples= for a Monte Carlo estimate"
            ) from None


class BayesLinear(Bayes):
    """Linear layer whose weights and bias have independent normal laws.

    Args:
        in_features, out_features: sizes.
        bias: whether there is one.
        method: "weight", "local" or "flipout" (see the module).
        prior: law of each weight and bias, a scalar torch distribution; N(0, 1) by default.
        initial_scale: standard deviation that the laws start with.

    Shape: x (*B, in_features) -> (*B, out_features). Weight noise is shared by the batch; the noise of "local" and
    the signs of "flipout" belong to rows.

    Gradient: unbiased for each method. The variance of the gradient of a batch mean stays constant in the batch
    size under "weight" and falls as 1/B under "local" and nearly so under "flipout". Double backward works.
    Source: kingma2015 (local), wen2018 (flipout), graves2011.

    Example:
        >>> layer = BayesLinear(3, 2, method="local")
        >>> layer(torch.ones(4, 3), noise=Noise(0)).shape
        torch.Size([4, 2])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        method: str = "weight",
        prior: torch.distributions.Distribution | None = None,
        initial_scale: float = 0.05,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        plain = nn.Linear(in_features, out_features, bias=bias, device=device, dtype=dtype)
        super().__init__(
            plain.weight.detach(),
            None if plain.bias is None else plain.bias.detach(),
            method=method,
            prior=prior,
            initial_scale=initial_scale,
        )

    def apply_map(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return x W' + b."""
        return F.linear(x, weight, bias)

    def _local(self, x: Tensor, noise: Noise) -> Tensor:
        loc = self.weight_loc
        spec = NoiseSpec("normal", (*x.shape[:-1], len(loc)), 0, loc.dtype, loc.device)
        eps = noise.child("output").draw(spec)
        return local_linear(x, loc, self.weight_log_scale, self.bias_loc, self.bias_log_scale, eps)

    def extra_repr(self) -> str:
        """Return sizes and method for printing."""
        return f"{self.weight_loc.shape[1]}, {self.weight_loc.shape[0]}, method={self.method!r}"
