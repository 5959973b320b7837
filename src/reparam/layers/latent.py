"""Latent layers: features in, a random z and its KL per row out."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from reparam.distributions import Independent, Normal, OneHotCategorical, convert
from reparam.layers.gaussian import gaussian
from reparam.layers.scope import layer_noise
from reparam.noise import Noise
from reparam.transforms.relaxation import Site, gumbel_rao, gumbel_straight_through, reinmax, straight_through

GRADIENTS = ("gumbel_softmax", "straight_through", "gumbel_rao", "reinmax", "relaxed")
GIVEN = 16  # noises given the draw that gumbel_rao averages over


class Latent(nn.Module):
    """A latent of any reparameterized family, its parameters a linear map of the features.

        z ~ q(z | h),  q = family(parameters of h),   kl = KL(q || prior)

    Args:
        in_features: size of h.
        features: size of z.
        family: a class with scalar events, such as Gamma; each parameter is mapped into its constraint.
        prior: a scalar torch distribution, the prior of every element.
        parameters: the constructor arguments to fill; the family's own by default, logits rather than probs.

    Shape: h (*B, in_features) -> z (*B, features), kl (*B) in nats.

    Gradient: pathwise through z, unbiased; exact for the KL, which must have a formula registered with torch.
    Raises: ValueError if it has none, or for a family or prior of another kind.

    Example:
        >>> from reparam.distributions import Normal
        >>> z, kl = Latent(4, 2, Normal, Normal(0.0, 1.0))(torch.ones(3, 4), noise=Noise(0))
        >>> z.shape, kl.shape
        (torch.Size([3, 2]), torch.Size([3]))
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        family: type,
        prior: torch.distributions.Distribution,
        parameters: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__()
        constraints = getattr(family, "arg_constraints", None)
        if not isinstance(constraints, Mapping):
            raise ValueError(
                f"Latent: family must have one constraint for each parameter; got {family.__name__}, whose bounds "
                "depend on each other; write a layer around reparam.draw"
            )
        names = parameters or tuple(k for k in constraints if not (k == "probs" and "logits" in constraints))
        unknown = set(names) - set(constraints)
        if unknown:
            raise ValueError(
                f"Latent: parameters must be of {family.__name__}, {', '.join(constraints)}; got {', '.join(unknown)}"
            )
        self.family, self.prior, self.names = family, prior, names
        self.transforms = [self._map_into(name, constraints[name]) for name in names]
        self.linear = nn.Linear(in_features, features * len(names))
        self._find_kl()

    def _map_into(self, name: str, constraint: Any) -> Any:
        try:
            return torch.distributions.transform_to(constraint)
        except NotImplementedError:
            raise ValueError(
                f"Latent: parameters must have a constraint that numbers can be mapped into; got {name} of "
                f"{self.family.__name__}, {constraint}; leave it out, or write a layer around reparam.draw"
            ) from None

    def _find_kl(self) -> None:
        """Look the KL up once: torch remembers it, which its search under torch.compile needs."""
        with torch.no_grad():
            q = convert(self.q(self.linear.weight.new_zeros(1, self.linear.in_features)))
        assert isinstance(q, Independent)
        if q.rule == "none" or q.base_dist.event_shape or self.prior.event_shape:
            raise ValueError(
                f"{type(self).__name__}: family and prior must be scalar laws, the family with a derivative of its "
                f"draws; got {self.family.__name__} of rule {q.rule!r} with events of shape "
                f"{tuple(q.base_dist.event_shape)} and a prior with {tuple(self.prior.event_shape)}; "
                "write a layer around reparam.draw or reparam.expect"
            )
        try:
            torch.distributions.kl_divergence(q.base_dist, self.prior)
        except NotImplementedError:
            raise ValueError(
                f"{type(self).__name__}: prior must have a KL formula with {self.family.__name__} in torch; got "
                f"{type(self.prior).__name__}; register one, or take `q` and write the bound with reparam.elbo"
            ) from None

    def q(self, h: Tensor) -> torch.distributions.Distribution:
        """Return q(z | h), batch shape (*B), event shape (features,)."""
        parts = self.linear(h).chunk(len(self.names), -1)
        values = {name: to(part) for name, to, part in zip(self.names, self.transforms, parts)}
        return Independent(self.family(**values), 1)

    def forward(self, h: Tensor, *, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        """Return z and KL(q || prior)."""
        q = convert(self.q(h))
        z = q.rsample(noise=layer_noise(self, noise))
        assert isinstance(q, Independent)
        return z, torch.distributions.kl_divergence(q.base_dist, self.prior).sum(-1)


class GaussianLatent(Latent):
    """A latent of independent normals with the prior N(0, 1): z = loc + exp(log_scale) eps.

    Shape: h (*B, in_features) -> z (*B, features), kl (*B) in nats.

    Gradient: pathwise, unbiased; KL = sum (loc^2 + scale^2 - 1) / 2 - log_scale, exact.
    Source: kingma2014.

    Example:
        >>> z, kl = GaussianLatent(4, 2)(torch.ones(3, 4), noise=Noise(0))
        >>> z.shape, kl.shape
        (torch.Size([3, 2]), torch.Size([3]))
    """

    def __init__(self, in_features: int, features: int) -> None:
        super().__init__(in_features, features, Normal, Normal(0.0, 1.0))

    def q(self, h: Tensor) -> torch.distributions.Distribution:
        """Return q(z | h) = N(loc, exp(log_scale)^2)."""
        loc, log_scale = self.linear(h).chunk(2, -1)
        return Independent(Normal(loc, torch.exp(log_scale)), 1)

    def forward(self, h: Tensor, *, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        """Return z and KL(q || N(0, I)), in one pass; see `layers.gaussian`."""
        loc, log_scale = self.linear(h).chunk(2, -1)
        return gaussian(loc, log_scale, noise=layer_noise(self, noise))


class CategoricalLatent(nn.Module):
    """A latent of n one-hot sites with uniform priors.

    Args:
        in_features: size of h.
        sites: n.
        categories: K.
        gradient: how the draw is differentiated: "gumbel_softmax" (straight-through), "straight_through",
            "gumbel_rao" (over 16 noises), "reinmax"; or "relaxed", where z itself is the relaxed draw.
        temperature: of the relaxation, > 0; "straight_through" has none.

    Shape: h (*B, in_features) -> z (*B, n, K), kl (*B) in nats. z is one-hot, except under "relaxed".

    Gradient: biased through z, whichever is chosen; exact for the KL. For an unbiased gradient take `q` and use
    `reparam.expect` with LeaveOneOut, REBAR, RELAX or Enumerate.
    Source: jang2017, maddison2017.

    Example:
        >>> z, kl = CategoricalLatent(4, 2, 3)(torch.ones(5, 4), noise=Noise(0))
        >>> z.shape, kl.shape, bool((z.sum(-1) == 1).all())
        (torch.Size([5, 2, 3]), torch.Size([5]), True)
    """

    def __init__(
        self,
        in_features: int,
        sites: int,
        categories: int,
        *,
        gradient: str = "gumbel_softmax",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if gradient not in GRADIENTS:
            raise ValueError(
                f"CategoricalLatent: gradient must be one of {', '.join(GRADIENTS)}; got {gradient!r}"
            )
        if not temperature > 0:
            raise ValueError(f"CategoricalLatent: temperature must be > 0; got {temperature!r}")
        self.gradient, self.temperature = gradient, temperature
        self.sites, self.categories = sites, categories
        self.linear = nn.Linear(in_features, sites * categories)

    def q(self, h: Tensor) -> Independent:
        """Return q(z | h), batch shape (*B), event shape (n, K)."""
        logits = self.linear(h).unflatten(-1, (self.sites, self.categories))
        return Independent(OneHotCategorical(logits=logits), 1)

    def forward(self, h: Tensor, *, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        """Return z and KL(q || uniform) = log K - H(q), summed over sites."""
        q = self.q(h)
        logits = q.base_dist.parameters()["logits"]
        kl = (logits.exp() * (logits + math.log(self.categories))).sum((-1, -2))
        return self._draw(Site(logits, False), q, layer_noise(self, noise)), kl

    def _draw(self, site: Site, q: Independent, noise: Noise) -> Tensor:
        z = site.logits + noise.draw(q.noise_spec())
        if self.gradient == "relaxed":
            return site.soft(z, self.temperature)
        if self.gradient == "gumbel_softmax":
            return gumbel_straight_through(site, z, self.temperature)
        b = site.hard(z.detach())
        if self.gradient == "straight_through":
            return straight_through(site, b)
        if self.gradient == "reinmax":
            return reinmax(site, b, self.temperature)
        return gumbel_rao(site, b, noise.child("given").draw(q.noise_spec((GIVEN,))), self.temperature)
