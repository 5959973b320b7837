"""Mixtures of one family: z ~ sum_k w_k p_k, as a map of normal noise that is differentiable in everything.

One dimension: the quantile, F(z) = sum_k w_k F_k(z) = Phi(eps).

Several dimensions: Rosenblatt's map, coordinate by coordinate. Given the ones before, coordinate j is again a
one-dimensional mixture, whose weights are the running responsibilities:

    F_j(z_j | z_<j) = Phi(eps_j),   log w_k <- log w_k + log p_k(z_j | z_<j)
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor

from reparam.distributions.base import Distribution
from reparam.distributions.categorical import Categorical, raw, scores
from reparam.distributions.convert import alike, convert, detach
from reparam.distributions.explicit import Univariate
from reparam.distributions.multivariate import jacobian
from reparam.distributions.multivariate_normal import MultivariateNormal
from reparam.distributions.normal import Normal
from reparam.distributions.whole import rebuild, traced
from reparam.distributions.wrappers import Independent
from reparam.special import ndtr
from reparam.transforms.mixture import attached, mixture_quantile, score, solved


class MixtureSameFamily(Univariate, torch.distributions.MixtureSameFamily):
    """Mixture sum_k w_k p_k of K laws of one family.

    The components are one-dimensional (any family with `cdf` and `icdf`), `Independent` of one-dimensional ones, or
    `MultivariateNormal`.

        z = F^{-1}(Phi(eps)),  F = sum_k w_k F_k,  eps ~ N(0, 1);  in d dimensions coordinate by coordinate

    Args:
        mixture_distribution: Categorical with the weights w (*B, K).
        component_distribution: the components, batch shape (*B, K).

    Shape: batch (*B), event that of a component; the noise has the shape of the draw.

    Gradient: implicit, unbiased for any integrable f of the draw; in one dimension dz/dlogits_k = -w_k (F_k - F)/f and
    dz/dtheta_k = r_k dz_k/dtheta_k, r_k = w_k p_k/f; the logit gradient does not change under a shift of all
    components. Reverse, forward, vmap, compile; second derivatives. `pathwise` is keyed by the parameters of both
    distributions; in d dimensions it is the Jacobian, (*S, *B, d, *parameter).

    Raises:
        TypeError: for components of another kind.

    Source: figurnov2018.

    Example:
        >>> import reparam as rp
        >>> logits, loc = torch.zeros(2), torch.tensor([-2.0, 2.0])
        >>> q = MixtureSameFamily(Categorical(logits=logits), Normal(loc, torch.ones(2)))
        >>> q.cdf(torch.tensor(0.0))
        tensor(0.5000)
    """

    rule = "implicit"
    base_law = "normal"
    arg_constraints: ClassVar[dict] = {}
    whole = ("whole_quantile",)
    _mixture_distribution: Categorical
    _component_distribution: Any

    def __init__(
        self,
        mixture_distribution: torch.distributions.Categorical,
        component_distribution: torch.distributions.Distribution,
        validate_args: bool | None = None,
    ) -> None:
        component = convert(component_distribution)
        inner = component.base_dist if isinstance(component, Independent) else component
        line = isinstance(inner, Univariate) and not inner.event_shape
        if not line and not isinstance(inner, MultivariateNormal):
            raise TypeError(
                "MixtureSameFamily: component_distribution must be one-dimensional with cdf and icdf, Independent of "
                f"such, or MultivariateNormal; got {type(inner).__name__}; use one of these"
            )
        mixture = convert(mixture_distribution)
        if not isinstance(mixture, Categorical):
            raise TypeError(
                f"MixtureSameFamily: mixture_distribution must be a Categorical; got {type(mixture).__name__}"
            )
        mixture, component = alike(mixture, component)
        # torch's class asks for the shape of the logits alone: they need not be normalised for that
        stand_in = mixture.expand(mixture.batch_shape)
        stand_in.logits = raw(mixture)
        torch.distributions.MixtureSameFamily.__init__(self, stand_in, component, validate_args)
        self._mixture_distribution = mixture

    def parameters(self) -> dict[str, Tensor]:
        """Return the parameters of both distributions; a name that both have gets the prefix `component_`."""
        weights = self._mixture_distribution.parameters()
        own = self._component_distribution.parameters()
        return {**weights, **{f"component_{n}" if n in weights else n: value for n, value in own.items()}}

    def _as(self, dtype: torch.dtype) -> Any:
        return Distribution._as(self, dtype)  # logits as they were given

    def rebuilt(
        self, change: Callable[[str, Tensor], Tensor] = lambda name, value: value, **changed: Tensor
    ) -> "MixtureSameFamily":
        """Return the mixture at the parameters change(name, value), or with some exchanged, without validation."""
        if changed:
            return self.rebuilt(lambda name, value: changed.get(name, value))
        weights = self._mixture_distribution.parameters()
        mixture = Categorical(**{n: change(n, value) for n, value in weights.items()}, validate_args=False)

        def moved(name: str, value: Tensor) -> Tensor:
            return change(f"component_{name}" if name in weights else name, value)

        return MixtureSameFamily(mixture, rebuilt(self._component_distribution, moved), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "MixtureSameFamily":
        """Return the distribution with a larger batch shape."""
        blank = type(self).__new__(type(self)) if _instance is None else _instance
        return torch.distributions.MixtureSameFamily.expand(self, batch_shape, blank)

    def like(self) -> Tensor:
        """Return the probs or logits as they were given, for dtype and device."""
        return raw(self._mixture_distribution)

    def push(self, eps: Tensor) -> Tensor:
        """Return the quantile at Phi(eps), coordinate by coordinate (then in float64, rounded once)."""
        if not self.event_shape:
            return quantile(eps, scores(self._mixture_distribution), self._component_distribution)
        wide = self._as(torch.float64)
        flat = eps.double().flatten(eps.ndim - len(self.event_shape))
        z: list[Tensor] = []
        for j, (weights, component) in enumerate(wide.conditionals(z)):
            z.append(quantile(flat[..., j], weights, component))
        return torch.stack(z, -1).reshape(eps.shape).to(eps.dtype)

    def pull(self, x: Tensor) -> Tensor:
        """Return eps with push(eps) = x."""
        wide = self._as(torch.float64)
        z = list(
            (x.flatten(x.ndim - len(self.event_shape)) if self.event_shape else x[..., None])
            .double()
            .unbind(-1)
        )
        eps = [score(*masses(weights, c)(zj)[:2]) for zj, (weights, c) in zip(z, wide.conditionals(z))]
        return torch.stack(eps, -1).reshape(x.shape).to(x.dtype)

    def conditionals(self, z: list[Tensor]) -> Iterator[tuple[Tensor, Univariate]]:
        """Yield, for each coordinate, the log weights and the components of its law given the coordinates z before."""
        weights, d = scores(self._mixture_distribution), self.event_shape.numel()
        gaussian = isinstance(self._component_distribution, MultivariateNormal)
        lines = gaussian_lines if gaussian else independent_lines
        for j, component in enumerate(lines(self._component_distribution, z)):
            yield weights, component
            if j + 1 < d:
                weights = weights + component.log_density(z[j].unsqueeze(-1))

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dphi for the logits (or probs) and every component parameter; computed in float64."""
        wide, point = self._as(torch.float64), x.double()
        slopes = wide._jacobians(point) if self.event_shape else wide._velocities(point)
        return {n: slopes[n].to(torch.result_type(value, x)) for n, value in self.parameters().items()}

    @property
    def elementwise(self) -> bool:  # type: ignore[override]
        """Whether each leaf has one number for each draw: for components on the line."""
        component = self._component_distribution
        return isinstance(component, Univariate) and component.elementwise

    def outline(self) -> tuple[Any, ...]:
        """Return the family, the number of leaves for each component, K, and the outline of the components."""
        component = self._component_distribution
        count = 1 + len(component.leaves())
        return f"{__name__}.{type(self).__qualname__}", count, component.batch_shape[-1], component.outline()

    def leaves(self) -> list[Tensor]:
        """Return the logits of one component after the other, then the leaves of all components in the same way."""
        rows = [scores(self._mixture_distribution), *self._component_distribution.leaves()]
        K = self._component_distribution.batch_shape[-1]
        return [column for row in rows for column in row.expand(*row.shape[:-1], K).unbind(-1)]

    @classmethod
    def from_outline(cls, outline: tuple[Any, ...], leaves: Iterator[Tensor]) -> Any:
        """Return the law of an outline with the next leaves as its parameters, without validation."""
        _, count, K, of_component = outline
        rows = [torch.stack(list(islice(leaves, K)), -1) for _ in range(count)]
        component = rebuild(of_component, iter(rows[1:]))
        return MixtureSameFamily(
            Categorical(logits=rows[0], validate_args=False), component, validate_args=False
        )

    def whole_quantile(self, eps: Tensor) -> Tensor:
        """Return the quantile at Phi(eps) of a mixture on the line, one node of a compiled graph."""
        return quantile(eps, scores(self._mixture_distribution), self._component_distribution)

    def _velocities(self, x: Tensor) -> dict[str, Tensor]:
        component, log_w = self._component_distribution, scores(self._mixture_distribution)
        point, w = x.unsqueeze(-1), torch.softmax(log_w, -1)
        log_parts = torch.log(w) + component.log_density(point)
        log_f = torch.logsumexp(log_parts, -1, keepdim=True)
        F, S = component.cdf_formula(point), component.survival_formula(point)
        lower, upper = (w * F).sum(-1, keepdim=True), (w * S).sum(-1, keepdim=True)
        excess = torch.where(lower < upper, F - lower, upper - S)
        weights = self._mixture_distribution.parameters()
        slopes = {n: -w * excess / log_f.exp() / (v if n == "probs" else 1) for n, v in weights.items()}
        share = torch.exp(log_parts - log_f)
        for name, v in component.pathwise(point).items():
            key = f"component_{name}" if name in weights else name
            slopes[key] = torch.where(share > 0, share * v, 0.0)
        return slopes

    def _jacobians(self, x: Tensor) -> dict[str, Tensor]:
        eps, batch, out = self.pull(x), x.shape[: x.ndim - len(self.event_shape)], {}
        for name, value in self.parameters().items():
            in_weights = name in self._mixture_distribution.parameters()
            lead = len((self._mixture_distribution if in_weights else self).batch_shape)
            wide = value.expand(batch + value.shape[lead:])

            out[name] = jacobian(lambda p, name=name: self.rebuilt(**{name: p}).push(eps), wide, len(batch))
        return out

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log sum_k w_k p_k(x) in nats, computed in float64 and rounded once."""
        return self._in_double(lambda q, x: q.log_density(x), value, sample=True)

    def log_density(self, x: Tensor) -> Tensor:
        """Return log sum_k w_k p_k(x), without validation."""
        component = self._component_distribution
        each = component.log_prob(x.unsqueeze(-1 - len(self.event_shape)))
        return torch.logsumexp(torch.log_softmax(scores(self._mixture_distribution), -1) + each, -1)

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return sum_k w_k F_k(x)."""
        return self._masses(x)[0]

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return sum_k w_k (1 - F_k(x))."""
        return self._masses(x)[1]

    def icdf_formula(self, u: Tensor) -> Tensor:
        """Return the quantile at u."""
        return self._line("icdf").push(torch.special.ndtri(u))

    def isf_formula(self, q: Tensor) -> Tensor:
        """Return the quantile at 1 - q."""
        return self._line("isf").push(-torch.special.ndtri(q))

    def _masses(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q = self._line("cdf")
        return masses(scores(q._mixture_distribution), q._component_distribution)(x)

    def _line(self, what: str) -> "MixtureSameFamily":
        if self.event_shape:
            raise TypeError(
                f"MixtureSameFamily.{what}: the components must be one-dimensional; got event shape "
                f"{tuple(self.event_shape)}; use log_prob or push"
            )
        return self


def rebuilt(component: Any, change: Callable[[str, Tensor], Tensor]) -> Any:
    """Return components at the parameters change(name, value), without validation."""
    if isinstance(component, Independent):
        inner = rebuilt(component.base_dist, change)
        return Independent(inner, component.reinterpreted_batch_ndims, validate_args=False)
    if isinstance(component, MultivariateNormal):
        return component.rebuilt(
            **{name: change(name, value) for name, value in component.parameters().items()}
        )
    return component.rebuilt(change)


def independent_lines(component: Any, z: list[Tensor]) -> Iterator[Univariate]:
    """Yield the law of each coordinate of factorised components, or the one-dimensional components themselves."""
    if not isinstance(component, Independent):
        yield component
        return
    base: Any = component.base_dist
    lead = len(component.batch_shape)
    for j in range(component.event_shape.numel()):
        yield base.rebuilt(lambda name, value, j=j: value.expand(base.batch_shape).flatten(lead)[..., j])


def gaussian_lines(component: MultivariateNormal, z: list[Tensor]) -> Iterator[Univariate]:
    """Yield N(m_j + sum_{i<j} L_ji e_i, L_jj^2), the law of z_j given z_<j, with e = L^{-1} (z - m)."""
    L = component._unbroadcasted_scale_tril
    e: list[Tensor] = []
    for j in range(component.event_shape[0]):
        centre, scale = component.loc[..., j], L[..., j, j]
        for i in range(j):
            centre = centre + L[..., j, i] * e[i]
        yield Normal(centre, scale.expand(centre.shape), validate_args=False)
        if j < len(z):
            e.append((z[j].unsqueeze(-1) - centre) / scale)


def masses(log_w: Tensor, component: Any) -> Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Return z -> (F, 1 - F, f) of a one-dimensional mixture."""
    w = torch.softmax(log_w, -1)

    def at(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        point = z.unsqueeze(-1)
        f = (w * torch.exp(component.log_density(point))).sum(-1)
        return (w * component.cdf_formula(point)).sum(-1), (w * component.survival_formula(point)).sum(-1), f

    return at


def quantile(eps: Tensor, log_w: Tensor, component: Univariate) -> Tensor:
    """Return the quantile of a one-dimensional mixture at the normal score eps."""
    if isinstance(component, Normal):
        return mixture_quantile(eps, log_w, component.loc, component.scale)
    if traced() and component.elementwise:
        mixture = Categorical(logits=log_w, validate_args=False)
        return MixtureSameFamily(mixture, component, validate_args=False).whole_quantile(eps)
    wide = component._as(torch.float64)
    score, weights = eps.double(), log_w.double()
    fixed, held, heights = score.detach().unsqueeze(-1), detach(wide), weights.detach()
    tail = ndtr(-fixed.abs())
    each = torch.where(fixed < 0, held.icdf_formula(tail), held.isf_formula(tail))
    empty = torch.isinf(heights)
    low, high = (torch.where(empty, sign * torch.inf, each) for sign in (1, -1))
    z = solved(fixed.squeeze(-1), low.amin(-1), high.amax(-1), masses(heights, held)).detach()
    return attached(z, score, masses(weights, wide)).to(eps.dtype)
