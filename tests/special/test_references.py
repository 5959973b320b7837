"""Values, first and second derivatives of `special` against references to many digits, all arguments, wide ranges.

Errors are relative. Those of a second derivative D are relative to its scale, what moving each argument by its own
size (1 where it is 0) would move it: max(|D|, sum_i |theta_i dD/dtheta_i|), a number of the references. The same scale
is taken where a first derivative or a value crosses zero: the slopes of Bessel functions (of log I_n in kappa; of the
ratio at n = 1/2 and of log I_n in n at n = 0, beyond all powers of 1/kappa), and the normal quantiles. The bounds are
the promise of `special`, for every function.
"""

import json
from pathlib import Path

import pytest
import torch

from reparam import special as S

FILES = sorted((Path(__file__).parents[1] / "references").glob("special_*.json"))
ROWS = {name: rows for path in FILES for name, rows in json.loads(path.read_text()).items()}
F64 = torch.float64
BOUNDS = 1e-12, 5e-12, 5e-12  # of value, first and second derivatives
LEAST, MOST = 1e-290, 1e290  # beyond, a derivative or a factor of it leaves the range of the numbers


def column(values):
    return torch.tensor(list(values), dtype=F64)


def errors(ours, right, scale):
    """Each row's error; 0 where the right number or its scale is out of range."""
    size = torch.maximum(right.abs(), scale)
    known = ((right.abs() > LEAST) & (size < MOST)) | (right == 0)
    assert known.sum() > 10
    error = (ours.detach() - right).abs() / torch.where(size > 0, size, 1.0)
    return torch.where(known, error.nan_to_num(nan=torch.inf), 0.0)


def arguments(rows):
    return [column(c).requires_grad_() for c in zip(*(r["at"] for r in rows))]


def moved(row, slopes):
    """What moving each argument by its size moves a number that has these slopes."""
    return sum((abs(a) or 1.0) * abs(slope) for a, slope in zip(row["at"], slopes))


def value_scale(name, rows):
    return column(moved(r, r["first"]) if name.startswith("ndtri") else 0.0 for r in rows)


def first_scale(name, rows, j):
    if name not in ("log_ive", "bessel_ratio"):
        return column(0.0 for _ in rows)
    return column(moved(r, [D for i, k, D, _ in r["second"] if j in (i, k)]) for r in rows)


def all_errors(name, rows):
    """The errors of the value, of each first and of each second derivative (both orders of a mixed one)."""
    leaves = arguments(rows)
    out = getattr(S, name)(*leaves)
    slopes = torch.autograd.grad(out.sum(), leaves, create_graph=True)
    found = {"value": errors(out, column(r["value"] for r in rows), value_scale(name, rows))}
    for j, slope in enumerate(slopes):
        right = column(r["first"][j] for r in rows)
        found[f"first {j}"] = errors(slope, right, first_scale(name, rows, j))
    curves = [torch.autograd.grad(s.sum(), leaves, retain_graph=True) for s in slopes]
    for i, (j, k, *_) in enumerate(rows[0]["second"]):
        right, scale = (column(r["second"][i][n] for r in rows) for n in (2, 3))
        for a, b in {(j, k), (k, j)}:
            found[f"second {a}{b}"] = errors(curves[a][b], right, scale)
    return found


def assert_within(found, rows):
    bounds = dict(zip(("value", "first", "second"), BOUNDS))
    beyond = {
        name: (
            error.max().item(),
            rows[int(error.argmax())]["at"],
            int((error > bounds[name.split()[0]]).sum()),
        )
        for name, error in found.items()
        if error.max() > bounds[name.split()[0]]
    }
    assert not beyond, beyond


@pytest.mark.parametrize("name", ROWS)
def test_value_and_all_derivatives(name):
    assert_within(all_errors(name, ROWS[name]), ROWS[name])


def test_upper_gamma_tail():
    rows = [
        r
        | {
            "value": r["complement"],
            "first": [-d for d in r["first"]],
            "second": [[j, k, -D, s] for j, k, D, s in r["second"]],
        }
        for r in ROWS["gammainc"]
    ]
    assert_within(all_errors("gammaincc", rows), rows)


@pytest.mark.parametrize("name", ROWS)
def test_float32_results_are_the_double_ones_rounded(name):
    """Value and first derivatives, at the references' arguments rounded to float32."""
    narrow = [a.detach().float() for a in arguments(ROWS[name])]
    results = []
    for leaves in ([a.clone() for a in narrow], [a.double() for a in narrow]):
        leaves = [a.requires_grad_() for a in leaves]
        out = getattr(S, name)(*leaves)
        results.append([out, *torch.autograd.grad(out.sum(), leaves)])
    for single, double in zip(*results):
        assert single.dtype == torch.float32
        torch.testing.assert_close(single, double.float(), rtol=0, atol=0, equal_nan=True)
