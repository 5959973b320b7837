"""Counts by inversion: the smallest k with F(k) >= Phi(eps), searched on the nearer tail.

    Poisson            1 - F(k) = P(k + 1, rate)                      (gamma tails)
    Binomial           F(k) = I_{1-p}(n - k, k + 1),  k < n           (beta tails)
    negative Binomial  F(k) = I_{1-p}(r, k + 1)

For eps < 0 log F(k) is compared with log Phi(eps), else log(1 - F(k)) with log Phi(-eps), so that both tails are
exact to the last digits of these logarithms. From a normal guess the search doubles its step until k is between
two tried values and then halves: two or three evaluations where the guess is good, about 2 log2 of its error where
it is not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from reparam.kernels.cpu.elementwise import elementwise
from reparam.kernels.cpu.families import beta_tails, gamma_tails

Tails = Callable[[np.ndarray, np.ndarray], tuple[Tensor, ...]]  # (k, rows) -> log F(k), log(1 - F(k))


def search(tails: Tails, eps: np.ndarray, guess: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Return the smallest integer k in [0, top] with F(k) >= Phi(eps); F(top) = 1."""
    target = torch.special.log_ndtr(torch.from_numpy(-np.abs(eps))).numpy()
    below, reached = np.full_like(eps, -1.0), top.copy()  # F(below) < Phi(eps) <= F(reached)
    k = np.clip(np.nan_to_num(np.floor(guess), nan=0.0), 0.0, np.maximum(top - 1.0, 0.0))
    step = np.ones_like(eps)
    tried_below, tried_above = np.zeros(eps.shape, bool), np.zeros(eps.shape, bool)
    rows = np.flatnonzero(reached - below > 1.0)
    while rows.size:
        low, high = (t.numpy() for t in tails(k[rows], rows))
        yes = np.where(eps[rows] < 0.0, low >= target[rows], high <= target[rows])
        reached[rows] = np.where(yes, k[rows], reached[rows])
        below[rows] = np.where(yes, below[rows], k[rows])
        tried_above[rows] |= yes
        tried_below[rows] |= ~yes
        lower, upper, stride = below[rows], reached[rows], step[rows]
        middle = np.floor(lower + (np.minimum(upper, 2.0**1000) - lower) / 2)
        onward = np.where(yes, np.maximum(upper - stride, 0.0), np.minimum(lower + stride, upper - 1.0))
        k[rows] = np.where(tried_below[rows] & tried_above[rows], middle, onward)
        step[rows] = 2.0 * stride
        rows = rows[(upper - lower > 1.0) & (k[rows] > lower) & (k[rows] < upper)]
    return reached


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))


def _poisson(rate: np.ndarray, eps: np.ndarray, out: np.ndarray) -> None:
    with np.errstate(divide="ignore"):
        log_rate = np.log(rate)

    def tails(k: np.ndarray, rows: np.ndarray) -> tuple[Tensor, ...]:
        lower, upper = gamma_tails(_tensor(k + 1.0), _tensor(log_rate[rows]))
        return upper, lower

    top = np.where(rate > 0.0, np.inf, 0.0)
    out[:] = search(tails, eps, rate + np.sqrt(rate) * eps + (eps * eps - 1.0) / 6.0, top)


def _binomial(n: np.ndarray, logit: np.ndarray, eps: np.ndarray, out: np.ndarray) -> None:
    p = 1.0 / (1.0 + np.exp(-np.clip(logit, -700.0, 700.0)))

    def tails(k: np.ndarray, rows: np.ndarray) -> tuple[Tensor, ...]:
        return beta_tails(_tensor(n[rows] - k), _tensor(k + 1.0), _tensor(-logit[rows]))

    guess = n * p + np.sqrt(n * p * (1.0 - p)) * eps
    settled = np.isinf(logit)
    found = search(tails, eps, guess, np.where(settled, 0.0, n))
    out[:] = np.where(settled & (logit > 0.0), n, found)


def _negative_binomial(r: np.ndarray, logit: np.ndarray, eps: np.ndarray, out: np.ndarray) -> None:
    odds = np.exp(np.clip(logit, -700.0, 700.0))

    def tails(k: np.ndarray, rows: np.ndarray) -> tuple[Tensor, ...]:
        return beta_tails(_tensor(r[rows]), _tensor(k + 1.0), _tensor(-logit[rows]))

    guess = r * odds + np.sqrt(r * odds * (1.0 + odds)) * eps
    out[:] = search(tails, eps, guess, np.where((r > 0.0) & (logit > -np.inf), np.inf, 0.0))


def poisson_quantile(rate: Tensor, eps: Tensor) -> Tensor:
    """Return the smallest k with F(k) >= Phi(eps) of the Poisson law."""
    return elementwise((_poisson, _poisson), 1, rate, eps)[0]


def binomial_quantile(n: Tensor, logit: Tensor, eps: Tensor) -> Tensor:
    """Return the smallest k with F(k) >= Phi(eps) of the Binomial law; logit p may be -inf or inf."""
    return elementwise((_binomial, _binomial), 1, n, logit, eps)[0]


def negative_binomial_quantile(r: Tensor, logit: Tensor, eps: Tensor) -> Tensor:
    """Return the smallest k with F(k) >= Phi(eps) of the negative Binomial law; logit p may be -inf."""
    return elementwise((_negative_binomial, _negative_binomial), 1, r, logit, eps)[0]
