"""Make the many-digit references of the Dirichlet family: tests/references/dirichlet.json.

At exactly the stored floats (concentrations, noise and points are float32 numbers, so that one file serves both
precisions), with the point taken as x / sum x:

    velocity   v_j = d logit x_j/dalpha_j at fixed noise under Beta(alpha_j, A - alpha_j), A - alpha_j held
    draw       softmax of the logs of the Gamma(alpha_j) quantiles at Phi(eps_j)
    field      draw_j v_j at the draw

and log density, entropy, variance. Run `PYTHONPATH=src:scripts python scripts/make_dirichlet_references.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import mpmath as mp
import numpy as np
import torch
from make_references import beta_density, beta_tail, gamma_density, gamma_tail

from reparam import special

OUT = Path(__file__).parent.parent / "tests/references/dirichlet.json"
EVENTS = [2, 3, 5, 10]
ROWS = 8  # of each kind and K
REACH = 4.75  # |eps|: quantiles from 1e-6 to 1 - 1e-6
LEAST = 1e-30  # of a point's coordinate, so that it is a normal float32
Number = mp.mpf


def velocity(xi: Number, a: Number, b: Number) -> Number:
    """-F_a/f by a central difference of order four with a tiny step."""
    h = mp.mpf(10) ** -9 * a
    ends = [beta_tail(xi, a + k * h, b) for k in (-2, -1, 1, 2)]
    return -(ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * h) / beta_density(xi, a, b)


def velocities(x: list[Number], alpha: list[Number]) -> list[Number]:
    total, A = sum(x), sum(alpha)
    return [velocity(mp.log(u / (total - u)), a, A - a) for u, a in zip(x, alpha)]


def log_quantile(eps: float, a: Number) -> Number:
    """The root of P(a, e^y) = Phi(eps) by Newton's method on the smaller tail, from a double near it."""
    start = special.quantile(special.GAMMA, *torch.tensor([[eps], [float(a)]], dtype=torch.float64))
    y = mp.mpf(float(start))
    lower, upper = mp.erfc(-mp.mpf(eps) / mp.sqrt(2)) / 2, mp.erfc(mp.mpf(eps) / mp.sqrt(2)) / 2
    for _ in range(4):
        tail = gamma_tail(y, a)
        gap = lower - tail if tail > 0 else -tail - upper
        y += gap / gamma_density(y, a)
    return y


def log_norm(alpha: list[Number]) -> Number:
    return sum(mp.loggamma(a) for a in alpha) - mp.loggamma(sum(alpha))


def row(alpha: list[float], eps: list[float], x: list[float]) -> dict:
    a, point, A, K = [mp.mpf(v) for v in alpha], [mp.mpf(v) for v in x], mp.fsum(alpha), len(alpha)
    logs = [log_quantile(e, v) for e, v in zip(eps, a)]
    z = [mp.exp(y - max(logs)) for y in logs]
    draw = [v / sum(z) for v in z]
    entropy = log_norm(a) + (A - K) * mp.digamma(A) - sum((v - 1) * mp.digamma(v) for v in a)
    out = {
        "velocity": velocities(point, a),
        "draw": draw,
        "log_draw": [y - max(logs) - mp.log(sum(z)) for y in logs],
        "field": [u * v for u, v in zip(draw, velocities(draw, a))],
        "variance": [v * (A - v) / (A * A * (A + 1)) for v in a],
    }
    done = {key: [float(v) for v in values] for key, values in out.items()}
    log_prob = sum((v - 1) * mp.log(u) for v, u in zip(a, point)) - log_norm(a)
    return (
        {"concentration": alpha, "eps": eps, "x": x}
        | done
        | {
            "log_prob": float(log_prob),
            "entropy": float(entropy),
        }
    )


def floats(values: np.ndarray) -> list[float]:
    return [float(v) for v in values.astype(np.float32)]


def candidate(rng: np.random.Generator, K: int, alike: bool) -> tuple[list[float], list[float], list[float]]:
    """Concentrations from 1e-3 to 1e6, of one size within a factor of 10 where `alike`; noise; a point from it."""
    size = rng.uniform(-3, 5) + rng.uniform(0, 1, K) if alike else rng.uniform(-3, 6, K)
    alpha, eps = floats(10**size), floats(np.clip(2 * rng.standard_normal(K), -REACH, REACH))
    log_z = special.quantile(special.GAMMA, *torch.tensor([eps, alpha], dtype=torch.float64))
    return alpha, eps, floats(torch.softmax(log_z, -1).numpy())


def main() -> None:
    mp.mp.dps = 44
    rng = np.random.default_rng(21)
    rows = []
    for K in EVENTS:
        for alike in (True, False):
            kept = 0
            while kept < ROWS:
                alpha, eps, x = candidate(rng, K, alike)
                if min(x) > LEAST and max(x) < 1:
                    rows.append(row(alpha, eps, x))
                    kept += 1
            print(K, alike, len(rows), flush=True)
    OUT.write_text(json.dumps(rows, indent=0))


if __name__ == "__main__":
    main()
