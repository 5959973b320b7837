"""One table for the laws of the estimators: the family, the estimator, and the noise that lists every outcome.

A case is exact where `script` gives all noise outcomes along the batch axis with their probabilities: the weighted
sum over the batch then is the expectation of the estimator, with no sampling error.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from reparam import distributions as D
from reparam.estimators import (
    ARM,
    ARMS,
    REBAR,
    RELAX,
    ControlVariate,
    DisARM,
    Enumerate,
    GumbelRao,
    GumbelSoftmax,
    LeaveOneOut,
    MeasureValued,
    RaoBlackwell,
    ReinMax,
    ScoreFunction,
    StraightThrough,
    WithoutReplacement,
)
from reparam.noise import Noise

F64 = torch.float64
BINARY = torch.logit(torch.tensor([0.3, 0.6], dtype=F64))  # two Bernoulli sites
CHOICE = torch.tensor([0.2, -0.7, 0.9], dtype=F64).log_softmax(-1)  # one categorical site
WEIGHTS = torch.tensor([1.0, -0.6, 0.3], dtype=F64)


def binary_f(z: Tensor) -> Tensor:
    return (z[..., 0] + 0.7 * z[..., 1] - 0.45) ** 3 + torch.exp(0.3 * z[..., 1]) * z[..., 0] + 2


def onehot_f(z: Tensor) -> Tensor:
    return torch.exp((z * WEIGHTS).sum(-1)) + z[..., 0] * z[..., 2] + 1


def index_f(z: Tensor) -> Tensor:
    return torch.exp(WEIGHTS)[z] + 1


@dataclass(frozen=True)
class Family:
    """A law of one or two sites with logits as its parameter."""

    name: str
    logits: Tensor
    make: Callable[[Tensor], torch.distributions.Distribution]
    f: Callable[[Tensor], Tensor]

    def exact(self, logits: Tensor) -> Tensor:
        """Return E f as a sum over the states, written out here and independent of the library."""
        if self.logits is BINARY:
            p = torch.sigmoid(logits)
            total = torch.zeros((), dtype=F64)
            for a, b in itertools.product((0.0, 1.0), repeat=2):
                weight = (p[0] if a else 1 - p[0]) * (p[1] if b else 1 - p[1])
                total = total + weight * self.f(torch.tensor([a, b], dtype=F64))
            return total
        values = torch.exp(WEIGHTS) + 1
        return (torch.softmax(logits, -1) * values).sum()


BERNOULLI = Family("bernoulli", BINARY, lambda l: D.Independent(D.Bernoulli(logits=l), 1), binary_f)
PROBS = Family(
    "bernoulli_probs", BINARY, lambda l: D.Independent(D.Bernoulli(probs=l.sigmoid()), 1), binary_f
)
ONEHOT = Family("onehot", CHOICE, lambda l: D.OneHotCategorical(logits=l), onehot_f)
ONEHOT_PROBS = Family("onehot_probs", CHOICE, lambda l: D.OneHotCategorical(probs=l.softmax(-1)), onehot_f)
INTEGER = Family("categorical", CHOICE, lambda l: D.Categorical(logits=l), index_f)


@dataclass(frozen=True, eq=False)
class Scripted(Noise):
    """Noise that returns the numbers it was given, by the path below its root."""

    numbers: dict = field(default_factory=dict)

    def child(self, name):
        return Scripted(self.seed, (*self.path, name), numbers=self.numbers)

    def draw(self, spec):
        numbers = self.numbers["/".join(self.path)]
        assert tuple(numbers.shape) == tuple(spec.shape), (numbers.shape, spec.shape)
        return numbers


FAR = 1e3


def outcomes(family: Family, samples: int) -> tuple[dict, Tensor]:
    """Return noise for every outcome of `samples` draws, and the outcomes' probabilities."""
    if family.logits is BINARY:
        p = torch.sigmoid(BINARY)
        grid = torch.tensor(list(itertools.product((0.0, 1.0), repeat=2 * samples)), dtype=F64)
        b = grid.reshape(-1, samples, 2)
        return {"": (FAR * (2 * b - 1)).transpose(0, 1)}, (b * p + (1 - b) * (1 - p)).prod(-1).prod(-1)
    k = torch.tensor(list(itertools.product(range(3), repeat=samples)))
    eps = FAR * torch.nn.functional.one_hot(k, 3).to(F64)
    return {"": eps.transpose(0, 1)}, CHOICE.exp()[k].prod(-1)


def pair_grid(family: Family, samples: int) -> tuple[dict, Tensor]:
    """One antithetic pair: u on midpoints of a grid that the probabilities lie on, exact for pieces linear in u."""
    u = (torch.arange(20, dtype=F64) + 0.5) / 20
    both = torch.cartesian_prod(u, u)
    return {"": torch.logit(both).unsqueeze(0)}, torch.full((400,), 1 / 400, dtype=F64)


def two_pairs(family: Family, samples: int) -> tuple[dict, Tensor]:
    """Two pairs: u of each site of each pair on midpoints of tenths, whose edges hold the jumps at .3, .4, .6, .7."""
    u = (torch.arange(10, dtype=F64) + 0.5) / 10
    grid = torch.cartesian_prod(u, u, u, u).reshape(-1, 2, 2)
    return {"": torch.logit(grid).transpose(0, 1)}, torch.full((len(grid),), 1 / len(grid), dtype=F64)


def dirichlet_grid(family: Family, samples: int) -> tuple[dict, Tensor]:
    u = (torch.arange(20, dtype=F64) + 0.5) / 20
    both = torch.cartesian_prod(u, u)
    return {"": torch.stack([both, 1 - both])}, torch.full((400,), 1 / 400, dtype=F64)


def legendre(breaks: list[float], n: int = 24) -> tuple[Tensor, Tensor]:
    x, w = (torch.tensor(a, dtype=F64) for a in np.polynomial.legendre.leggauss(n))
    parts = [((b - a) * (x + 1) / 2 + a, (b - a) * w / 2) for a, b in itertools.pairwise(breaks)]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def relax_grid(family: Family, samples: int) -> tuple[dict, Tensor]:
    """Quadrature over (u, v) of each of two binary sites; u is split where the draw jumps."""
    sides = [legendre([0.0, 1 - p, 1.0], 8) for p in torch.sigmoid(BINARY).tolist()]
    v, vw = legendre([0.0, 1.0], 12)
    index = torch.cartesian_prod(torch.arange(16), torch.arange(16), torch.arange(12), torch.arange(12)).T
    u = torch.stack([sides[0][0][index[0]], sides[1][0][index[1]]], -1)
    again = torch.stack([v[index[2]], v[index[3]]], -1)
    weight = sides[0][1][index[0]] * sides[1][1][index[1]] * vw[index[2]] * vw[index[3]]
    return {"": torch.logit(u).unsqueeze(0), "given": torch.logit(again).unsqueeze(0)}, weight


def remainder(k: int) -> Callable:
    """Every draw of one state outside the k likeliest."""

    def script(family: Family, samples: int) -> tuple[dict, Tensor]:
        p = states_probability(family)
        rest = p.argsort(descending=True)[k:]
        eps = FAR * torch.nn.functional.one_hot(rest, len(p)).to(F64)
        return {"": eps.unsqueeze(0)}, p[rest] / p[rest].sum()

    return script


def orders(k: int) -> Callable:
    """Every ordered draw of k distinct states."""

    def script(family: Family, samples: int) -> tuple[dict, Tensor]:
        p = states_probability(family)
        eps, weights = [], []
        for order in itertools.permutations(range(len(p)), k):
            row, weight, left = (
                torch.zeros(len(p), dtype=F64),
                torch.ones((), dtype=F64),
                torch.ones((), dtype=F64),
            )
            for place, state in enumerate(order):
                row[state] = FAR * (k - place)
                weight, left = weight * p[state] / left, left - p[state]
            eps.append(row)
            weights.append(weight)
        return {"": torch.stack(eps).unsqueeze(0)}, torch.stack(weights)

    return script


def states_probability(family: Family) -> Tensor:
    if family.logits is BINARY:
        p = torch.sigmoid(BINARY)
        return torch.stack(
            [(p[0] if a else 1 - p[0]) * (p[1] if b else 1 - p[1]) for a in (0, 1) for b in (0, 1)]
        )
    return CHOICE.exp()


@dataclass(frozen=True)
class Case:
    """An estimator on a family; tolerance is of the quadrature."""

    estimator: object
    family: Family
    samples: int
    script: Callable | None = None
    any_order: bool = False
    tolerance: float = 1e-9
    name: str = ""

    @property
    def id(self) -> str:
        return f"{self.name or type(self.estimator).__name__}-{self.family.name}-{self.samples}"


class Surrogate(torch.nn.Module):
    """A control variate with parameters, smooth in z."""

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor([0.8, -0.3, 0.5], dtype=F64))

    def forward(self, z: Tensor) -> Tensor:
        return (torch.sigmoid(z) * self.a[: z.shape[-1]]).sum(-1) ** 2


ALL = [BERNOULLI, PROBS, ONEHOT, ONEHOT_PROBS, INTEGER]
SMOOTH = [BERNOULLI, PROBS, ONEHOT, ONEHOT_PROBS]
UNBIASED = [
    *(Case(ScoreFunction(), q, 1, outcomes, True) for q in ALL),
    Case(ScoreFunction(1.7), BERNOULLI, 2, outcomes, True, name="ScoreFunction(1.7)"),
    Case(ScoreFunction("moving_average"), BERNOULLI, 1, outcomes, True, name="moving_average"),
    Case(
        ScoreFunction("moving_average", torch.tensor(3.0)),
        ONEHOT,
        2,
        outcomes,
        True,
        name="moving_average(3)",
    ),
    Case(ScoreFunction(lambda q: q.mean.sum(-1)), BERNOULLI, 1, outcomes, True, name="callable"),
    Case(ScoreFunction("constant"), BERNOULLI, 4, None, True, name="constant"),
    *(Case(LeaveOneOut(), q, 2, outcomes, True) for q in ALL),
    Case(LeaveOneOut(), BERNOULLI, 3, outcomes, True),
    *(Case(Enumerate(), q, 1, lambda family, samples: ({}, torch.ones(1, dtype=F64)), True) for q in ALL),
    *(
        Case(RaoBlackwell(k), q, 1, remainder(k), True, name=f"RaoBlackwell({k})")
        for q in ALL
        for k in (1, 2)
    ),
    Case(
        RaoBlackwell(9),
        BERNOULLI,
        1,
        lambda family, samples: ({}, torch.ones(1, dtype=F64)),
        True,
        name="RB(9)",
    ),
    *(
        Case(WithoutReplacement(k), q, 1, orders(k), True, name=f"WithoutReplacement({k})")
        for q in (BERNOULLI, ONEHOT, INTEGER)
        for k in (1, 2, 3)
    ),
    Case(WithoutReplacement(), BERNOULLI, 4, orders(4), True),
    *(Case(e, q, 2, pair_grid, True) for e in (ARM(), DisARM()) for q in (BERNOULLI, PROBS)),
    *(Case(e, BERNOULLI, 4, two_pairs, True) for e in (ARM(), DisARM())),
    Case(ARMS(), BERNOULLI, 2, dirichlet_grid, True),
    Case(ARMS(), BERNOULLI, 4),
    *(Case(MeasureValued(), q, samples, outcomes, True) for q in (BERNOULLI, PROBS) for samples in (1, 2)),
    Case(REBAR(), BERNOULLI, 1, relax_grid, True, 2e-4),
    Case(REBAR(1.0, 0.6), PROBS, 1, relax_grid, True, 2e-6, name="REBAR(1,.6)"),
    Case(RELAX(temperature=1.0), BERNOULLI, 1, relax_grid, True, 2e-6),
    Case(RELAX(Surrogate()), BERNOULLI, 1, relax_grid, True, 2e-6, name="RELAX(module)"),
    *(Case(e, q, 1) for e in (REBAR(), RELAX(), RELAX(Surrogate())) for q in (ONEHOT, ONEHOT_PROBS)),
    *(
        Case(e, q, 3, name=f"{type(e).__name__}, baseline")
        for e in (REBAR(), RELAX(Surrogate()))
        for q in (PROBS, ONEHOT)
    ),
    *(Case(ControlVariate(ScoreFunction()), q, 1, outcomes, True, name="ControlVariate") for q in SMOOTH),
    Case(ControlVariate(LeaveOneOut(), coefficient="pilot"), BERNOULLI, 2, name="ControlVariate(LOO, pilot)"),
]
BIASED = [
    *(Case(e, q, 1) for e in (StraightThrough(), GumbelSoftmax(), GumbelRao(4), ReinMax()) for q in SMOOTH),
    Case(GumbelSoftmax(hard=True), BERNOULLI, 1, name="hard"),
]


def expanded(case: Case, logits: Tensor, count: int) -> torch.distributions.Distribution:
    """Return the family with a batch of `count` equal members."""
    return case.family.make(logits.expand(count, *logits.shape))
