"""Explicit one-dimensional families: an increasing map of a standard law, z = g(eps; phi).

A family states g (`push`), its inverse eps = h(z) (`pull`) and log h'(z) (`log_slope`). Everything else follows:

    log q(z) = log rho(h(z)) + log h'(z),   F(z) = F_rho(h(z)),   S(z) = S_rho(h(z)),   F^{-1}(u) = g(Q_rho(u))
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor

from reparam.distributions.base import Distribution, result_dtype
from reparam.distributions.laws import Law
from reparam.distributions.narrow import HALVES
from reparam.distributions.whole import FAMILIES, as_one_node
from reparam.noise import NoiseSpec


class Univariate(Distribution):
    """A one-dimensional family with both tails: F = `cdf`, S = `survival`, and their inverses `icdf` and `isf`.

    F, S and their inverses are computed in float64 and rounded once. With bfloat16 or float16 parameters the noise
    is float32, all arithmetic is float32, and results are rounded once.
    """

    through_float32 = ("entropy",)  # this class does the rest itself, some of it in float64
    whole: ClassVar[tuple[str, ...]] = ()  # methods of so many operations that a compiler sees each as one
    elementwise: bool = True  # each leaf has one number for each draw

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        FAMILIES[f"{cls.__module__}.{cls.__qualname__}"] = cls
        for name in cls.whole:
            if name in cls.__dict__:
                setattr(cls, name, as_one_node(name, cls.__dict__[name]))
        if "push" in cls.__dict__:
            cls.push = _rounded_once(cls.__dict__["push"])  # type: ignore[method-assign]

    def parameters(self) -> dict[str, Tensor]:
        """Return the parameters by name."""
        return {name: getattr(self, name) for name in self.arg_constraints}

    def like(self) -> Tensor:
        """Return a parameter, for dtype and device."""
        return next(iter(self.parameters().values()))

    def noise_spec(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> NoiseSpec:
        """Return the base noise that `push` eats; float32 for narrower parameters."""
        like = self.like()
        shape = tuple(self._extended_shape(torch.Size(sample_shape)))
        dtype = torch.float32 if like.dtype in HALVES else like.dtype
        return NoiseSpec(self.base_law, shape, len(sample_shape), dtype, like.device)

    def rebuilt(self, change: Callable[[str, Tensor], Tensor]) -> "Univariate":
        """Return the family at the parameters change(name, value), without validation."""
        values = {name: change(name, value) for name, value in self.parameters().items()}
        family: Callable[..., Univariate] = type(self)
        return family(**values, validate_args=False)

    def cdf(self, value: Tensor) -> Tensor:
        """Return F(x) = P(z <= x), accurate in the lower tail."""
        return self._in_double(lambda q, x: q.cdf_formula(x), value, sample=True)

    def survival(self, value: Tensor) -> Tensor:
        """Return S(x) = P(z > x), accurate in the upper tail."""
        return self._in_double(lambda q, x: q.survival_formula(x), value, sample=True)

    def icdf(self, value: Tensor) -> Tensor:
        """Return x with F(x) = u; nan for u outside [0, 1]."""
        return self._in_double(lambda q, u: q.icdf_formula(u), value)

    def isf(self, value: Tensor) -> Tensor:
        """Return x with S(x) = q, nan for q outside [0, 1]; accurate in the upper tail, where 1 - q is rounded."""
        return self._in_double(lambda q, u: q.isf_formula(u), value)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(x) in nats."""
        if self._validate_args:
            self._validate_sample(value)
        like = self.like()
        if like.dtype in HALVES:
            wide = self._as(torch.float32)
            return wide.log_density(value.float()).to(result_dtype(like, value))
        return self.log_density(value)

    def log_density(self, x: Tensor) -> Tensor:
        """Return log q(x) in nats, in the dtype of x, without validation."""
        raise TypeError(f"{type(self).__name__}.log_prob: this family has no density")

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return F(x) in the dtype of x."""
        raise TypeError(f"{type(self).__name__}.cdf: this family has no distribution function")

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return S(x) in the dtype of x."""
        return 1 - self.cdf_formula(x)

    def icdf_formula(self, u: Tensor) -> Tensor:
        """Return F^{-1}(u) in the dtype of u."""
        raise TypeError(f"{type(self).__name__}.icdf: this family has no quantile function")

    def isf_formula(self, q: Tensor) -> Tensor:
        """Return S^{-1}(q) in the dtype of q."""
        return self.icdf_formula(1 - q)

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dphi = -F_phi / q at z = x, taken from the smaller of F and S; computed in float64."""
        wide, point = self._as(torch.float64), x.double()
        lower = wide.cdf_formula(point) < wide.survival_formula(point)
        density = torch.exp(wide.log_density(point))

        def slope(name: str, value: Tensor) -> Tensor:
            def masses(parameter: Tensor) -> tuple[Tensor, Tensor]:
                q = wide.rebuilt(lambda key, old: parameter if key == name else old)
                return q.cdf_formula(point), q.survival_formula(point)

            cdf, survival = torch.func.jvp(masses, (value.clone(),), (torch.ones(value.shape).to(value),))[1]
            return torch.where(lower, -cdf, survival) / density

        slopes = {name: slope(name, value) for name, value in wide.parameters().items()}
        kinds = self.parameters()
        return {name: slope.to(result_dtype(kinds[name], x)) for name, slope in slopes.items()}

    def masses(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return F(x) and S(x) for any x: constant beyond the support and at infinity."""
        lower = getattr(self.support, "lower_bound", -torch.inf)
        upper = getattr(self.support, "upper_bound", torch.inf)
        below, above = x <= lower, x >= upper
        inner = torch.where(below | above, interior(lower, upper, x), x)
        cdf, survival = self.cdf_formula(inner), self.survival_formula(inner)
        one = torch.ones_like(cdf)
        cdf = torch.where(below, 0.0, torch.where(above, one, cdf))
        return cdf, torch.where(below, one, torch.where(above, 0.0, survival))

    def at_score(self, eps: Tensor) -> Tensor:
        """Return the quantile at Phi(eps), eps the normal score, in the dtype of eps."""
        lower = eps < 0
        p = torch.special.ndtr(torch.where(lower, eps, -eps))
        return torch.where(lower, self.icdf_formula(p), self.isf_formula(p))

    def log_density_anywhere(self, x: Tensor) -> Tensor:
        """Return log q(x) for any x: -inf beyond the support and at infinity."""
        lower = getattr(self.support, "lower_bound", -torch.inf)
        upper = getattr(self.support, "upper_bound", torch.inf)
        outside = (x < lower) | (x > upper) | torch.isinf(x)
        value = self.log_density(torch.where(outside, interior(lower, upper, x), x))
        return torch.where(outside, -torch.inf, value)

    def outline(self) -> tuple[Any, ...]:
        """Return the structure of this law as nested tuples of strings; with `leaves` it gives the law again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", *self.parameters()

    def leaves(self) -> list[Tensor]:
        """Return the parameters in the order of the outline, each of the batch shape."""
        return list(self.parameters().values())

    @classmethod
    def from_outline(cls, outline: tuple[Any, ...], leaves: Iterator[Tensor]) -> Any:
        """Return the law of an outline with the next leaves as its parameters, without validation."""
        family: Callable[..., Any] = cls
        return family(**{name: next(leaves) for name in outline[1:]}, validate_args=False)

    def _in_double(
        self, method: Callable[[Any, Tensor], Tensor], value: Tensor, *, sample: bool = False
    ) -> Tensor:
        if sample and self._validate_args:
            self._validate_sample(value)
        like = self.like()
        value = torch.as_tensor(value, device=like.device)
        result = method(self._as(torch.float64), value.double())
        return result.to(result_dtype(like, value))

    def _as(self, dtype: torch.dtype) -> Any:
        if all(value.dtype == dtype for value in self.parameters().values()):
            return self
        return self.rebuilt(lambda name, value: value.to(dtype))


class Explicit(Univariate):
    """An explicit family: `push` is g, `pull` its inverse, `log_slope` = log dh/dz, `law` the law of eps."""

    rule = "explicit"
    law: ClassVar[Law]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "pathwise" in cls.__dict__:
            cls.pathwise = _in_float64(cls.__dict__["pathwise"])  # type: ignore[method-assign]

    def pull(self, x: Tensor) -> Tensor:
        """Return eps = h(x; phi), the inverse of `push`."""
        raise TypeError(f"{type(self).__name__}.pull: this family gives no inverse map")

    def log_slope(self, x: Tensor) -> Tensor:
        """Return log dh/dx."""
        raise TypeError(f"{type(self).__name__}.log_slope: this family gives no inverse map")

    def log_density(self, x: Tensor) -> Tensor:
        """Return log q(x) = log rho(h(x)) + log h'(x)."""
        return self.law.log_density(self.pull(x)) + self.log_slope(x)

    def pathwise(self, x: Tensor) -> dict[str, Tensor]:
        """Return dz/dphi at fixed noise, where z = x: the derivative of g at eps = h(x)."""
        eps = self.pull(x)

        def slope(name: str, value: Tensor) -> Tensor:
            def moved(parameter: Tensor) -> Tensor:
                return self.rebuilt(lambda key, old: parameter if key == name else old).push(eps)

            return torch.func.jvp(moved, (value.clone(),), (torch.ones(value.shape).to(value),))[1]

        return {name: slope(name, value) for name, value in self.parameters().items()}

    def cdf_formula(self, x: Tensor) -> Tensor:
        """Return F(x) = F_rho(h(x))."""
        return self.law.cdf(self.pull(x))

    def survival_formula(self, x: Tensor) -> Tensor:
        """Return S(x) = S_rho(h(x))."""
        return self.law.survival(self.pull(x))

    def icdf_formula(self, u: Tensor) -> Tensor:
        """Return g(Q_rho(u))."""
        return self.push(self.law.quantile(u))

    def isf_formula(self, q: Tensor) -> Tensor:
        """Return g(S_rho^{-1}(q))."""
        return self.push(self.law.upper(q))


def _rounded_once(push: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return `push` with its arithmetic in float32 where the parameters are narrower."""

    def wide_push(self: Univariate, eps: Tensor) -> Tensor:
        dtype = self.like().dtype
        if dtype in HALVES:
            return push(self._as(torch.float32), eps.float()).to(dtype)
        return push(self, eps)

    wide_push.__doc__ = push.__doc__
    wide_push.__name__ = push.__name__
    return wide_push


def _in_float64(pathwise: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
    """Return `pathwise` computed in float64 and rounded once."""

    def wide_pathwise(self: Univariate, x: Tensor) -> dict[str, Tensor]:
        kinds = self.parameters()
        slopes = pathwise(self._as(torch.float64), x.double())
        return {name: slope.to(result_dtype(kinds[name], x)) for name, slope in slopes.items()}

    wide_pathwise.__doc__ = pathwise.__doc__
    wide_pathwise.__name__ = pathwise.__name__
    return wide_pathwise


Explicit.pathwise = _in_float64(Explicit.pathwise)  # type: ignore[method-assign]


def interior(lower: Any, upper: Any, x: Tensor) -> Tensor:
    """Return a point between two bounds, of which any may be infinite."""
    low, high = (torch.as_tensor(end, dtype=x.dtype, device=x.device).detach() for end in (lower, upper))
    closed_below, closed_above = torch.isfinite(low), torch.isfinite(high)
    start, end = torch.where(closed_below, low, 0.0), torch.where(closed_above, high, 0.0)
    one_sided = torch.where(closed_below, start + 1, torch.where(closed_above, end - 1, 0.0))
    return torch.where(closed_below & closed_above, start / 2 + end / 2, one_sided)
