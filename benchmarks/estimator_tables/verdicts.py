"""What the gradient check says of each estimator, and which one it chooses."""

from collections.abc import Callable

import torch
from torch import Tensor

import reparam as rp
from estimator_tables.text import table, yes
from estimator_tables.variances import F64, PUBLISHED, SIX
from reparam import distributions as D
from reparam import estimators as E
from reparam.noise import Noise

COPIES = 512  # independent estimates averaged in each loss that the check sees
TOLERANCE = 0.05


class Surrogate(torch.nn.Module):
    """c(z), smooth in the perturbed logits."""

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor([0.8, -0.3, 0.5], dtype=F64))

    def forward(self, z: Tensor) -> Tensor:
        return (torch.sigmoid(z) * self.a[: z.shape[-1]]).sum(-1) ** 2


# estimator, and its samples, for one Bernoulli site
BINARY: dict[str, tuple[E.Estimator, int]] = {
    "ScoreFunction": (E.ScoreFunction(), 2),
    'ScoreFunction("constant")': (E.ScoreFunction("constant"), 2),
    'ScoreFunction("moving_average", 3)': (
        E.ScoreFunction("moving_average", torch.tensor(3.0, dtype=F64)),
        2,
    ),
    "ScoreFunction(callable)": (E.ScoreFunction(lambda q: torch.exp(2 * q.mean[..., 0])), 2),
    "LeaveOneOut": (E.LeaveOneOut(), 2),
    "ARM": (E.ARM(), 2),
    "DisARM": (E.DisARM(), 2),
    "ARMS": (E.ARMS(), 4),
    "MeasureValued": (E.MeasureValued(), 1),
    "REBAR": (E.REBAR(), 2),
    "RELAX": (E.RELAX(), 2),
    "RELAX(module)": (E.RELAX(Surrogate()), 2),
    "ControlVariate(LeaveOneOut)": (E.ControlVariate(E.LeaveOneOut()), 2),
    "RaoBlackwell(1)": (E.RaoBlackwell(1), 1),
    "WithoutReplacement": (E.WithoutReplacement(1), 2),
    "Enumerate": (E.Enumerate(), 1),
    "StraightThrough": (E.StraightThrough(), 2),
    "GumbelSoftmax": (E.GumbelSoftmax(), 2),
    "GumbelSoftmax(hard=True)": (E.GumbelSoftmax(hard=True), 2),
    "GumbelRao(4)": (E.GumbelRao(4), 2),
    "ReinMax": (E.ReinMax(), 2),
}
ONLY_BINARY = ("ARM", "DisARM", "ARMS", "MeasureValued")
GAUSSIAN: dict[str, tuple[E.Estimator, int]] = {
    "Pathwise": (E.Pathwise(), 1),
    "ScoreFunction": (E.ScoreFunction(), 2),
    'ScoreFunction("constant")': (E.ScoreFunction("constant"), 2),
    'ScoreFunction("moving_average", 3)': (
        E.ScoreFunction("moving_average", torch.tensor(3.0, dtype=F64)),
        2,
    ),
    "ScoreFunction(callable)": (E.ScoreFunction(lambda q: torch.exp(q.mean / 2)), 2),
    "LeaveOneOut": (E.LeaveOneOut(), 2),
    "MeasureValued": (E.MeasureValued(), 1),
    "ControlVariate(LeaveOneOut)": (E.ControlVariate(E.LeaveOneOut()), 2),
    "ControlVariate": (E.ControlVariate(), 1),
    'ControlVariate("quadratic")': (E.ControlVariate(kind="quadratic"), 1),
}


def checked(
    loss: Callable[[Noise], Tensor], leaves: list[Tensor], exact: list[Tensor], seconds: float
) -> str:
    """Return the check's verdict of a loss against an exact gradient."""
    report = rp.check.gradient(
        loss, leaves, noise=Noise(0), reference=exact, tolerance=TOLERANCE, max_seconds=seconds
    )
    return report.verdict


def discrete(estimator: E.Estimator, samples: int, binary: bool, seconds: float) -> str:
    """Return the verdict for a curved f of one Bernoulli or one-hot site, whose gradient is a sum over its states."""
    leaf = torch.tensor([0.4] if binary else [0.4, -0.3, 0.2], dtype=F64, requires_grad=True)
    weights = torch.tensor([1.0, -0.6, 0.3], dtype=F64)[: len(leaf)]

    def f(z: Tensor) -> Tensor:
        return torch.exp(2 * (z * weights).sum(-1)) + (z * weights).sum(-1) ** 3

    def q(logits: Tensor) -> D.Distribution:
        return D.Independent(D.Bernoulli(logits=logits), 1) if binary else D.OneHotCategorical(logits=logits)

    def loss(noise: Noise) -> Tensor:
        return rp.expect(
            f, q(leaf.expand(COPIES, -1)), samples=samples, noise=noise, estimator=estimator
        ).mean()

    states = torch.eye(3, dtype=F64) if not binary else torch.tensor([[0.0], [1.0]], dtype=F64)
    p = torch.softmax(leaf, -1) if not binary else torch.cat([1 - torch.sigmoid(leaf), torch.sigmoid(leaf)])
    exact = torch.autograd.grad((p * f(states)).sum(), leaf)
    return checked(loss, [leaf], list(exact), seconds)


def gaussian(estimator: E.Estimator, samples: int, seconds: float) -> str:
    """Return the verdict for exp(z / 2) at N(.4, .7), where E f = exp(loc / 2 + scale^2 / 8)."""
    leaves = [torch.tensor(v, dtype=F64, requires_grad=True) for v in (0.4, 0.7)]

    def loss(noise: Noise) -> Tensor:
        q = D.Normal(*(leaf.expand(COPIES) for leaf in leaves))
        return rp.expect(
            lambda z: torch.exp(z / 2), q, samples=samples, noise=noise, estimator=estimator
        ).mean()

    loc, scale = leaves
    exact = torch.autograd.grad(torch.exp(loc / 2 + scale**2 / 8), leaves)
    return checked(loss, leaves, list(exact), seconds)


def verdict_table(seconds: float) -> str:
    """Return the verdict on each estimator, and how many agree with what the estimator says of itself."""
    rows, right, count = [], 0, 0
    for name in dict.fromkeys([*GAUSSIAN, *BINARY]):
        estimator = (GAUSSIAN.get(name) or BINARY[name])[0]
        found = []
        if name in BINARY:
            found.append(discrete(*BINARY[name], True, seconds))
            one_hot = name not in ONLY_BINARY
            found.append(discrete(*BINARY[name], False, seconds) if one_hot else "binary only")
        else:
            found += ["-", "-"]
        found.append(gaussian(*GAUSSIAN[name], seconds) if name in GAUSSIAN else "-")
        verdicts = [v for v in found if v not in ("-", "binary only")]
        want = "unbiased" if estimator.unbiased else "biased"
        right, count = right + verdicts.count(want), count + len(verdicts)
        rows.append([name, yes(estimator.unbiased), *found])
        print(rows[-1], flush=True)
    intro = (
        f"Against the exact gradient, tolerance {TOLERANCE:g}, false alarm 1e-6; each loss is the mean of {COPIES} "
        f"estimates. {right} of {count} verdicts are what the estimator says of itself.\n\n"
    )
    return intro + table(["estimator", "says unbiased", "Bernoulli", "one-hot", "Gaussian"], rows)


def choice(f: Callable[[Tensor], Tensor], seconds: float) -> str:
    """Return the way that the check chooses for d/dloc E f at N(1, 1), against the gradient by quadrature."""
    ways = {"pathwise": E.Pathwise(), "score": E.ScoreFunction(), "leave-one-out": E.LeaveOneOut()}
    loc, one = torch.tensor(1.0, dtype=F64, requires_grad=True), torch.ones((), dtype=F64)
    x = torch.linspace(-11, 13, 48_001, dtype=F64)
    reference = torch.trapezoid(f(x) * (x - 1) * D.Normal(one, one).log_prob(x).exp(), x)

    def loss(estimator: E.Estimator) -> Callable[[Noise], Tensor]:
        return lambda noise: rp.expect(f, D.Normal(loc, one), samples=512, noise=noise, estimator=estimator)

    try:
        return rp.check.choose(
            {way: loss(e) for way, e in ways.items()},
            loc,
            noise=Noise(0),
            reference=[reference],
            tolerance=0.2,
            scale=0.2,
            max_seconds=seconds,
        )
    except ValueError:
        return "inconclusive"


def choice_table(seconds: float) -> str:
    """Return the check's choice for each of the six functions beside the one of least exact variance."""
    rows = []
    for name, f in SIX.items():
        want = "pathwise" if PUBLISHED[name][2] < PUBLISHED[name][1] else "a score function"
        rows.append([name, choice(f, seconds), want])
    return table(["f", "rp.check.choose", "least variance by the exact table"], rows)
