"""Fit the quantiles of Beta and Student's t and their derivatives cell by cell (src/reparam/kernels/cells.npz).

Each function is interpolated on Chebyshev points of a cell, cut where its Chebyshev coefficients fall below the
tolerance, and stored as a polynomial in the local coordinates (kernels/cpu/cells.py). The values are those of the
double-precision kernels. Run `PYTHONPATH=src python scripts/fit_cells.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.polynomial import chebyshev, polynomial

from reparam.kernels.cpu import beta_cells, beta_velocity, student_cells, student_velocity
from reparam.kernels.cpu.families import _beta_steps
from reparam.kernels.cpu.symmetric import _student_steps

OUT = Path(__file__).parent.parent / "src/reparam/kernels/cells.npz"
TOLERANCE = 4e-9
LONGEST = 12  # powers of x in a row


def nodes(count: int) -> np.ndarray:
    """Chebyshev points."""
    return np.cos(np.pi * (np.arange(count) + 0.5) / count)


def between(low: float, high: float, count: int) -> np.ndarray:
    """Chebyshev points of [low, high]."""
    return low + (high - low) * (nodes(count) + 1) / 2


def coefficients_of(values: np.ndarray) -> np.ndarray:
    """Chebyshev coefficients of the values on a product of Chebyshev points."""
    for axis, n in enumerate(values.shape):
        basis = np.cos(np.outer(np.arange(n), np.arccos(nodes(n)))) * 2 / n
        basis[0] /= 2
        values = np.moveaxis(np.tensordot(basis, values, (1, axis)), 0, axis)
    return values


def lengths_of(coefficients: np.ndarray, tolerance: float) -> np.ndarray:
    """How many powers of x the powers (y^k, z^j) need, falling in k and in j; multiples of four."""
    kept = np.abs(coefficients) > tolerance
    last = np.where(kept.any(0), kept.shape[0] - np.argmax(kept[::-1], 0), 0)
    last = np.maximum.accumulate(np.maximum.accumulate(last[::-1, ::-1], 0), 1)[::-1, ::-1]
    return np.minimum(-(-last // 4) * 4, LONGEST)


def monomials(coefficients: np.ndarray) -> np.ndarray:
    """Power coefficients of a product Chebyshev series."""
    for axis, n in enumerate(coefficients.shape):
        change = np.zeros((n, n))
        for k in range(n):
            change[: k + 1, k] = chebyshev.cheb2poly(np.eye(n)[k])[: k + 1]
        coefficients = np.moveaxis(np.tensordot(change, coefficients, (1, axis)), 0, axis)
    return coefficients


def rise(table: np.ndarray) -> np.ndarray:
    """The same polynomial with 2 y - 1 in the place of y."""
    count = table.shape[1]
    change = np.zeros((count, count))
    for k in range(count):
        change[: k + 1, k] = polynomial.polypow([-1.0, 2.0], k)
    return np.moveaxis(np.tensordot(change, table, (1, 1)), 0, 1)


def fit(
    values: np.ndarray, tolerance: float, from_zero: bool = False, fixed: tuple[float, ...] = ()
) -> tuple[list[float], list[int]]:
    """The coefficients in the order of evaluation, and the rows.

    With `from_zero`, y runs in [0, 1]; then `fixed` are known coefficients of y^0 x^0, y^0 x^1, ...
    """
    series = coefficients_of(values)
    lengths = lengths_of(series, tolerance)
    powers = np.arange(series.shape[0])[:, None, None]
    quantum = 2.0 ** np.floor(np.log2(tolerance) - 8)  # what is far below the tolerance need not be stored
    table = monomials(np.where(powers < lengths, series, 0.0))
    table = np.round((rise(table) if from_zero else table) / quantum) * quantum
    for i, value in enumerate(fixed):
        table[i, 0] = 0.0
        table[i, 0, 0] = value
    out, rows = [], []
    for j in range(series.shape[2] - 1, -1, -1):
        filled = np.nonzero(lengths[:, j])[0]
        for k in filled[::-1]:
            out += table[: lengths[k, j], k, j].tolist()
            rows.append(int(lengths[k, j]) * (-1 if k == 0 else 1))
    return out, rows


def pack(name: str, polynomials: list[tuple[list[float], list[int]]]) -> dict[str, np.ndarray]:
    """The arrays of a fit."""
    sizes = np.array([[len(rows), len(c)] for c, rows in polynomials]).T
    return {
        f"{name}_coefficients": np.concatenate([c for c, _ in polynomials]),
        f"{name}_rows": np.concatenate([rows for _, rows in polynomials]),
        f"{name}_start": np.concatenate([np.zeros((2, 1), np.int64), np.cumsum(sizes, 1)], 1),
    }


def beta_cell(band: int, piece: int, part: int) -> list[tuple[list[float], list[int]]]:
    """X, A and B of a cell of `kernels.cpu.beta_cells`."""
    width = 2 * beta_cells.REACH / beta_cells.PIECES[band]
    low = -beta_cells.REACH + width * piece
    top = 2.0**band / 3
    edges = (0.0, 0.5, 0.8, 1.0)
    spans = between(low, low + width, 16), between(top / 2 if band else 0.0, top, 11)
    w, rho, delta = np.meshgrid(*spans, between(edges[part], edges[part + 1], 20), indexing="ij")
    eps = w / (np.sqrt(3 * rho) if band == 0 else 1.0)
    a, b = 2 / (rho * (1 + delta)), 2 / (rho * (1 - delta))
    xi = np.full(a.size, np.nan)
    _beta_steps("64")(a.ravel(), b.ravel(), eps.ravel(), xi)
    xi = xi.reshape(a.shape)
    da, db = beta_velocity(*(torch.tensor(t) for t in (a, b, xi)))
    A, B = a * da.numpy(), -b * db.numpy()
    near = band == 0 and 2 * piece + 1 == beta_cells.PIECES[0]  # the cells of rho = 0
    slope = 0.5 * width / np.sqrt(3)
    scales = np.maximum(1, np.abs(xi)).min(), A.min(), B.min()
    functions = xi - np.log(a / b), A - 1, B - 1
    known = ((0.0, slope), (0.0,), (0.0,)) if near else ((), (), ())
    return [fit(f, TOLERANCE * s, band == 0, k) for f, s, k in zip(functions, scales, known)]


def student_cell(band: int, piece: int) -> list[tuple[list[float], list[int]]]:
    """M and H of a cell of `kernels.cpu.student_cells`."""
    width = student_cells.REACH / student_cells.PIECES
    top = 2.0 ** (band - 1)
    last = band == student_cells.OCTAVES
    low = width * piece
    size, y = np.meshgrid(between(low, low + width, 16), between(0.0, 1.0, 16), indexing="ij")
    nu = 8 / y if last else top / 2 * (1 + y)
    t = np.empty(nu.size)
    _student_steps("64")(nu.ravel(), size.ravel(), t)
    v = student_velocity(torch.tensor(nu.ravel()), torch.tensor(t))[0].numpy()
    M = nu * np.log1p(t.reshape(nu.shape) ** 2 / nu) / size**2
    H = (v / t).reshape(nu.shape) * nu**2
    felt = min(1.0, (2 * nu / size**2).min())  # by the logarithm of t
    return [fit(f[:, :, None], TOLERANCE * np.abs(f).min() * s, last) for f, s in ((M, felt), (H, 1.0))]


def main() -> None:
    """Fit everything, print the sizes, write the file."""
    polynomials = [
        piece_fit
        for band in range(beta_cells.BANDS)
        for piece in range(beta_cells.PIECES[band])
        for part in range(beta_cells.BALANCES)
        for piece_fit in beta_cell(band, piece, part)
    ]
    tables = pack("beta_cells", polynomials)
    polynomials = [
        piece_fit
        for band in range(student_cells.OCTAVES + 1)
        for piece in range(student_cells.PIECES)
        for piece_fit in student_cell(band, piece)
    ]
    tables |= pack("student_cells", polynomials)
    np.savez_compressed(OUT, **tables)
    print({k: v.shape for k, v in tables.items()}, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
