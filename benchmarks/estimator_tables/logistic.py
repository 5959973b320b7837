"""Bayesian logistic regression on scikit-learn's breast-cancer data: 31 weights, prior N(0, 1), q a diagonal normal."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

import reparam as rp
from estimator_tables.text import table
from estimator_tables.variances import F64
from reparam import distributions as D
from reparam import estimators as E
from reparam.noise import Noise

ROWS = 400  # to train on; the others test
WEIGHTS = 31
LOGISTIC: dict[str, tuple[E.Estimator, int]] = {
    "Pathwise": (E.Pathwise(), 4),
    "ControlVariate, quadratic": (E.ControlVariate(kind="quadratic"), 4),
    "MeasureValued": (E.MeasureValued(), 1),
    "LeaveOneOut": (E.LeaveOneOut(), 4),
    "ScoreFunction": (E.ScoreFunction(), 4),
}


def cancer(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return the data, standardised and with a constant, and its labels, shuffled."""
    from sklearn.datasets import load_breast_cancer

    x, y = (torch.as_tensor(a, dtype=F64) for a in load_breast_cancer(return_X_y=True))
    x = torch.cat([(x - x.mean(0)) / x.std(0), torch.ones(len(x), 1, dtype=F64)], 1)
    order = Noise(seed).permutation(len(x))
    return x[order], y[order]


class Regression:
    """The bound E_q log p(y | w) - KL(q || N(0, 1)), q = N(loc, exp(log_scale)^2), values = (loc, log_scale)."""

    def __init__(self) -> None:
        self.x, self.y = cancer()

    def law(self, values: Tensor) -> tuple[D.Distribution, Tensor]:
        """Return q and its KL from the prior, for values (2, *B, 31)."""
        q = D.Normal(values[0], values[1].exp())
        return D.Independent(q, 1), torch.distributions.kl_divergence(q, D.Normal(0.0, 1.0)).sum(-1)

    def log_likelihood(self, w: Tensor) -> Tensor:
        """Return log p(y | w) of the training rows."""
        return logsigmoid((w @ self.x[:ROWS].T) * (2 * self.y[:ROWS] - 1)).sum(-1)

    def bound(self, values: Tensor, estimator: E.Estimator, samples: int, noise: Noise) -> Tensor:
        """Return the estimated bound."""
        q, kl = self.law(values)
        return rp.expect(self.log_likelihood, q, samples=samples, noise=noise, estimator=estimator) - kl

    def spread(self, values: Tensor, estimator: E.Estimator, samples: int, n: int = 200) -> str:
        """Return the variance of the gradient in loc, summed over the weights."""
        leaf = values.unsqueeze(1).expand(2, n, WEIGHTS).clone().requires_grad_()
        self.bound(leaf, estimator, samples, Noise(1)).sum().backward()
        return f"{leaf.grad[0].var(0).sum().item():.3g}"

    def trained(self, estimator: E.Estimator, samples: int, steps: int) -> Tensor:
        """Return the values after Adam's steps from `start`."""
        values = self.start().requires_grad_()
        optimizer = torch.optim.Adam([values], lr=0.03)
        for step in range(steps):
            optimizer.zero_grad()
            (-self.bound(values, estimator, samples, Noise(2).at(step))).backward()
            optimizer.step()
        return values.detach()

    def start(self) -> Tensor:
        """Return loc = 0, log_scale = -1."""
        return torch.stack([torch.zeros(WEIGHTS, dtype=F64), torch.full((WEIGHTS,), -1.0, dtype=F64)])

    def score(self, values: Tensor, n: int = 4_000) -> list[str]:
        """Return the bound with its standard error, and the accuracy on the rows not trained on."""
        q, kl = self.law(values)
        bounds = self.log_likelihood(q.sample((n,), noise=Noise(3))) - kl
        chance = torch.sigmoid(q.sample((400,), noise=Noise(4)) @ self.x[ROWS:].T).mean(0)
        accuracy = ((chance > 0.5) == (self.y[ROWS:] > 0.5)).double().mean().item()
        return [f"{bounds.mean():.2f} +- {bounds.std().item() / math.sqrt(n):.2f}", f"{accuracy:.3f}"]


def logistic_table(steps: int) -> str:
    """Return variance before and after training, the bound and the accuracy reached, for each estimator."""
    model, rows = Regression(), []
    for name, (estimator, samples) in LOGISTIC.items():
        values = model.trained(estimator, samples, steps)
        spread = [model.spread(at, estimator, samples) for at in (model.start(), values)]
        rows.append([name, str(samples), *spread, *model.score(values)])
        print(rows[-1], flush=True)
    head = ["estimator", "S", "variance at the start", "at its end", f"ELBO after {steps} steps, nats"]
    return table([*head, "test accuracy"], rows)
