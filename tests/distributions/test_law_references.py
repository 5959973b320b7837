"""Every one-dimensional family against many-digit references at exactly the floats given."""

import json
from pathlib import Path

import pytest
import torch

from distributions.cases import CASES, REFERENCED

REFERENCES = json.loads((Path(__file__).parent.parent / "references/laws.json").read_text())
F64 = torch.float64
# worst error allowed in float64: cdf, survival and quantile relative, log_prob relative to max(1, |log q|), pathwise
# relative with a floor of FLOOR of the natural scale min(F, S)/(q |phi|), for derivatives that cross zero
MUST = {
    "cdf": 1e-12,
    "survival": 1e-12,
    "log_prob": 1e-12,
    "quantile": 1e-12,
    "pathwise": 1e-12,
    "float32 ulp": 1.0,
}
PATHWISE = {"Beta": 5e-12, "FisherSnedecor": 5e-12, "StudentT": 5e-12, "VonMises": 1e-11}
# at df of 1e5 both derivatives of an F variable are 1e-5 of the terms z dxi/da/2 and z/df1 that they are differences of
FLOOR = {"FisherSnedecor": 1e-2}


def limits(name):
    return MUST | {"pathwise": PATHWISE.get(name, MUST["pathwise"])}


def laws(name, dtype):
    case = next(case for case in CASES + REFERENCED if case.name == name)
    rows = REFERENCES[name]
    columns = torch.tensor([row["params"] for row in rows], dtype=dtype).unbind(-1)
    return rows, case, case.make(dict(zip(case.params, columns)))


def relative(ours, right, floor=0.0):
    error = (ours.double() - right).abs() / torch.clamp(right.abs(), min=floor)
    return torch.where(ours.double() == right, 0.0, error)


def slopes(rows, case, q, x):
    """Ours and the right ones, (parameters, rows); nan where a parameter is infinite."""
    velocity = case.rename(q.pathwise(x))
    right = torch.tensor(
        [[v if v is not None else float("nan") for v in row["pathwise"]] for row in rows], dtype=F64
    )
    return torch.stack([velocity[name] for name in case.params]), right.mT


def worst(name):
    """The worst errors of a family in float64, and of float32 pathwise derivatives in ulp."""
    rows, case, q = laws(name, F64)
    column = {
        key: torch.tensor([row[key] for row in rows], dtype=F64) for key in ("x", "p", "cdf", "survival")
    }
    x = column["x"]
    log_prob = torch.tensor([row["log_prob"] for row in rows], dtype=F64)
    root = torch.tensor([row["quantile"] for row in rows], dtype=F64)
    upper = torch.tensor([row["upper"] for row in rows])
    errors = {key: relative(getattr(q, key)(x), column[key]).max() for key in ("cdf", "survival")}
    errors["log_prob"] = relative(q.log_prob(x), log_prob, 1.0).max()
    errors["quantile"] = relative(torch.where(upper, q.isf(column["p"]), q.icdf(column["p"])), root).max()
    ours, right = slopes(rows, case, q, x)
    near = torch.minimum(column["cdf"], column["survival"]) / torch.exp(log_prob)
    sizes = torch.tensor([row["params"] for row in rows], dtype=F64).mT.abs()
    natural = near / torch.where(sizes > 0, sizes, 1.0)
    known = ~right.isnan()
    error = (ours - right).abs() / torch.maximum(right.abs(), FLOOR.get(name, 1e-3) * natural)
    errors["pathwise"] = torch.where(known & (ours != right), error, 0.0).max()
    rows, case, narrow = laws(name, torch.float32)
    single, _ = slopes(rows, case, narrow, x.float())
    size = torch.maximum(right.abs(), 1e-3 * natural).float()
    ulp = (torch.nextafter(size, torch.tensor(torch.inf)) - size).double()
    inside = known & (right.abs() < 3e38) & (right.abs() > 1e-37)
    errors["float32 ulp"] = torch.where(inside, (single.double() - right).abs() / ulp, 0.0).max()
    return {key: value.item() for key, value in errors.items()}


@pytest.mark.parametrize("name", REFERENCES)
def test_values_to_many_digits(name):
    errors = worst(name)
    assert {
        key: (errors[key], limit) for key, limit in limits(name).items() if not errors[key] <= limit
    } == {}
