"""Any one-dimensional family between two bounds."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints

from reparam.distributions.arguments import holds
from reparam.distributions.between import between
from reparam.distributions.convert import alike, convert
from reparam.distributions.explicit import Univariate
from reparam.distributions.whole import rebuild


class Wrapped(Univariate):
    """A one-dimensional family made from another one, `base`, and perhaps parameters of its own."""

    arg_constraints: ClassVar = {}
    own: ClassVar[tuple[str, ...]] = ()
    base: Univariate

    @property
    def elementwise(self) -> bool:  # type: ignore[override]
        """Whether each leaf of the base has one number for each draw."""
        return self.base.elementwise

    def __init__(self, base: torch.distributions.Distribution, validate_args: bool | None = None) -> None:
        ours = convert(base)
        who = type(self).__name__
        if not isinstance(ours, Univariate):
            raise TypeError(
                f"{who}: base must be a one-dimensional family with a cdf; got {type(base).__name__}"
            )
        ours, *own = alike(ours, *(getattr(self, name) for name in self.own))
        for name, value in zip(self.own, own):
            setattr(self, name, value)
        shape = torch.broadcast_shapes(ours.batch_shape, *(getattr(self, name).shape for name in self.own))
        self.base = ours if ours.batch_shape == shape else ours.expand(shape)
        super().__init__(shape, validate_args=validate_args)

    def parameters(self) -> dict[str, Tensor]:
        """Return the parameters of the base, then those of the wrapper; a name of both is `base_name` in the base."""
        base = {self._name(name): value for name, value in self.base.parameters().items()}
        return base | {name: getattr(self, name) for name in self.own}

    def rebuilt(self, change: Callable[[str, Tensor], Tensor]) -> "Wrapped":
        """Return the family at the parameters change(name, value), without validation."""
        base = self.base.rebuilt(lambda name, value: change(self._name(name), value))
        return self.around(base, {name: change(name, getattr(self, name)) for name in self.own})

    def around(self, base: Univariate, own: dict[str, Tensor]) -> "Wrapped":
        """Return the same wrapper of another base, without validation."""
        family: Callable[..., Wrapped] = type(self)
        return family(base, **own, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Wrapped":
        """Return the distribution with a larger batch shape."""
        own = {name: getattr(self, name).expand(batch_shape) for name in self.own}
        new = self.around(self.base.expand(batch_shape), own)
        new._validate_args = self._validate_args
        return new

    def outline(self) -> tuple[Any, ...]:
        """Return the family and the outline of its base."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self.base.outline()

    def leaves(self) -> list[Tensor]:
        """Return the leaves of the base, then the wrapper's own parameters."""
        return [*self.base.leaves(), *(getattr(self, name) for name in self.own)]

    @classmethod
    def from_outline(cls, outline: tuple[Any, ...], leaves: Iterator[Tensor]) -> Any:
        """Return the law of an outline with the next leaves as its parameters, without validation."""
        family: Callable[..., Any] = cls
        return family(
            rebuild(outline[1], leaves), **{name: next(leaves) for name in cls.own}, validate_args=False
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(x) in nats, computed in float64; -inf outside the support."""
        return self._in_double(lambda q, x: q.log_density(x), value, sample=True)

    def _name(self, name: str) -> str:
        return f"base_{name}" if name in self.own else name


class Truncated(Wrapped):
    """The law of a base family given low <= z <= high.

        z = F^{-1}((1 - u) F(low) + u F(high)),  u = sigmoid(eps), eps ~ Logistic(0, 1)

    F is the base's; quantiles are taken in the nearer tail, in float64, and rounded once. Bounds may be infinite or
    beyond the base's support. For the normal law far in the tails use TruncatedNormal, which works with logarithms.

    Args:
        base: a one-dimensional family with cdf and icdf.
        low: lower bound, or -inf.
        high: upper bound, > low, or inf.

    Shape: base, low and high broadcast to the batch shape; scalar events.

    Gradient: inverse transform, differentiated through F and F^{-1} in every parameter; unbiased for f continuous
    at the bounds. Forward mode and double backward work where they do for the base.

    Source: figurnov2018.

    Example:
        >>> from reparam.distributions import Exponential
        >>> q = Truncated(Exponential(torch.tensor(1.0)), 1.0, 2.0)
        >>> q.cdf(torch.tensor([1.0, 2.0]))
        tensor([0., 1.])
    """

    base_law = "logistic"
    whole = ("push", "log_density", "cdf_formula", "survival_formula")
    own = ("low", "high")

    def __init__(
        self,
        base: torch.distributions.Distribution,
        low: Any,
        high: Any,
        validate_args: bool | None = None,
    ) -> None:
        like = next(iter(convert(base).parameters().values()))
        self.low, self.high = (
            end if isinstance(end, Tensor) else torch.as_tensor(end, dtype=like.dtype, device=like.device)
            for end in (low, high)
        )
        if validate_args is not False and not holds(self.low < self.high):
            raise ValueError(
                f"Truncated: low must be < high; got low={low}, high={high}; exchange the bounds"
            )
        super().__init__(base, validate_args)
        self.low, self.high = self.low.expand(self.batch_shape), self.high.expand(self.batch_shape)
        if self._validate_args and self.low.numel() and not holds(self._as(torch.float64)._mass() > 0):
            raise ValueError(
                f"Truncated: base must have probability between low and high; {type(self.base).__name__} has none that "
                f"a double can hold; got low={low}, high={high}; move a bound into its support"
            )

    @property
    def rule(self) -> str:
        """The rule of the base."""
        return self.base.rule

    @property
    def has_rsample(self) -> bool:
        """Whether draws can be differentiated."""
        return self.base.rule != "none"

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        """The interval [low, high]."""
        return constraints.interval(self.low, self.high)

    def push(self, eps: Tensor) -> Tensor:
        """Return the quantile of the truncated law at u = sigmoid(eps), computed in float64."""
        wide = self._as(torch.float64)
        u, v = torch.sigmoid(eps.double()), torch.sigmoid(-eps.double())
        (cdf_low, sf_low), (cdf_high, sf_high) = wide._ends()
        p, q = v * cdf_low + u * cdf_high, v * sf_low + u * sf_high
        lower = p < q
        below = wide.base.icdf_formula(torch.where(lower, p, 0.5))
        above = wide.base.isf_formula(torch.where(lower, 0.5, q))
        z = torch.where(lower, below, above)
        z = torch.where(z < wide.low, wide.low, torch.where(z > wide.high, wide.high, z))
        return z.to(self.low.dtype)

    def log_density(self, x: Tensor) -> Tensor:
        """Return log q_base(x) - log(F(high) - F(low))."""
        inside = (x >= self.low) & (x <= self.high)
        value = self.base.log_density(torch.where(inside, x, self._median())) - torch.log(self._mass())
        return torch.where(inside, value, -torch.inf)

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return (F(x) - F(low)) / (F(high) - F(low))."""
        return between(self.base, self.low, self._within(x)) / self._mass()

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return (F(high) - F(x)) / (F(high) - F(low))."""
        return between(self.base, self._within(x), self.high) / self._mass()

    def icdf_formula(self, u: Tensor) -> Tensor:
        """Return the quantile at u."""
        return self.push(torch.logit(u))

    def isf_formula(self, q: Tensor) -> Tensor:
        """Return the quantile at 1 - q."""
        return self.push(-torch.logit(q))

    def _ends(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        return self.base.masses(self.low), self.base.masses(self.high)

    def _within(self, x: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(x, self.low), self.high)

    def _mass(self) -> Tensor:
        return between(self.base, self.low, self.high)

    def _median(self) -> Tensor:
        return self.base.icdf_formula(torch.full_like(self.low, 0.5)).detach()
