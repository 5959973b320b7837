"""Every family of both tables, and those that have neither's laws, in one: what is traced and transformed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from distributions.cases import CASES
from distributions.cases_multivariate import CASES as VECTORS
from reparam import distributions as D


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
