"""Exact variances of a mean of four tied samples, from the law of a pair of them.

Let g be the gradient of one sample, a function of D coordinates u in (0, 1)^D, sigma^2 its variance, c the mean
covariance of two samples. The mean of S = 4 samples then has the variance (sigma^2 + (number of partners) c) / 4:

    antithetic   one partner, at 1 - u
    stratified   three partners, in every coordinate in another quarter, uniformly and independently
    sobol        three partners, in each coordinate in the other half, or in the other quarter of the same half, as the
                 first four points of the sequence are; uniform otherwise, since that is what the scramble leaves

Gauss-Legendre rules on pieces that end where a draw jumps and at the quarters give E g, E g^2, E g(u) g(1 - u) and
the means A of g over the 4^D cells of quarters; the other two covariances are bilinear in A.
"""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from estimators.cases import F64, legendre

QUARTERS = [0.25, 0.5, 0.75]
OTHER_QUARTER = (1 - torch.eye(4, dtype=F64)) / 12  # P(cells of a pair), for each relation
HALF = torch.tensor([0, 0, 1, 1])
OTHER_HALF = (HALF[:, None] != HALF).to(F64) / 8
SAME_HALF = ((HALF[:, None] == HALF) & ~torch.eye(4, dtype=torch.bool)).to(F64) / 4


def normal_axis(count: int) -> tuple[Tensor, Tensor]:
    """Return standard normal numbers, symmetric, and weights that sum to 1."""
    root = math.sqrt(2) * torch.erfinv(torch.tensor(0.5, dtype=F64)).item()
    t, w = legendre([-8.0, -root, 0.0, root, 8.0], count)
    w = w * torch.exp(-(t**2) / 2)
    return t, w / w.sum()


def uniform_axis(count: int, jumps: list[float]) -> tuple[Tensor, Tensor]:
    """Return uniforms, symmetric about 1/2, on pieces between quarters and jumps, and weights."""
    return legendre(sorted({0.0, 1.0, *QUARTERS, *jumps, *(round(1 - x, 12) for x in jumps)}), count)


def covariance(A: Tensor, tables: tuple[Tensor, ...]) -> float:
    """Return sum A[c] prod_d P_d(c_d, c'_d) A[c'], the mean of g g' over the cells of a pair."""
    other = A
    for table in tables:  # each pass takes the first axis and puts it last
        other = torch.tensordot(other, table, dims=([0], [0]))
    return (A * other).sum().item()


def relations(dimensions: int) -> list[tuple[Tensor, ...]]:
    """Return for each partner of the first Sobol point the relation in each coordinate."""
    half = SobolEngine(dimensions).draw(4, dtype=F64) >= 0.5
    assert not half[0].any()
    return [tuple(OTHER_HALF if other else SAME_HALF for other in partner) for partner in half[1:]]


def variances(
    gradients: Callable[[Tensor], Tensor], axis: tuple[Tensor, Tensor], draws: list[int]
) -> dict[str, Tensor]:
    """Return the variance of the mean of four samples, (P,), under plain noise and each scheme.

    Args:
        gradients: maps points (n, D) of the noise to gradients (n, P) of one sample.
        axis: the rule of every coordinate.
        draws: how many coordinates each draw of noise has, in the order of the points: D in all.
    """
    x, w = axis
    D = sum(draws)
    points = torch.cartesian_prod(*[x] * D).reshape(-1, D)
    weight = torch.cartesian_prod(*[w] * D).reshape(-1, D).prod(-1).reshape([len(x)] * D)
    cell = (torch.cumsum(w, 0) - w / 2).mul(4).long().clamp(max=3)
    into = torch.nn.functional.one_hot(cell, 4).to(F64)
    rows: dict[str, list[float]] = {name: [] for name in ("plain", "antithetic", "stratified", "sobol")}
    for g in gradients(points).T.reshape(-1, *weight.shape):
        g = g - (weight * g).sum()
        square = (weight * g**2).sum().item()
        flipped = (weight * g * g.flip(list(range(D)))).sum().item()
        A = weight * g * 4.0**D
        for _ in range(D):
            A = torch.tensordot(A, into, dims=([0], [0]))
        apart = covariance(A, (OTHER_QUARTER,) * D)
        partners = [tuple(t for part in parts for t in part) for parts in zip(*map(relations, draws))]
        sobol = sum(covariance(A, tables) for tables in partners)
        for name, total in zip(rows, (0.0, flipped, 3 * apart, sobol)):
            rows[name].append((square + total) / 4)
    return {name: torch.tensor(v, dtype=F64) for name, v in rows.items()}


def pairs_have_the_relations(u: Tensor) -> bool:
    """Return whether the pairs of four points u (4, N, D) lie in the quarters that `relations` says."""
    half, quarter = (u * 2).long(), (u * 4).long()
    first = SobolEngine(u.shape[-1]).draw(4, dtype=F64) >= 0.5
    for a, b in itertools.combinations(range(4), 2):
        other = (first[a] != first[b]).expand(u.shape[1:])
        if not torch.equal(half[a] != half[b], other) or bool((quarter[a] == quarter[b]).any()):
            return False
    return True
