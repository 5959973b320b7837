"""Variances of single gradient estimates against their exact values.

A variance is estimated by v = mean (g - mu)^2 over n independent draws, mu the exact mean, so that E v = sigma^2 and
Var v = (m4 - sigma^4) / n with the exact central moments sigma^2 and m4: the error is known, not estimated. Every cell
draws at an address of its own, so that the cells are independent. With C cells each z-score may reach
|z| = Phi^-1(1 - .001 / 2C): the chance that a right table fails is .001.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

import reparam as rp
from estimator_tables.text import table
from reparam import distributions as D
from reparam import estimators as E
from reparam.noise import Noise

F64 = torch.float64
CHUNK = 1 << 18
FALSE_ALARM = 1e-3
SIX: dict[str, Callable[[Tensor], Tensor]] = {
    "(x+3)^2": lambda x: (x + 3) ** 2,
    "x^2": lambda x: x**2,
    "exp(-.1x^2)": lambda x: torch.exp(-0.1 * x**2),
    "exp(-10x^2)": lambda x: torch.exp(-10 * x**2),
    "cos(.5x)": lambda x: torch.cos(0.5 * x),
    "cos(5x)": lambda x: torch.cos(5 * x),
}
# published per-draw variances at N(1, 1): score, score with the best constant, pathwise; for the mean, then the scale
PUBLISHED = {
    "(x+3)^2": (495, 134, 4, 1546, 664, 72),
    "x^2": (30, 14, 4, 136, 64, 12),
    "exp(-.1x^2)": (0.5635, 0.0405, 0.0163, 0.9354, 0.1410, 0.0278),
    "exp(-10x^2)": (0.0769, 0.0602, 0.9416, 0.0090, 0.0087, 0.8920),
    "cos(.5x)": (0.4552, 0.1179, 0.0393, 0.7987, 0.4601, 0.0875),
    "cos(5x)": (0.5, 0.5, 12.5, 1, 1, 12.5),
}
# published variances of the toy E(b - .45)^2 at two draws: score, leave-one-out, ARM, DisARM; by p
TOY = {0.5: (7.97e-3, 6.25e-4, 2.08e-4, 0.0), 0.8: (3.96e-3, 5.44e-4, 3.97e-4, 3.84e-4)}
TOY_ESTIMATORS = {
    "score": E.ScoreFunction(),
    "leave-one-out": E.LeaveOneOut(),
    "ARM": E.ARM(),
    "DisARM": E.DisARM(),
}
Nodes = tuple[Tensor, Tensor]  # points of the noise, and weights that sum to 1


def moments(g: Tensor, weights: Tensor) -> tuple[float, float, float]:
    """Return mean, variance and fourth central moment."""
    mean = (weights * g).sum()
    square = (g - mean) ** 2
    return mean.item(), (weights * square).sum().item(), (weights * square**2).sum().item()


def compared(draws: Iterator[Tensor], exact: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the variance found, its standard error, and the z-score against the exact variance."""
    mean, variance, m4 = exact
    total, n = 0.0, 0
    for g in draws:
        total, n = total + ((g - mean) ** 2).sum().item(), n + len(g)
    error = math.sqrt(max(m4 - variance**2, 0.0) / n)
    found = total / n
    return found, error, (found - variance) / (error + 1e-9 * variance + 1e-15)


def limit(cells: int) -> float:
    """Return the largest |z| allowed."""
    return NormalDist().inv_cdf(1 - FALSE_ALARM / (2 * cells))


def verdict(scores: list[float], n: int) -> str:
    """Return the line above a table."""
    worst, most = max(map(abs, scores)), limit(len(scores))
    return (
        f"{n:,} draws for each cell, independent of those of the others; the errors are exact. Largest "
        f"|z| = {worst:.2f}, allowed {most:.2f} (false alarm {FALSE_ALARM:g} for the table): "
        f"{'reproduced' if worst <= most else 'NOT REPRODUCED'}.\n\n"
    )


def normal_nodes() -> Nodes:
    """Return the rule of equal steps for a standard normal; exact to rounding for these functions."""
    eps = torch.linspace(-14, 14, 56_001, dtype=F64)
    weights = torch.exp(-(eps**2) / 2)
    return eps, weights / weights.sum()


def gaussian_cells(name: str) -> list[tuple[E.Estimator, Tensor]]:
    """Return for score, best score and pathwise, in loc and then in scale, the estimator and its gradient at nodes."""
    f, (eps, w) = SIX[name], normal_nodes()
    x = (1 + eps).requires_grad_()
    value = f(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    cells: list[tuple[E.Estimator, Tensor]] = []
    for score, move in ((eps, torch.ones_like(eps)), (eps**2 - 1, eps)):
        best = ((w * value * score**2).sum() / (w * score**2).sum()).item()
        for b in (0.0, best):
            cells.append((E.ScoreFunction(b), (value.detach() - b) * score))
        cells.append((E.Pathwise(), slope * move))
    return cells


def gaussian_draws(estimator: E.Estimator, f: Callable, k: int, noise: Noise, n: int) -> Iterator[Tensor]:
    """Yield n single-draw gradients at N(1, 1), in loc (k = 0) or scale (k = 1)."""
    for chunk in range(n // CHUNK):
        leaves = [torch.ones(CHUNK, dtype=F64, requires_grad=True) for _ in range(2)]
        value = rp.expect(f, D.Normal(*leaves), noise=noise.at(chunk), estimator=estimator)
        yield torch.autograd.grad(value.sum(), leaves[k])[0]


def gaussian_table(n: int) -> str:
    """Return the variances of six functions under N(1, 1)."""
    rows, scores = [], []
    _, w = normal_nodes()
    for name, f in SIX.items():
        for place, (estimator, g) in enumerate(gaussian_cells(name)):
            noise = Noise(0).child(f"{name} {place}")
            exact = moments(g, w)
            found, error, z = compared(gaussian_draws(estimator, f, place // 3, noise, n), exact)
            scores.append(z)
            if place % 3 == 0:
                rows.append([name, "scale" if place else "loc"])
            published = PUBLISHED[name][place]
            rows[-1].append(f"{found:.5g} +- {error:.1g} ({exact[1]:.5g}; {published:g})")
    head = [
        "f",
        "parameter",
        *(f"{x} (exact; published)" for x in ("score", "score, best constant", "pathwise")),
    ]
    return verdict(scores, n // CHUNK * CHUNK) + table(head, rows)


def toy(t: float) -> Callable[[Tensor], Tensor]:
    """Return the function of the Bernoulli toy, (b - t)^2."""
    return lambda b: (b - t) ** 2


def toy_exact(name: str, p: float, t: float = 0.45) -> tuple[float, float, float]:
    """Return the moments of an estimate of two draws: over the draws, or over u, split where a draw jumps."""
    f = toy(t)
    if name in ("score", "leave-one-out"):
        b = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=F64)] * 2)
        baseline = f(b).flip(1) if name == "leave-one-out" else 0.0
        g = ((f(b) - baseline) * (b - p)).mean(1)
        return moments(g, torch.where(b > 0, p, 1 - p).prod(1))
    # the pair is (1[u > 1 - p], 1[u < p]); g is a polynomial of u between these jumps, which Gauss's rule integrates
    x, w = (torch.tensor(a, dtype=F64) for a in np.polynomial.legendre.leggauss(8))
    edges = sorted({0.0, 1 - p, p, 1.0})
    u = torch.cat([a + (b - a) * (x + 1) / 2 for a, b in itertools.pairwise(edges)])
    weights = torch.cat([(b - a) * w / 2 for a, b in itertools.pairwise(edges)])
    first, second = (u > 1 - p).to(F64), (u < p).to(F64)
    side = u - 0.5 if name == "ARM" else (first - second) * max(p, 1 - p) / 2
    return moments((f(first) - f(second)) * side, weights)


def toy_draws(estimator: E.Estimator, p: float, noise: Noise, n: int) -> Iterator[Tensor]:
    """Yield n gradients in the logit, of two draws each."""
    logit = math.log(p / (1 - p))
    for chunk in range(n // CHUNK):
        leaf = torch.full((CHUNK,), logit, dtype=F64, requires_grad=True)
        value = rp.expect(
            toy(0.45), D.Bernoulli(logits=leaf), samples=2, noise=noise.at(chunk), estimator=estimator
        )
        yield torch.autograd.grad(value.sum(), leaf)[0]


def toy_table(n: int) -> str:
    """Return the variances of the Bernoulli toy at two draws."""
    rows, scores = [], []
    for p, published in TOY.items():
        cells = [f"{p:g}"]
        for (name, estimator), want in zip(TOY_ESTIMATORS.items(), published):
            exact = toy_exact(name, p)
            found, error, z = compared(toy_draws(estimator, p, Noise(0).child(f"{name} {p}"), n), exact)
            scores.append(z)
            cells.append(f"{found:.4g} +- {error:.1g} ({exact[1]:.4g}; {want:g})")
        rows.append(cells)
    return verdict(scores, n // CHUNK * CHUNK) + table(
        ["p", *(f"{name} (exact; published)" for name in TOY_ESTIMATORS)], rows
    )
