"""The Dirichlet family against many-digit references (scripts/make_dirichlet_references.py).

v_j > 0 never crosses zero, so that every error of a derivative is relative to the number itself; points are x / sum x.
An ulp of x_j moves log q by |alpha_j - 1| ulp: the scale of its error is |log q| + 1 + sum |alpha_j - 1|.
"""

import json
from collections import defaultdict
from pathlib import Path

import torch

from reparam import distributions as D
from reparam.kernels import cpu

F64 = torch.float64
ROWS = json.loads((Path(__file__).parent.parent / "references/dirichlet.json").read_text())
# float64: relative; log x and the entropy to max(1, |.|); float32 in ulp of the number
MUST = {
    "pathwise": 1e-11,
    "draw": 1e-12,
    "draw's derivative": 1e-11,
    "log_prob": 1e-14,
    "entropy": 1e-12,
    "moments": 1e-15,
    "pathwise in float32, ulp": 2.0,
    "draw in float32, ulp": 1.0,
    "draw's derivative in float32, ulp": 2.0,
}


def batches():
    """The columns of all rows of one K."""
    groups = defaultdict(list)
    for row in ROWS:
        groups[len(row["x"])].append(row)
    for rows in groups.values():
        yield {key: torch.tensor([row[key] for row in rows], dtype=F64) for key in rows[0]}


def relative(ours, right, floor=0.0):
    error = (ours.double() - right).abs() / right.abs().clamp(min=floor)
    return torch.where(ours.double() == right, 0.0, error).max()


def ulp(ours, right):
    """Error in units in the last place of float32 where the number is a normal one."""
    size = right.abs().float()
    step = (torch.nextafter(size, torch.tensor(torch.inf)) - size).double()
    normal = (right.abs() > 1.2e-38) & (right.abs() < 3e38)
    return torch.where(normal, (ours.double() - right).abs() / step, 0.0).max()


def jacobian(x, rest, g):
    """dx_i/dalpha_j = g_j (delta_ij - x_i), rest = 1 - x."""
    eye = torch.eye(x.shape[-1], dtype=torch.bool)
    return g.unsqueeze(-2) * torch.where(eye, rest.unsqueeze(-1), -x.unsqueeze(-1))


def others(x):
    """The sum of the other coordinates: 1 - x to the last digits."""
    return (x.unsqueeze(-2) * (1 - torch.eye(x.shape[-1], dtype=F64))).sum(-1)


def pulled(q, eps, alpha):
    """dx_i/dalpha_j of a draw, a backward pass for each i."""
    x = q.push(eps)
    slopes = [torch.autograd.grad(u.sum(), alpha, retain_graph=True)[0] for u in x.unbind(-1)]
    return x.detach(), torch.stack(slopes, -2)


def errors_at_points(c):
    """The density and `pathwise` at the floats x."""
    q, x = D.Dirichlet(c["concentration"]), c["x"]
    point = x / x.sum(-1, keepdim=True)
    slopes = jacobian(point, others(point), point * c["velocity"])
    size = c["log_prob"].abs() + 1 + (c["concentration"] - 1).abs().sum(-1)
    narrow = D.Dirichlet(c["concentration"].float()).pathwise(x.float())["concentration"]
    mean = c["concentration"] / c["concentration"].sum(-1, keepdim=True)
    return {
        "pathwise": relative(q.pathwise(x)["concentration"], slopes, 1e-290),
        "log_prob": ((q.log_prob(x) - c["log_prob"]).abs() / size).max(),
        "entropy": relative(q.entropy(), c["entropy"], 1.0),
        "moments": torch.maximum(relative(q.variance, c["variance"]), relative(q.mean, mean)),
        "pathwise in float32, ulp": ulp(narrow, slopes),
    }


def errors_of_draws(c):
    """Draws at the stored noise and their derivatives."""
    alpha = c["concentration"].clone().requires_grad_()
    got, derivative = pulled(D.Dirichlet(alpha), c["eps"], alpha)
    log_draw = torch.where(
        c["log_draw"] > -690, got.log(), c["log_draw"]
    )  # smaller ones are no normal floats
    right = jacobian(c["draw"], others(c["draw"]), c["field"])
    x, _, field = cpu.dirichlet_draw(c["concentration"].float(), c["eps"].float(), moving=True)
    return {
        "draw": relative(log_draw, c["log_draw"], 1.0),
        "draw's derivative": relative(derivative, right, 1e-290),
        "draw in float32, ulp": ulp(x, c["draw"]),
        "draw's derivative in float32, ulp": ulp(field, c["field"]),
    }


def worst():
    """The worst errors over all rows."""
    every = [errors_at_points(batch) | errors_of_draws(batch) for batch in batches()]
    return {key: float(max(errors[key] for errors in every)) for key in MUST}


def test_values_to_many_digits():
    errors = worst()
    assert {key: (errors[key], limit) for key, limit in MUST.items() if not errors[key] <= limit} == {}


def test_references_cover_what_is_promised():
    alpha = torch.cat([batch["concentration"].flatten() for batch in batches()])
    assert {len(row["x"]) for row in ROWS} == {2, 3, 5, 10}
    assert alpha.min() < 5e-3
    assert alpha.max() > 5e5
    assert max(abs(e) for row in ROWS for e in row["eps"]) > 4.5
