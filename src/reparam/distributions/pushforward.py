"""Images of a one-dimensional law under maps that need not be one to one: Pushforward, and Folded for |x|.

z = T(g(eps; phi)),   q(z) = sum over the preimages x of z of q_base(x)/|T'(x)|
F(z) = sum over the intervals of {x : T(x) <= z} of their probability under the base
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.transforms import Transform

from reparam.distributions.between import between
from reparam.distributions.explicit import Univariate
from reparam.distributions.solved import Solved
from reparam.distributions.truncated import Wrapped
from reparam.distributions.von_mises import VonMises
from reparam.distributions.whole import rebuild
from reparam.noise import NoiseSpec
from reparam.transforms.branches import Absolute, Branched, branched, from_outline, outline

Interval = tuple[Tensor, Tensor]


FOLD = [Absolute()]
ROUNDING = 4e-16  # of a probability near 1


class Pushforward(Wrapped, Solved):
    """Law of T(x) for x from a base law on the line, T = T_n .. T_1 with finitely many branches each.

        log q(z) = log sum over the preimages x of exp(log q_base(x) - log |dT/dx|)

    Args:
        base: a one-dimensional family with cdf and icdf.
        transforms: torch transforms of numbers, first applied first: monotone ones (exp, affine, sigmoid, ..),
            `AbsTransform`, or `transforms.branches.Branched` maps (`Absolute`, `Square`, one's own).

    Shape: that of the base; scalar events.

    Gradient: that of the base through T by the chain rule, unbiased; the transforms' own tensors get theirs too.
    `pathwise(x)` is the mean over the preimages of x of the draw's derivatives there, weighted by their densities,
    -F_phi/q: another field of the same law where T folds. `icdf` is a root: double backward works.

    Raises:
        TypeError: for a base without a distribution function, or a transform whose branches are not known.

    Source: devroye1986.

    Example:
        >>> from reparam.distributions import Normal
        >>> from reparam.transforms.branches import Square
        >>> q = Pushforward(Normal(torch.tensor(0.0), torch.tensor(1.0)), [Square()])
        >>> q.cdf(torch.tensor(1.0))
        tensor(0.6827)
    """

    def __init__(
        self,
        base: torch.distributions.Distribution,
        transforms: Transform | Sequence[Any],
        validate_args: bool | None = None,
    ) -> None:
        who = type(self).__name__
        parts = [transforms] if isinstance(transforms, Transform) else transforms
        self.maps = [branched(part, who) for part in parts]
        super().__init__(base, validate_args)
        if isinstance(self.base, VonMises):
            raise TypeError(f"{who}: base must be a law on the line; got VonMises, a law on the circle")
        self._check_domains(who)

    @property
    def rule(self) -> str:
        """The rule of the base."""
        return self.base.rule

    @property
    def has_rsample(self) -> bool:
        """Whether draws can be differentiated."""
        return self.base.rule != "none"

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """The codomain of the last map."""
        return self.maps[-1].codomain if self.maps else self.base.support

    def noise_spec(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> NoiseSpec:
        """Return the noise of the base."""
        return self.base.noise_spec(sample_shape)

    def push(self, eps: Tensor) -> Tensor:
        """Return T(g(eps; phi))."""
        z = self.base.push(eps)
        for part in self.maps:
            z = part(z)
        return z

    def around(self, base: Univariate, own: dict[str, Tensor]) -> Any:
        """Return the image of another base under the same maps, without validation."""
        return Pushforward(base, self.maps, validate_args=False)

    def log_density(self, x: Tensor) -> Tensor:
        """Return the log of the sum over the preimages."""
        points = [(x, torch.zeros_like(x))]
        for part in reversed(self.maps):
            points = [
                (inner, slope + more) for outer, slope in points for inner, more in part.branches(outer)
            ]
        terms = [self.base.log_density_anywhere(inner) - slope for inner, slope in points]
        return log_sum(torch.stack(torch.broadcast_tensors(*terms)))

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return the probability of {T <= x}."""
        return self._probability(torch.full_like(x, -torch.inf), x)

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return the probability of {T > x}."""
        return self._probability(x, torch.full_like(x, torch.inf))

    def icdf_formula(self, u: Tensor) -> Tensor:
        """Return the quantile at u."""
        return self._quantile(u, upper=False)

    def isf_formula(self, q: Tensor) -> Tensor:
        """Return the quantile at 1 - q."""
        return self._quantile(q, upper=True)

    def _quantile(self, p: Tensor, *, upper: bool) -> Tensor:
        """Return T_n of the quantile before it; an even map rises with |x|, so that it takes the folded law's."""
        if not self.maps:
            return self.base.isf_formula(p) if upper else self.base.icdf_formula(p)
        *first, last = self.maps
        inner = Pushforward(self.base, first, validate_args=False)
        if isinstance(last, Branched):
            folded = Folded(inner if first else self.base, validate_args=False)
            return last(folded.isf_formula(p) if upper else folded.icdf_formula(p))
        same, other = inner._quantile(p, upper=upper), inner._quantile(p, upper=not upper)
        return last(torch.where(torch.as_tensor(last.sign < 0), other, same))

    def at_score(self, eps: Tensor) -> Tensor:
        """Return the quantile at Phi(eps)."""
        return Univariate.at_score(self, eps)

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return -F_phi/q at z = x, from the smaller of F and S, in float64."""
        return Univariate.pathwise(self, x)

    def outline(self) -> tuple[Any, ...]:
        """Return the family and the outlines of its base and of the maps."""
        return *Wrapped.outline(self), tuple(outline(part, []) for part in self.maps)

    def leaves(self) -> list[Tensor]:
        """Return the leaves of the base, then the tensors of the maps."""
        own: list[Tensor] = []
        outline(self.maps, own)
        return [*self.base.leaves(), *own]

    @classmethod
    def from_outline(cls, made: tuple[Any, ...], leaves: Iterator[Tensor]) -> Any:
        """Return the law of an outline with the next leaves as its parameters, without validation."""
        base = rebuild(made[1], leaves)
        return Pushforward(base, [from_outline(part, leaves) for part in made[2]], validate_args=False)

    def _check_domains(self, who: str) -> None:
        """Raise where a map is not defined on all of the law before it."""
        support = self.base.support
        for part in self.maps:
            low, start = (getattr(c, "lower_bound", -torch.inf) for c in (part.domain, support))
            high, end = (getattr(c, "upper_bound", torch.inf) for c in (part.domain, support))
            if not bool(torch.as_tensor((low <= start) & (end <= high)).all()):
                raise ValueError(
                    f"{who}: each of transforms must be defined on the support before it; got "
                    f"{type(getattr(part, 'transform', part)).__name__} on {support}; use a Branched map such as Square"
                )
            support = part.codomain

    def _probability(self, low: Tensor, high: Tensor) -> Tensor:
        parts: list[Interval] = [(low, high)]
        for part in reversed(self.maps):
            parts = [inner for outer in parts for inner in part.intervals(*outer)]
        total = torch.zeros_like(low)
        for start, end in parts:
            total = total + between(self.base, start, end)
        return total


class Folded(Pushforward):
    """Law of |x| for x from a base law on the line.

        z = |g(eps; phi)|,  q(z) = q_base(z) + q_base(-z),  F(z) = F_base(z) - F_base(-z),  z >= 0

    Args:
        base: a one-dimensional family with cdf and icdf.

    Shape: that of the base; scalar events.

    Gradient: that of the base times the sign of the base's draw, unbiased: |x| is continuous. Antithetic noise of a
    symmetric base gives equal, not opposite, draws. `pathwise(x)` is the mean over the preimages x and -x, weighted
    by their densities. Double backward and forward mode work where they do for the base.

    Source: devroye1986.

    Example:
        >>> from reparam.distributions import Normal
        >>> q = Folded(Normal(torch.tensor(1.0), torch.tensor(1.0)))
        >>> q.cdf(torch.tensor(2.0))
        tensor(0.8400)
    """

    def __init__(self, base: torch.distributions.Distribution, validate_args: bool | None = None) -> None:
        super().__init__(base, FOLD, validate_args)

    def around(self, base: Univariate, own: dict[str, Tensor]) -> Any:
        """Return the folded law of another base, without validation."""
        return Folded(base, validate_args=False)

    def outline(self) -> tuple[Any, ...]:
        """Return the family and the outline of its base."""
        return Wrapped.outline(self)

    @classmethod
    def from_outline(cls, outline: tuple[Any, ...], leaves: Iterator[Tensor]) -> Any:
        """Return the law of an outline with the next leaves as its parameters, without validation."""
        return Folded(rebuild(outline[1], leaves), validate_args=False)

    def icdf_formula(self, u: Tensor) -> Tensor:
        """Return the quantile at u, a root."""
        return self.solve(torch.special.ndtri(u))

    def isf_formula(self, q: Tensor) -> Tensor:
        """Return the quantile at 1 - q, a root."""
        return self.solve(-torch.special.ndtri(q))

    def bracket(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Return S_base^{-1}(q/2) and -F_base^{-1}(q/2), q = Phi(-eps), in order, apart by what rounding q moves.

        At the smaller of the two one tail of the base is q/2 and the other at least that; at the larger, at most.
        """
        tail = 0.5 * torch.special.ndtr(-eps)
        one, other = self.base.isf_formula(tail), -self.base.icdf_formula(tail)
        high = torch.maximum(one, other).clamp(min=0)
        low = torch.minimum(torch.minimum(one, other).clamp(min=0), high)
        return self._apart(low, -1).clamp(min=0), self._apart(high, 1).clamp(
            min=torch.finfo(torch.float64).tiny
        )

    def start(self, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Return the middle, or near 0 the tangent's Phi(eps)/q(0)."""
        peak = torch.exp(self.log_density_anywhere(torch.zeros_like(high)))
        tangent = torch.where(peak > 0, torch.special.ndtr(eps) / peak, torch.inf)
        return torch.minimum(torch.maximum(tangent, low), low / 2 + high / 2)

    def _apart(self, x: Tensor, sign: int) -> Tensor:
        density = torch.exp(self.log_density_anywhere(x))
        return x + sign * (1e-12 * x + torch.where(density > 0, ROUNDING / density, x))


def log_sum(terms: Tensor) -> Tensor:
    """Return log sum_k e^(terms_k) along the first axis, with derivatives 0 for terms that are -inf."""
    known = terms > -torch.inf
    top = torch.where(known, terms, -torch.inf).amax(0).detach()
    shift = torch.where(torch.isfinite(top), top, 0.0)
    total = torch.where(known, torch.exp(torch.where(known, terms, 0.0) - shift), 0.0).sum(0)
    some = total > 0
    return torch.where(some, torch.log(torch.where(some, total, 1.0)), -torch.inf) + shift
