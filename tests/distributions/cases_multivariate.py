"""The table of vector and matrix families over which the laws of test_multivariate.py run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from reparam import distributions as D


def same(x: Tensor) -> Tensor:
    return x


@dataclass(frozen=True)
class VectorCase:
    """One family: `make(**parameters)` builds it.

    `chart` maps free coordinates (n,) to a point, `unchart` (linear) takes them back; `log_prob` is the density in
    these coordinates up to a constant. `free` maps parameters to real arguments whose every value is legal.
    """

    name: str
    params: dict[str, Tensor]
    family: Callable[..., Any]
    torch_family: str | None = None
    chart: Callable[[Tensor], Tensor] | None = same
    unchart: Callable[[Tensor], Tensor] = same
    free: dict[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    exact: bool = (
        True  # the derivative of the draw is that of push at fixed noise, and not another field of the law
    )

    def make(self, params: dict[str, Tensor], **more: Any) -> Any:
        return self.family(**self.options, **params, **more)

    def at(self, values: tuple[Tensor, ...]) -> Any:
        """The family at unconstrained values, without validation."""
        legal = {key: self.free.get(key, same)(value) for key, value in zip(self.params, values)}
        return self.make(legal, validate_args=False)


def f64(*values: Any) -> Tensor:
    return torch.tensor(values[0] if len(values) == 1 else values, dtype=torch.float64)


def symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.mT) / 2


TRIL = f64(
    [
        [[1.0, 0.0, 0.0], [0.5, 0.7, 0.0], [-0.3, 0.2, 1.5]],
        [[0.2, 0.0, 0.0], [1.0, 2.0, 0.0], [0.1, -0.8, 0.6]],
    ]
)
COV = TRIL @ TRIL.mT
LOC = f64([[0.0, 1.0, -2.0], [3.0, 0.5, 0.0]])


def simplex(u: Tensor) -> Tensor:
    return torch.cat((u, 1 - u.sum(-1, keepdim=True)), -1)


def but_last(x: Tensor) -> Tensor:
    return x[..., :-1]


MVN = D.MultivariateNormal
SYM = {"covariance_matrix": symmetric, "precision_matrix": symmetric}
GAUSSIAN = [
    VectorCase(
        "MVN(L)", {"loc": LOC, "scale_tril": TRIL}, MVN, "MultivariateNormal", free={"scale_tril": torch.tril}
    ),
    VectorCase("MVN(C)", {"loc": LOC, "covariance_matrix": COV}, MVN, "MultivariateNormal", free=SYM),
    VectorCase("MVN(P)", {"loc": LOC, "precision_matrix": COV}, MVN, "MultivariateNormal", free=SYM),
    VectorCase(
        "LowRankMVN",
        {
            "loc": LOC,
            "cov_factor": f64([[[1.0], [0.5], [-2.0]], [[0.1], [0.0], [1.0]]]),
            "cov_diag": f64([[1.0, 0.1, 0.5], [2.0, 1.0, 0.3]]),
        },
        D.LowRankMultivariateNormal,
        "LowRankMultivariateNormal",
    ),
    VectorCase(
        "LogisticNormal",
        {"loc": LOC / 2, "scale": f64([[1.0, 0.3, 0.8], [0.5, 2.0, 0.7]])},
        D.LogisticNormal,
        "LogisticNormal",
        chart=simplex,
        unchart=but_last,
    ),
]


def spread(n: int, offset: int) -> tuple[Tensor, Tensor]:
    i, j = torch.tril_indices(n, n, offset)
    return i, j


def symmetric_of(u: Tensor) -> Tensor:
    i, j = spread(2, 0)
    lower = torch.zeros(2, 2, dtype=u.dtype).index_put((i, j), u)
    return lower + lower.tril(-1).mT


def lower_entries(x: Tensor) -> Tensor:
    i, j = spread(2, 0)
    return x[..., i, j]


def correlation_factor(u: Tensor) -> Tensor:
    i, j = spread(3, -1)
    below = torch.zeros(3, 3, dtype=u.dtype).index_put((i, j), u)
    return below + torch.diag_embed((1 - (below * below).sum(-1)).sqrt())


def strictly_lower_entries(x: Tensor) -> Tensor:
    i, j = spread(3, -1)
    return x[..., i, j]


SMALL = f64([[[1.0, 0.0], [0.5, 0.7]], [[0.4, 0.0], [-1.0, 2.0]]])
DF = f64([1.5, 7.0])
MATRIX = {"chart": symmetric_of, "unchart": lower_entries}
IMPLICIT = [
    VectorCase(
        "Dirichlet",
        {"concentration": f64([[0.3, 2.0, 15.0], [1.0, 1.0, 0.6]])},
        D.Dirichlet,
        "Dirichlet",
        chart=simplex,
        unchart=but_last,
        exact=False,
    ),
    VectorCase(
        "Wishart(L)",
        {"df": DF, "scale_tril": SMALL},
        D.Wishart,
        free={"scale_tril": torch.tril},
        **MATRIX,
    ),
    VectorCase(
        "Wishart(C)",
        {"df": DF, "covariance_matrix": symmetric(SMALL @ SMALL.mT)},
        D.Wishart,
        free={"covariance_matrix": symmetric},
        **MATRIX,
    ),
    VectorCase(
        "LKJCholesky",
        {"concentration": f64([0.6, 3.0])},
        D.LKJCholesky,
        "LKJCholesky",
        chart=correlation_factor,
        unchart=strictly_lower_entries,
        options={"dim": 3},
    ),
]

LOGITS = f64([[0.3, -1.0], [0.0, 0.5]])
CENTRES = f64([[[0.0, 1.0, -2.0], [1.5, 0.0, 1.0]], [[3.0, 0.5, 0.0], [2.0, -1.0, 1.0]]])
SPREADS = f64([[[1.0, 0.3, 0.8], [0.5, 2.0, 0.7]], [[0.4, 1.0, 1.0], [1.5, 0.6, 0.9]]])
MIXTURES = [
    VectorCase(
        "Mixture(Independent)",
        {"logits": LOGITS, "loc": CENTRES, "scale": SPREADS},
        lambda logits, loc, scale, **options: D.MixtureSameFamily(
            D.Categorical(logits=logits, **options),
            D.Independent(D.Normal(loc, scale, **options), 1),
            **options,
        ),
    ),
    VectorCase(
        "Mixture(MVN)",
        {"logits": LOGITS, "loc": CENTRES, "scale_tril": torch.stack((TRIL, TRIL.flip(0)))},
        lambda logits, loc, scale_tril, **options: D.MixtureSameFamily(
            D.Categorical(logits=logits, **options), MVN(loc, scale_tril=scale_tril, **options), **options
        ),
        free={"scale_tril": torch.tril},
    ),
]

CASES = GAUSSIAN + IMPLICIT + MIXTURES
