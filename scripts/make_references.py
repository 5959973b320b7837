"""Make the many-digit references of the implicit kernels: tests/references/implicit.json.

Velocities dy/dtheta = -F_theta/f and tails of four families, by mpmath at exactly the stored floats (all of them
float32 numbers, so that one file serves both precisions). Run `PYTHONPATH=src python scripts/make_references.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mpmath as mp
import numpy as np
import torch

from reparam import special

OUT = Path(__file__).parent.parent / "tests/references/implicit.json"
SPANS = {  # parameter ranges of the promise; `large` is the part where mpmath needs too many terms for many points
    "gamma": [(1e-4, 1e7)],
    "beta": [(1e-3, 1e4), (1e-3, 1e4)],
    "student": [(1e-2, 1e4)],
    "vonmises": [(1e-3, 1e4)],
}
CORNERS = {
    "gamma": [(1e-4,), (1e-4,), (12.0,), (12.1,), (6.0,), (1e6,), (1e7,), (1e7,)],
    "beta": [(1e-3, 1e-3), (1e-3, 1e5), (1e5, 3.0), (16.0, 16.5), (20.0, 1e6), (2e5, 1e5), (0.05, 30.0)],
    "student": [(1e-2,), (20.0,), (19.9,), (1e6,)],
    "vonmises": [(1e-3,), (29.0,), (31.0,), (1e6,)],
}
Number = mp.mpf


def gamma_tail(y: Number, a: Number) -> Number:
    """P by its series, or -Q by its fraction (the sign tells)."""
    z = mp.exp(y)
    scale = mp.exp(a * y - z - mp.loggamma(a))
    if z < a + 4:
        term = total = mp.mpf(1)
        n = 0
        while term > mp.eps * total:
            n += 1
            term *= z / (a + n)
            total += term
        return scale * total / a
    t = mp.mpf(0)
    for j in range(int(200 + 60 * mp.sqrt(min(a, 1e5)) + mp.sqrt(a)), 0, -1):
        t = j * (a - j) / (z + 2 * j + 1 - a + t)
    return -scale / (z + 1 - a + t)


def gamma_density(y: Number, a: Number) -> Number:
    return mp.exp(a * y - mp.exp(y) - mp.loggamma(a))


def beta_series(a: Number, b: Number, x: Number) -> Number:
    """I_x(a, b) = x^a (1 - x)^b/(a B(a, b)) sum_n x^n (a + b)..(a + b + n - 1)/((a + 1)..(a + n))."""
    term = total = mp.mpf(1)
    n = 0
    while term > mp.eps * total or x * (a + b + n) > a + n:
        n += 1
        term *= x * (a + b + n - 1) / (a + n)
        total += term
    log_norm = mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)
    return mp.exp(a * mp.log(x) + b * mp.log(1 - x) - log_norm) * total / a


def beta_tail(xi: Number, a: Number, b: Number) -> Number:
    x, y = 1 / (1 + mp.exp(-xi)), 1 / (1 + mp.exp(xi))
    lower = (x * (a + b) < a and x < 0.9) or y > 0.9
    return -beta_series(b, a, y) if not lower or x > 0.9 else beta_series(a, b, x)


def beta_density(xi: Number, a: Number, b: Number) -> Number:
    x, y = 1 / (1 + mp.exp(-xi)), 1 / (1 + mp.exp(xi))
    return mp.exp(a * mp.log(x) + b * mp.log(y) - mp.loggamma(a) - mp.loggamma(b) + mp.loggamma(a + b))


def student_tail(t: Number, nu: Number) -> Number:
    tail = beta_tail(mp.log(nu / t**2), nu / 2, mp.mpf(1) / 2)
    half = abs(tail) / 2 if tail > 0 else mp.mpf(1) / 2 - abs(tail) / 2
    return half if t < 0 else -half


def student_density(t: Number, nu: Number) -> Number:
    log_norm = mp.loggamma((nu + 1) / 2) - mp.loggamma(nu / 2) - mp.log(nu * mp.pi) / 2
    return mp.exp(log_norm - (nu + 1) / 2 * mp.log1p(t * t / nu))


def vonmises_tail(z: Number, kappa: Number) -> Number:
    width = 1 / mp.sqrt(kappa + 1)
    points = [abs(z) + j * width for j in (0, 0.5, 1, 2, 4, 8, 12)]
    points = [p for p in points if p < mp.pi] + [
        mp.pi if abs(z) + 14 * width > mp.pi else abs(z) + 14 * width
    ]
    shape = mp.quad(lambda t: mp.exp(-2 * kappa * mp.sin(t / 2) ** 2), points)
    tail = shape * vonmises_density(mp.mpf(0), kappa)
    return tail if z < 0 else -tail


def vonmises_density(z: Number, kappa: Number) -> Number:
    bessel = mp.besseli(0, kappa) * mp.exp(-kappa)
    return mp.exp(-2 * kappa * mp.sin(z / 2) ** 2) / (2 * mp.pi * bessel)


LAWS: dict[str, tuple[Callable, Callable]] = {
    "gamma": (gamma_tail, gamma_density),
    "beta": (beta_tail, beta_density),
    "student": (student_tail, student_density),
    "vonmises": (vonmises_tail, vonmises_density),
}


def velocity(name: str, y: Number, parameters: list[Number], which: int, digits: int) -> Number:
    """-F_theta/f by a central difference of order four with a tiny step."""
    tail, density = LAWS[name]
    h = mp.mpf(10) ** -digits * parameters[which]

    def at(k: int) -> Number:
        moved = list(parameters)
        moved[which] += k * h
        return tail(y, *moved)

    return -(at(-2) - 8 * at(-1) + 8 * at(1) - at(2)) / (12 * h) / density(y, *parameters)


def row(name: str, y: float, parameters: list[float]) -> dict:
    exact = [mp.mpf(p) for p in parameters]
    tail = LAWS[name][0](mp.mpf(y), *exact)
    v = [float(velocity(name, mp.mpf(y), exact, j, 9)) for j in range(len(exact))]
    return {
        "y": y,
        "parameters": parameters,
        "velocity": v,
        "log_tail": float(mp.log(abs(tail))),
        "lower": tail > 0,
    }


def main() -> None:
    mp.mp.dps = 44
    rng = np.random.default_rng(20)
    out = {}
    for name, spans in SPANS.items():
        draws = [[float(np.exp(rng.uniform(*np.log(span)))) for span in spans] for _ in range(40)]
        rows = []
        for parameters in draws + [list(c) for c in CORNERS[name]]:
            parameters = [float(np.float32(p)) for p in parameters]
            score = torch.special.ndtri(
                torch.tensor(1 / (1 + np.exp(rng.uniform(-13.8, 13.8))), dtype=torch.float64)
            )
            y = special.quantile(name, score, *(torch.tensor(p, dtype=torch.float64) for p in parameters))
            y = float(np.float32(float(y)))
            if np.isfinite(y) and abs(y) > 1e-30:
                rows.append(row(name, y, parameters))
        out[name] = rows
        print(name, len(rows), flush=True)
    OUT.write_text(json.dumps(out, indent=0))


if __name__ == "__main__":
    main()
