"""The table of cases over which every generic law of a distribution runs.

A case is a family, one batch of parameters (a list per parameter: the batch is the set of cases), a batch of extreme
parameters, torch's class of the family if it has one, and which closed forms are to be tested by sampling.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.distributions.transforms import AffineTransform, ExpTransform

from reparam import distributions as D
from reparam.transforms.branches import Square

INF = float("inf")


@dataclass(frozen=True)
class Case:
    """One family: `make(**parameters)` builds it."""

    name: str
    params: dict[str, list[float]]
    extremes: dict[str, list[float]] = field(default_factory=dict)
    family: Callable[..., Any] | None = None
    torch_family: str | None = None
    moments: tuple[str, ...] = ("mean", "variance", "entropy")
    kinks: bool = (
        False  # the map is not differentiable everywhere (a fold): pathwise is tested, gradcheck is not
    )
    grain: float = 0.0  # draws are multiples of grain * 2^-53 at best: the width of a bounded support

    costly: bool = False  # a draw costs microseconds: tests that repeat many of them take fewer
    exact: bool = (
        True  # pathwise(x) is the derivative of the draw, and not its mean over several preimages of x
    )
    rename: Callable[[dict], dict] = lambda velocity: velocity

    def make(self, params: dict[str, torch.Tensor], **options: Any) -> Any:
        family = self.family or getattr(D, self.name)
        return family(**params, **options)

    def batch(self, dtype: torch.dtype = torch.float64, *, extreme: bool = False) -> dict[str, torch.Tensor]:
        table = self.extremes if extreme else self.params
        return {name: torch.tensor(values, dtype=dtype) for name, values in table.items()}


LOC_SCALE = {"loc": [0.0, -3.0, 100.0], "scale": [1.0, 0.2, 5.0]}
LOC_SCALE_EXTREME = {"loc": [0.0, 0.0, 1e6, -1e-20], "scale": [1e-30, 1e30, 1e-3, 1.0]}

EXPLICIT = [
    Case("Normal", LOC_SCALE, LOC_SCALE_EXTREME, torch_family="Normal"),
    Case("Laplace", LOC_SCALE, LOC_SCALE_EXTREME, torch_family="Laplace"),
    Case("Logistic", LOC_SCALE, LOC_SCALE_EXTREME),
    Case("Gumbel", LOC_SCALE, LOC_SCALE_EXTREME, torch_family="Gumbel"),
    Case("Cauchy", LOC_SCALE, LOC_SCALE_EXTREME, torch_family="Cauchy", moments=("entropy",)),
    Case(
        "LogNormal",
        {"loc": [0.0, 1.0, -2.0], "scale": [0.25, 0.1, 0.4]},
        {"loc": [0.0, 80.0, -80.0], "scale": [10.0, 1e-6, 3.0]},
        torch_family="LogNormal",
    ),
    Case("Exponential", {"rate": [0.3, 1.0, 40.0]}, {"rate": [1e-30, 1e30]}, torch_family="Exponential"),
    Case(
        "Weibull",
        {"scale": [1.0, 3.0, 0.2], "concentration": [1.0, 2.5, 0.7]},
        {"scale": [1.0, 1e-10, 1e10, 1.0], "concentration": [0.05, 30.0, 1e3, 0.5]},
        torch_family="Weibull",
        moments=("mean", "entropy"),
    ),
    Case(
        "HalfNormal",
        {"scale": [1.0, 0.2, 5.0]},
        {"scale": [1e-30, 1e30]},
        torch_family="HalfNormal",
        kinks=True,
    ),
    Case(
        "HalfCauchy",
        {"scale": [1.0, 0.2, 5.0]},
        {"scale": [1e-30, 1e25]},
        torch_family="HalfCauchy",
        kinks=True,
        moments=("entropy",),
    ),
    Case(
        "Pareto",
        {"scale": [1.0, 3.0, 0.2], "alpha": [9.0, 12.0, 20.0]},
        {"scale": [1.0, 1e-10, 1e10], "alpha": [0.5, 3.0, 1e4]},
        torch_family="Pareto",
    ),
    Case(
        "GeneralizedPareto",
        {
            "loc": [0.0, -3.0, 2.0, 0.0, 1.0],
            "scale": [1.0, 0.2, 5.0, 1.0, 2.0],
            "concentration": [0.1, -0.5, 0.0, 1e-9, -0.05],
        },
        {
            "loc": [0.0, 0.0, 0.0, 1.0],
            "scale": [1.0, 1.0, 1.0, 1e-3],
            "concentration": [2.0, -3.0, 1e-30, -1.0],
        },
        torch_family="GeneralizedPareto",
    ),
    Case(
        "Uniform",
        {"low": [0.0, -3.0, 100.0], "high": [1.0, 5.0, 101.0]},
        {"low": [0.0, -1e30, 1e6], "high": [1e-30, 1e30, 1e6 + 1]},
        torch_family="Uniform",
    ),
    Case(
        "Kumaraswamy",
        {"concentration1": [1.0, 2.0, 0.6, 5.0], "concentration0": [1.0, 3.0, 0.7, 0.5]},
        {"concentration1": [0.1, 1e-2, 1e3, 30.0, 0.5], "concentration0": [0.1, 3.0, 1e-2, 1e6, 1e-2]},
        torch_family="Kumaraswamy",
    ),
    Case(
        "ContinuousBernoulli",
        {"logits": [0.0, 1e-4, -0.7, 3.0, -12.0]},
        {"logits": [1e-30, 1e4, -1e4, 80.0]},
        grain=1.0,
        torch_family="ContinuousBernoulli",
    ),
    Case(
        "ContinuousBernoulli(probs)",
        {"probs": [0.5, 0.4995, 0.2, 0.98]},
        {"probs": [1e-30, 0.9999999]},
        grain=1.0,
        family=D.ContinuousBernoulli,
        torch_family="ContinuousBernoulli",
    ),
]

TRUNCATED = [
    Case(
        "TruncatedNormal",
        {
            "loc": [0.0, 1.0, 0.0, 0.0, -1.0],
            "scale": [1.0, 0.5, 1.0, 2.0, 1.0],
            "low": [-1.0, -INF, 9.0, 3.0, -INF],
            "high": [2.0, 1.2, 11.0, INF, INF],
        },
        {
            "loc": [0.0, 0.0, 0.0, 0.0, 0.0],
            "scale": [1.0, 1.0, 1.0, 1.0, 1.0],
            "low": [9.0, 35.0, -INF, -1e-3, -37.0],
            "high": [11.0, 37.0, -30.0, 1e-3, -35.0],
        },
    ),
    Case(
        "Truncated(Gumbel)",
        {"loc": [0.0, 1.0, 0.0], "scale": [1.0, 2.0, 1.0], "low": [-1.0, -INF, 5.0], "high": [2.0, 1.0, INF]},
        {"loc": [0.0, 0.0], "scale": [1.0, 1.0], "low": [12.0, -3.0], "high": [13.0, -2.9]},
        family=lambda loc, scale, low, high, **options: D.Truncated(
            D.Gumbel(loc, scale, **options), low, high, **options
        ),
        moments=(),
    ),
    Case(
        "Truncated(Exponential)",
        {"rate": [1.0, 0.3], "low": [-1.0, 2.0], "high": [2.0, INF]},
        {"rate": [1.0, 5.0], "low": [50.0, 0.0], "high": [51.0, 1e-3]},
        family=lambda rate, low, high, **options: D.Truncated(
            D.Exponential(rate, **options), low, high, **options
        ),
        moments=(),
    ),
]

GAMMA_PARAMS = {"concentration": [0.3, 1.0, 2.5, 40.0, 3e4], "rate": [1.0, 3.0, 0.2, 1.0, 10.0]}
GAMMA_EXTREMES = {"concentration": [1e-4, 1e-2, 1e7, 3.0, 0.9], "rate": [1.0, 1.0, 1.0, 1e-20, 1e20]}

IMPLICIT = [
    Case("Gamma", GAMMA_PARAMS, GAMMA_EXTREMES, torch_family="Gamma"),
    Case("ExpGamma", GAMMA_PARAMS, GAMMA_EXTREMES),
    Case(
        "InverseGamma",
        {"concentration": [6.0, 9.0, 40.0], "rate": [1.0, 3.0, 0.2]},
        GAMMA_EXTREMES,
        torch_family="InverseGamma",
        moments=("mean", "entropy"),
    ),
    Case("Chi2", {"df": [0.6, 2.0, 30.0]}, {"df": [1e-3, 1e6]}, torch_family="Chi2"),
    Case(
        "Beta",
        {"concentration1": [0.3, 1.0, 2.5, 40.0, 900.0], "concentration0": [0.5, 1.0, 7.0, 0.8, 300.0]},
        {
            "concentration1": [1e-2, 65536.0 + 1039.0, 1e-3, 1e6],
            "concentration0": [1e-2, 1.5, 1e3, 1e6],
        },
        torch_family="Beta",
        grain=1.0,
    ),
    Case(
        "FisherSnedecor",
        {"df1": [3.0, 1.0, 30.0], "df2": [20.0, 40.0, 60.0]},
        {"df1": [1e-2, 1e5, 3.0], "df2": [1e-2, 1e5, 0.1]},
        torch_family="FisherSnedecor",
        moments=("mean",),
    ),
    Case(
        "StudentT",
        {"df": [1.0, 5.0, 30.0, 1e4], "loc": [0.0, 1.0, -2.0, 0.0], "scale": [1.0, 2.0, 0.5, 1.0]},
        {"df": [1e-2, 0.1, 1e6], "loc": [0.0, 0.0, 0.0], "scale": [1.0, 1.0, 1.0]},
        torch_family="StudentT",
        moments=("entropy",),
    ),
    Case(
        "VonMises",
        {"loc": [0.0, 0.5, -0.5], "concentration": [0.7, 3.0, 200.0]},
        {"loc": [0.0, 3.0, 0.0, 1.0], "concentration": [1e-3, 1e6, 15.0, 1e4]},
        torch_family="VonMises",
        moments=("entropy",),
    ),
]


def mixture(l0, l1, loc, scale, concentration, rate, **options):
    logits = torch.stack(torch.broadcast_tensors(*map(torch.as_tensor, (l0, l1))), -1)
    # torch cannot check the logits of an empty batch
    weights = D.Categorical(logits=logits, **(options if logits.numel() else {"validate_args": False}))
    return D.Mixture(
        weights, [D.Normal(loc, scale, **options), D.Gamma(concentration, rate, **options)], **options
    )


def mixture_names(velocity):
    inner = {name.split(".")[1]: v for name, v in velocity.items() if "." in name}
    return {"l0": velocity["logits"][..., 0], "l1": velocity["logits"][..., 1], **inner}


def same_family(family, *keys):
    """A mixture of two laws of one family: the parameters of each are its keys with 0 and 1 behind."""

    def make(l0, l1, **given):
        options = {key: given.pop(key) for key in tuple(given) if key == "validate_args"}
        pairs = [(l0, l1), *((given[f"{key}0"], given[f"{key}1"]) for key in keys)]
        logits, *params = [
            torch.stack(torch.broadcast_tensors(*map(torch.as_tensor, pair)), -1) for pair in pairs
        ]
        weights = D.Categorical(logits=logits, **(options if logits.numel() else {"validate_args": False}))
        return D.MixtureSameFamily(weights, family(*params, **options), **options)

    return make


def same_family_names(*keys):
    def rename(velocity):
        columns = zip(("l", *keys), velocity.values())
        return {f"{key}{k}": value[..., k] for key, value in columns for k in range(2)}

    return rename


def pushed(*maps):
    return lambda loc, scale, **options: D.Pushforward(D.Normal(loc, scale, **options), list(maps), **options)


SOLVED = [
    Case(
        "InverseGaussian",
        {"loc": [1.0, 2.0, 0.5, 1.0], "concentration": [1.0, 0.5, 40.0, 1e4]},
        {"loc": [1.0, 1.0, 1e10, 1e-10, 1.0], "concentration": [1e-4, 1e6, 1e9, 1e-12, 1e-6]},
        costly=True,
    ),
    Case(
        "Folded(Normal)",
        {"loc": [0.0, 1.0, -3.0], "scale": [1.0, 2.0, 0.5]},
        {"loc": [0.0, 1e6, -1e-20], "scale": [1e-30, 1e-3, 1e30]},
        family=lambda loc, scale, **options: D.Folded(D.Normal(loc, scale, **options), **options),
        kinks=True,
        exact=False,
        grain=1.0,
        moments=(),
    ),
    Case(
        "Folded(StudentT)",
        {"df": [3.0, 1.0, 30.0], "loc": [0.5, 1.0, -3.0], "scale": [1.0, 2.0, 0.5]},
        {"df": [0.1, 1e-2, 1e6], "loc": [0.0, 0.0, -3.0], "scale": [1.0, 1.0, 0.5]},
        family=lambda df, loc, scale, **options: D.Folded(D.StudentT(df, loc, scale, **options), **options),
        kinks=True,
        exact=False,
        grain=1.0,
        moments=(),
    ),
    Case(
        "Pushforward(square)",
        {"loc": [0.0, 1.0, -3.0], "scale": [1.0, 2.0, 0.5]},
        {"loc": [0.0, 1e3, -1e-6], "scale": [1e-6, 1e-3, 1e6]},
        family=pushed(Square()),
        kinks=True,
        exact=False,
        grain=1.0,
        moments=(),
    ),
    Case(
        "Pushforward(exp of falling)",
        {"loc": [0.0, 1.0, -0.5], "scale": [1.0, 0.3, 0.5]},
        {"loc": [0.0, 20.0, -20.0], "scale": [1e-6, 1e-3, 3.0]},
        family=pushed(AffineTransform(1.0, -0.5), ExpTransform()),
        moments=(),
    ),
    Case(
        "Mixture(Normal, Gamma)",
        {
            "l0": [0.0, 1.0, -2.0],
            "l1": [0.0, 0.5, 0.0],
            "loc": [0.0, 1.0, -3.0],
            "scale": [1.0, 0.5, 0.1],
            "concentration": [2.0, 30.0, 0.7],
            "rate": [1.0, 3.0, 0.2],
        },
        {
            "l0": [0.0, 40.0, -40.0],
            "l1": [0.0, 0.0, 0.0],
            "loc": [0.0, 1e6, -3.0],
            "scale": [1e-6, 1.0, 1e6],
            "concentration": [1e-2, 30.0, 1e5],
            "rate": [1.0, 1e-6, 1e6],
        },
        family=mixture,
        rename=mixture_names,
        costly=True,
        moments=("mean", "variance"),
    ),
    Case(
        "MixtureSameFamily(Normal)",
        {
            "l0": [0.0, 1.0, -2.0],
            "l1": [0.0, 0.5, 0.0],
            "m0": [0.0, 1.0, -3.0],
            "m1": [1.5, 1.25, 40.0],
            "s0": [1.0, 0.5, 0.1],
            "s1": [0.25, 2.0, 1.0],
        },
        {
            "l0": [0.0, 40.0, -40.0],
            "l1": [0.0, 0.0, 0.0],
            "m0": [0.0, 1e6, -3.0],
            "m1": [1e3, -1e6, 1e-6],
            "s0": [1e-6, 1.0, 1e6],
            "s1": [1e6, 1e-3, 1e-6],
        },
        family=same_family(D.Normal, "m", "s"),
        rename=same_family_names("m", "s"),
        moments=("mean", "variance"),
    ),
]

# against references only: the laws of mixtures of other families than the normal are those of test_mixture.py
REFERENCED = [
    Case(
        "MixtureSameFamily(Gamma)",
        {
            "l0": [0.0, 1.0, -2.0],
            "l1": [0.0, 0.5, 0.0],
            "a0": [0.75, 3.0, 12.0],
            "a1": [2.0, 30.0, 0.5],
            "b0": [1.0, 3.0, 0.25],
            "b1": [0.5, 3.0, 2.0],
        },
        family=same_family(D.Gamma, "a", "b"),
        rename=same_family_names("a", "b"),
    ),
]

CASES = EXPLICIT + TRUNCATED + IMPLICIT + SOLVED
