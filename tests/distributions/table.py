"""Every family of both tables, and those that have neither's laws, in one: what is traced and transformed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.distributions.transforms import AffineTransform, ExpTransform

from distributions.cases import CASES
from distributions.cases_multivariate import CASES as VECTORS
from distributions.cases_multivariate import CENTRES, SPREADS
from reparam import distributions as D
from reparam.transforms.branches import Square


@dataclass(frozen=True)
class Entry:
    """A family at a batch of parameters; `free` maps real arguments to legal ones where that needs a map."""

    family: Callable[..., Any]
    params: dict[str, Tensor]
    free: dict[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    kinks: bool = False
    costly: bool = False
    exact: bool = True

    def make(self, params: dict[str, Tensor], **options: Any) -> Any:
        legal = {key: self.free[key](value) if key in self.free else value for key, value in params.items()}
        return self.family(**legal, **options)

    def at(self, values: tuple[Tensor, ...]) -> Any:
        """The family at values of the parameters, in their order, without validation."""
        return self.make(dict(zip(self.params, values)), validate_args=False)


def close(ours: Tensor, right: Tensor, tolerance: float, floor: float = 0.0) -> None:
    """Relative error below the tolerance; `floor` is the scale under which the error is read as absolute."""
    scale = torch.maximum(right.abs(), torch.tensor(floor, dtype=right.dtype))
    error = torch.where(ours == right, 0.0, (ours - right).abs() / scale)
    assert (error <= tolerance).all(), (error.max(), ours, right)


def t(*values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def unit(x: Tensor) -> Tensor:
    return x / torch.linalg.vector_norm(x, dim=-1, keepdim=True)


def grid(family: Any) -> Callable[..., Any]:
    return lambda **given: family(low=-1.0, high=1.0, bins=16, **given)


MU = {"loc": t([1.0, 2.0, -1.0], [0.3, 0.0, 1.0]), "concentration": t(3.0, 0.8)}
LOGITS = t([0.3, -1.0, 2.0], [0.0, 0.5, 0.25])
PROBS = t([0.3, 0.6, 0.1], [0.2, 0.5, 0.3])
T = t(0.7, 1.3).unsqueeze(-1)
ONE = {
    c.name: Entry(c.family or getattr(D, c.name), c.batch(), {}, c.kinks, c.costly, c.exact) for c in CASES
}
MANY = {
    **{
        c.name: Entry(lambda c=c, **given: c.family(**c.options, **given), c.params, c.free, exact=c.exact)
        for c in VECTORS
    },
    "VonMisesFisher": Entry(D.VonMisesFisher, MU, {"loc": unit}),
    "PowerSpherical": Entry(D.PowerSpherical, MU, {"loc": unit}),
    "RelaxedOneHotCategorical": Entry(D.RelaxedOneHotCategorical, {"temperature": T[0], "logits": LOGITS}),
    "RelaxedBernoulli": Entry(D.RelaxedBernoulli, {"temperature": T, "logits": LOGITS}),
    "RelaxedBernoulli(probs)": Entry(D.RelaxedBernoulli, {"temperature": T, "probs": PROBS}),
}
DISCRETE = {
    "DiscretizedLogistic": Entry(grid(D.DiscretizedLogistic), {"loc": t(0.3, -0.2), "scale": t(0.1, 0.4)}),
    "DiscretizedLogisticMixture": Entry(
        grid(D.DiscretizedLogisticMixture), {"logits": LOGITS, "loc": LOGITS / 3, "scale": PROBS}
    ),
    "Bernoulli": Entry(D.Bernoulli, {"logits": LOGITS}),
    "Bernoulli(probs)": Entry(D.Bernoulli, {"probs": PROBS}),
    "Categorical": Entry(D.Categorical, {"logits": LOGITS}),
    "Categorical(probs)": Entry(D.Categorical, {"probs": PROBS}),
    "OneHotCategorical": Entry(D.OneHotCategorical, {"logits": LOGITS}),
    "Geometric": Entry(D.Geometric, {"logits": LOGITS}),
    "Poisson": Entry(D.Poisson, {"rate": t(0.3, 4.0, 70.0)}),
    "Binomial": Entry(lambda **given: D.Binomial(9, **given), {"logits": LOGITS}),
    "NegativeBinomial": Entry(D.NegativeBinomial, {"total_count": t(9.0, 0.5, 3.0), "logits": LOGITS[0]}),
    "ZeroInflated": Entry(
        lambda rate, logits, **given: D.ZeroInflated(D.Poisson(rate, **given), logits, **given),
        {"rate": t(0.3, 4.0, 70.0), "logits": LOGITS[0]},
    ),
}
LAWS = ONE | MANY | DISCRETE


def mixed(family: Any, **fixed: Any) -> Callable[..., Any]:
    """A MixtureSameFamily of a family at parameters (*B, K)."""

    def make(logits: Tensor, validate_args: bool | None = None, **given: Tensor) -> Any:
        parts = family(**given, **fixed, validate_args=False)
        return D.MixtureSameFamily(D.Categorical(logits=logits, validate_args=False), parts, validate_args)

    return make


def around(wrapper: Any, family: Any, *names: str) -> Callable[..., Any]:
    """A wrapper of a base family; the named parameters are the wrapper's own."""

    def make(validate_args: bool | None = None, **given: Tensor) -> Any:
        own = [given.pop(name) for name in names]
        return wrapper(family(**given, validate_args=False), *own, validate_args=validate_args)

    return make


def moved_square(base: Any, shift: Tensor, **options: Any) -> Any:
    return D.Pushforward(base, [AffineTransform(shift, -2.0), Square()], **options)


def exponential_of(base: Any, **options: Any) -> Any:
    return D.TransformedDistribution(base, [AffineTransform(0.5, 2.0), ExpTransform()], **options)


def folded_and_exponential(logits: Tensor, loc: Tensor, scale: Tensor, **options: Any) -> Any:
    parts = [D.Folded(D.Normal(loc, scale, **options), **options), D.Exponential(scale, **options)]
    return D.Mixture(D.Categorical(logits=logits, **options), parts, **options)


PAIR = {"loc": t(0.0, 1.0), "scale": t(1.0, 0.5)}
LINES = {"loc": t([0.0, 1.0], [-2.0, 3.0]), "scale": t([1.0, 0.3], [0.5, 2.0])}
TWO = t([0.3, -1.0], [0.0, 0.5])
BOUNDS = {"low": t(0.2, 0.5), "high": t(2.0, float("inf"))}
# wrappers around several families, on the line and not
LINE_WRAPPED = {
    "Truncated(Gamma)": Entry(
        around(D.Truncated, D.Gamma, "low", "high"),
        {"concentration": t(2.5, 0.6), "rate": t(1.0, 0.4), **BOUNDS},
    ),
    "Truncated(StudentT)": Entry(
        around(D.Truncated, D.StudentT, "low", "high"), {"df": t(3.0, 9.0), **PAIR, **BOUNDS}
    ),
    "Truncated(Folded)": Entry(
        around(D.Truncated, around(D.Folded, D.Normal), "low", "high"), {**PAIR, **BOUNDS}
    ),
    "Truncated(Mixture)": Entry(
        around(D.Truncated, mixed(D.Logistic), "low", "high"), {"logits": TWO, **LINES, **BOUNDS}
    ),
    "Folded(Laplace)": Entry(around(D.Folded, D.Laplace), PAIR, kinks=True, exact=False),
    "Pushforward(own tensor)": Entry(
        around(moved_square, D.Normal, "shift"), {**PAIR, "shift": t(0.4)}, exact=False
    ),
    "Mixture(Folded, Exponential)": Entry(folded_and_exponential, {"logits": TWO, **PAIR}),
    "MixtureSameFamily(Normal)": Entry(mixed(D.Normal), {"logits": TWO, **LINES}),
    "MixtureSameFamily(Gamma)": Entry(
        mixed(D.Gamma), {"logits": TWO, "concentration": t([2.0, 0.5], [3.0, 7.0]), "rate": LINES["scale"]}
    ),
    "MixtureSameFamily(Truncated)": Entry(
        mixed(around(D.Truncated, D.Gumbel, "low", "high"), low=t(0.0), high=t(5.0)), {"logits": TWO, **LINES}
    ),
}
VECTOR_WRAPPED = {
    "Mixture(Independent Gamma)": Entry(
        mixed(around(lambda base, **options: D.Independent(base, 1, **options), D.Gamma)),
        {"logits": TWO, "concentration": torch.exp(CENTRES), "rate": SPREADS},
    ),
    "Independent(Gamma)": Entry(
        around(lambda base, **options: D.Independent(base, 1, **options), D.Gamma),
        {"concentration": t([2.0, 0.5], [3.0, 7.0]), "rate": LINES["scale"]},
    ),
    "TransformedDistribution": Entry(around(exponential_of, D.Normal), PAIR),
}
WRAPPED = LINE_WRAPPED | VECTOR_WRAPPED
