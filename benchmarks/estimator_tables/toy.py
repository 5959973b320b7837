"""The Bernoulli toy E (b - t)^2, b ~ Bernoulli(p): gradient p (1 - p) (1 - 2t), optimum p = 0 for t < 1/2."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

import reparam as rp
from estimator_tables.text import table
from estimator_tables.variances import F64, toy, toy_exact
from reparam import distributions as D
from reparam import estimators as E
from reparam.noise import Noise

RATE = 0.05  # of Adam on what is learned of a control variate, falling to 0
REACHED = 0.005  # the largest p that counts as the optimum


TRAINED: dict[str, tuple[E.Estimator, int]] = {
    "ScoreFunction": (E.ScoreFunction(), 2),
    'ScoreFunction("constant")': (E.ScoreFunction("constant"), 2),
    'ScoreFunction("moving_average")': (E.ScoreFunction("moving_average"), 2),
    "LeaveOneOut": (E.LeaveOneOut(), 2),
    "ARM": (E.ARM(), 2),
    "DisARM": (E.DisARM(), 2),
    "ARMS": (E.ARMS(), 4),
    "MeasureValued": (E.MeasureValued(), 1),
    "REBAR": (E.REBAR(), 2),
    "RELAX": (E.RELAX(), 2),
    "ControlVariate(LeaveOneOut)": (E.ControlVariate(E.LeaveOneOut()), 2),
    "RaoBlackwell(1)": (E.RaoBlackwell(1), 1),
    "WithoutReplacement": (E.WithoutReplacement(1), 2),
    "Enumerate": (E.Enumerate(), 1),
}


def trained(t: float, estimator: E.Estimator, samples: int, steps: int, copies: int) -> float:
    """Return p after Adam's steps on the logit from 0, on the mean of `copies` estimates each."""
    logit = torch.zeros((), dtype=F64, requires_grad=True)
    optimizer = torch.optim.Adam([logit], lr=0.1)
    for step in range(steps):
        q = D.Bernoulli(logits=logit.expand(copies))
        value = rp.expect(toy(t), q, samples=samples, noise=Noise(0).at(step), estimator=estimator).mean()
        if isinstance(estimator, E.ScoreFunction) and estimator.baseline == "moving_average":
            estimator = estimator.updated(value)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return torch.sigmoid(logit).item()


def toy_table(settings: dict[float, tuple[int, int]]) -> str:
    """Return p for each unbiased estimator and each t, after so many steps of so many estimates."""
    rows, worst = [], 0.0
    for name, (estimator, samples) in TRAINED.items():
        found = [trained(t, estimator, samples, *how) for t, how in settings.items()]
        worst = max(worst, *found)
        rows.append([name, *(f"{p:.4f}" for p in found)])
        print(rows[-1], flush=True)
    head = [f"t = {t:g}: {steps} steps of {copies}" for t, (steps, copies) in settings.items()]
    state = "all at the optimum" if worst < REACHED else "NOT ALL AT THE OPTIMUM"
    return f"Largest p = {worst:.4f}, {state} (p < {REACHED}).\n\n" + table(["estimator", *head], rows)


class Slope(torch.nn.Module):
    """c(z) = a_0 + a_1 sigmoid(e^a_2 z), three numbers to learn."""

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.zeros(3, dtype=F64))

    def forward(self, z: Tensor) -> Tensor:
        return self.a[0] + self.a[1] * torch.sigmoid(self.a[2].exp() * z)


def learners() -> dict[str, tuple[Callable[[], E.Estimator], list[Tensor]]]:
    """Return how to make each estimator with a control variate, and what of it is learned.

    REBAR's scale is eta times its temperature T: eta T f(soft(z, T)) tends to a line in z as T grows.
    """
    eta, log_t = (torch.tensor(x, dtype=F64, requires_grad=True) for x in (1.0, 4.0))
    slope = Slope()
    return {
        "REBAR (scale, temperature)": (lambda: E.REBAR(log_t.exp(), eta * log_t.exp()), [eta, log_t]),
        "RELAX (three numbers)": (lambda: E.RELAX(slope), list(slope.parameters())),
    }


def learned_variance(
    t: float, rate: float, make: Callable, learned: list[Tensor], steps: int, n: int
) -> list[str]:
    """Train the control variate on the variance, and the logit from 0 at `rate`; return p and the variance there."""
    logit = torch.zeros((), dtype=F64)
    optimizer = torch.optim.Adam(learned, lr=RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for step in range(steps):
        leaf = logit.expand(256).clone().requires_grad_()
        value = rp.expect(
            toy(t), D.Bernoulli(logits=leaf), samples=2, noise=Noise(0).at(step), estimator=make()
        )
        (g,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
        optimizer.zero_grad()
        E.variance_loss(g).backward(inputs=learned)
        optimizer.step()
        schedule.step()
        logit = logit - rate * g.detach().mean()
    p = torch.sigmoid(logit).item()
    leaf = logit.expand(n).clone().requires_grad_()
    value = rp.expect(toy(t), D.Bernoulli(logits=leaf), samples=2, noise=Noise(1), estimator=make())
    (g,) = torch.autograd.grad(value.sum(), leaf)
    square = (g - p * (1 - p) * (1 - 2 * t)) ** 2
    found, error = square.mean().item(), square.std().item() / math.sqrt(n)
    other = toy_exact("leave-one-out", p, t)[1]
    return [
        f"{p:.3f}",
        f"{found:.4g} +- {error:.1g}",
        f"{other:.4g}",
        f"{found / other:.3g} +- {error / other:.1g}",
    ]


def learned_table(steps: int, n: int) -> str:
    """Return the variance of REBAR and RELAX at two draws after training, against the exact one of leave-one-out."""
    rows = []
    for t in (0.45, 0.49, 0.499):
        for name in learners():
            for rate, how in ((0.0, "the control variate, at p = .5"), (1.0, "both")):
                rows.append([f"{t:g}", name, how, *learned_variance(t, rate, *learners()[name], steps, n)])
    head = [
        "t",
        "estimator",
        f"trained for {steps} steps",
        "p",
        "variance",
        "leave-one-out there, exact",
        "ratio",
    ]
    return table(head, rows)
