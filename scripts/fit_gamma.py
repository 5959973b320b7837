"""Fit the Gamma quantile and its velocity by polynomials in two variables (src/reparam/kernels/gamma_fit.npz).

    y(alpha, eps) = log z, P(alpha, z) = Phi(eps);   v = dy/dalpha at fixed eps

The pieces of the plane and their coordinates (s, t) are those of `kernels.cpu.gamma_fit`; for `power` and `tail`
log c = S(eps) - log alpha, S(eps) = log(-log Phi(eps)).

The values come from the torch reference of the kernels. The coefficients are least squares on Chebyshev points;
the edges of a piece in t weigh more, so that neighbours meet and the quantile stays increasing in eps. The table of
a piece holds one row per power of t, of `lengths` powers of s. Run `PYTHONPATH=src python scripts/fit_gamma.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.polynomial import chebyshev
from scipy.special import gammaln, log_ndtr, ndtri_exp

from reparam.kernels import reference
from reparam.kernels.cpu.gamma_fit import (
    EDGE,
    K_MIDDLE,
    K_NEAR,
    LONGEST_TAIL,
    PIECES,
    REACH,
    VALUES,
    X_LOW,
    X_MIDDLE,
    X_NEAR,
)
from reparam.kernels.reference.implicit import bisect

OUT = Path(__file__).parent.parent / "src/reparam/kernels/gamma_fit.npz"
TOLERANCE = 3e-10
Function = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, ...]]
ROWS = (2, 4, 6, 8, 12)  # lengths that the kernel knows


def truth(alpha: np.ndarray, eps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y and v by the reference."""
    a, e = (torch.tensor(np.ascontiguousarray(x)) for x in np.broadcast_arrays(alpha, eps))
    high = torch.maximum(a.log() + 3.0, (a + 60.0 + 10.0 * a.sqrt()).log())
    y = bisect(reference.gamma_tails, e, -60.0 / a - 10.0, high, a)
    return y.numpy(), reference.gamma_velocity(a, y)[0].numpy()


def nodes(count: int) -> np.ndarray:
    """Chebyshev points."""
    return -np.cos(np.pi * (np.arange(count) + 0.5) / count)


def with_ends(points: np.ndarray) -> np.ndarray:
    """The points and both ends of [-1, 1]."""
    return np.concatenate(([-1.0], points, [1.0]))


def affine(low: float, high: float, u: np.ndarray) -> np.ndarray:
    """[-1, 1] -> [low, high]."""
    return (low + high) / 2 + (high - low) / 2 * u


def central(k_range: tuple[float, float], x_range: tuple[float, float]) -> Function:
    """Y and V of a piece in (k, x)."""

    def function(s: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, ...]:
        k = affine(*k_range, s)
        y, v = truth(1 / k, affine(*x_range, t) / np.sqrt(k))
        return y + np.log(k), v / k

    return function


def score_of(alpha: np.ndarray, c: np.ndarray) -> np.ndarray:
    """eps with Phi(eps) = e^(-alpha c)."""
    log_p = -alpha * c
    log_q = np.log(-np.expm1(log_p))
    return np.where(log_p < -0.7, ndtri_exp(np.minimum(log_p, -0.1)), -ndtri_exp(np.minimum(log_q, -0.1)))


def power(s: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, ...]:
    """H and B = v - c A/alpha."""
    alpha = affine(0.0, 1.0, s) + 0.0 * t
    c = -np.log(np.maximum(affine(0.0, EDGE, t), 1e-13))
    y, v = truth(alpha, score_of(alpha, c))
    A = np.exp(gammaln(1 + alpha) - alpha * (c + y) + np.exp(y))
    return y + c, v - c * A / alpha


def tail(s: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, ...]:
    """Y and V = alpha v."""
    alpha = affine(0.0, 1.0, s) + 0.0 * t
    m = -np.log(-np.log(EDGE))
    r = affine(m / (m + 4), LONGEST_TAIL / (LONGEST_TAIL + 4), t)
    y, v = truth(alpha, score_of(alpha, np.exp(-4 * r / (1 - r))))
    return y, alpha * v


def lengths_of(values: np.ndarray) -> list[int]:
    """How many powers of s each power of t takes, by the Chebyshev coefficients on the inner nodes; in pairs."""
    n, m = values.shape[0], values.shape[1] - 2
    left, right = (np.cos(np.outer(np.arange(q), np.arccos(nodes(q)))) for q in (n, m))
    c = 4 / (n * m) * left @ values[:, 1:-1] @ right.T
    out = []
    for column in c.T:
        last = np.nonzero(np.abs(column) > TOLERANCE)[0]
        need = last.max() + 1 if last.size else 0
        out.append(next((r for r in ROWS if r >= need), ROWS[-1]))
    while np.abs(c[:, len(out) - 1]).max() < TOLERANCE:
        out.pop()
    out += [out[-1]] * (len(out) % 2)
    for j in range(len(out) - 2, -1, -1):
        out[j] = max(out[j], out[j + 1])
    return [out[j - j % 2] for j in range(len(out))]


def fit(values: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Monomial coefficients [power of t, power of s], the lengths of the rows, and the largest error / scale."""
    s, t = nodes(values.shape[0]), with_ends(nodes(values.shape[1] - 2))
    lengths = lengths_of(values)
    pairs = [(i, j) for j, length in enumerate(lengths) for i in range(length)]
    left, right = chebyshev.chebvander(s, max(lengths)), chebyshev.chebvander(t, len(lengths))
    matrix = np.stack([np.outer(left[:, i], right[:, j]).ravel() for i, j in pairs], 1)
    weight = np.ones_like(values) / scale
    weight[:, 0] *= 300.0
    weight[:, -1] *= 300.0
    solution = np.linalg.lstsq(matrix * weight.ravel()[:, None], (values * weight).ravel(), rcond=1e-15)[0]
    error = np.abs((matrix @ solution).reshape(values.shape) - values) / scale
    mixed = np.zeros((len(lengths), max(lengths)))
    for (i, j), c in zip(pairs, solution):
        mixed[j, i] = c
    table = np.zeros_like(mixed)
    for j, row in enumerate(mixed):
        in_s = np.zeros(mixed.shape[1])
        in_s[: lengths[j]] = chebyshev.cheb2poly(row[: lengths[j]])[: lengths[j]]
        in_t = chebyshev.cheb2poly(np.eye(len(lengths))[j])
        table[: len(in_t)] += np.outer(in_t, in_s)
    return table, np.array(lengths), error.max()


FUNCTIONS: dict[str, tuple[Function, int, int]] = {  # with the numbers of nodes in s and t
    "near": (central((0.0, K_NEAR), (-X_NEAR, X_NEAR)), 12, 32),
    "middle": (central((K_NEAR, K_MIDDLE), (-X_MIDDLE, X_MIDDLE)), 14, 40),
    "low": (central((K_MIDDLE, 1.0), (-X_LOW, 0.0)), 16, 36),
    "high": (central((K_MIDDLE, 1.0), (0.0, X_LOW)), 16, 30),
    "power": (power, 22, 30),
    "tail": (tail, 22, 32),
}


def polynomial(function: Callable[[np.ndarray], np.ndarray], count: int) -> np.ndarray:
    """The interpolant in `count` Chebyshev points as powers of t in [-1, 1]."""
    return chebyshev.cheb2poly(chebyshev.chebinterpolate(function, count - 1))


def scales() -> np.ndarray:
    """s = row[0] + row[1] u and t = row[2] + row[3] w of the plain coordinates (u, w) of each piece."""
    m = -np.log(-np.log(EDGE))
    spans = [
        ((0.0, K_NEAR), (-X_NEAR, X_NEAR)),
        ((K_NEAR, K_MIDDLE), (-X_MIDDLE, X_MIDDLE)),
        ((K_MIDDLE, 1.0), (-X_LOW, 0.0)),
        ((K_MIDDLE, 1.0), (0.0, X_LOW)),
        ((0.0, 1.0), (0.0, EDGE)),
        ((0.0, 1.0), (m / (m + 4), LONGEST_TAIL / (LONGEST_TAIL + 4))),
    ]
    return np.array(
        [
            [x for low, high in pair for x in (-(high + low) / (high - low), 2 / (high - low))]
            for pair in spans
        ]
    )


def main() -> None:
    """Fit every piece, print its size and error, and write the file."""
    tables: list[np.ndarray] = []
    sizes: list[np.ndarray] = []
    for piece, (function, in_s, in_t) in FUNCTIONS.items():
        values = function(nodes(in_s)[:, None], with_ends(nodes(in_t))[None, :])
        for name, value in zip(VALUES[PIECES.index(piece)], values):
            scale = np.abs(value) if name == "v" else np.ones_like(value)
            if name == "b":
                scale = 1 / np.maximum(affine(0.0, 1.0, nodes(in_s)[:, None]), 0.02) + 0.0 * value
            table, lengths, error = fit(value, scale)
            tables.append(table)
            sizes.append(lengths)
            print(
                piece, name, lengths.sum(), "coefficients", lengths.tolist(), f"error {error:.1e}", flush=True
            )
    height = max(map(len, sizes))
    half = REACH / 2
    np.savez_compressed(
        OUT,
        gamma_fit=np.stack([np.pad(t, ((0, height - len(t)), (0, ROWS[-1] - t.shape[1]))) for t in tables]),
        gamma_fit_lengths=np.stack([np.pad(n, (0, height - len(n))) for n in sizes])[:, ::2],
        gamma_fit_scales=scales(),
        gamma_fit_lower=polynomial(lambda t: -log_ndtr(half * (t - 1)), 20),
        gamma_fit_upper=polynomial(lambda t: np.log(-log_ndtr(half * (t + 1))), 24),
        gamma_fit_log_gamma=polynomial(lambda t: gammaln(1.5 + t / 2) / (0.5 + t / 2), 16),
    )
    print(OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
