"""Values, first and second derivatives of `special` against references to many digits, all arguments, wide ranges.

An error is relative to the number or, where that crosses zero, to its natural scale:

    second derivatives of F    |F_j F_k|/min(F, 1 - F)    that of a law's logarithm
    of a quantile x            |x_j x_k|/x                for beta over x (1 - x); twice in p also |x_p|/min(p, 1 - p)
    of a Bessel ratio          1/kappa in kappa, 1 in the order; log I_n e^-kappa: 1
"""

import json
from pathlib import Path

import pytest
import torch

from reparam import special as S

ROWS = json.loads((Path(__file__).parents[1] / "references/special.json").read_text())
F64 = torch.float64
FUNCTIONS = {
    "gamma": S.gammainc,
    "gamma_lower": S.gammaincinv,
    "gamma_upper": S.gammainccinv,
    "beta": S.betainc,
    "beta_lower": S.betaincinv,
    "log_ndtr": S.log_ndtr,
    "bessel_ratio": S.bessel_ratio,
    "log_ive": S.log_ive,
}
# bounds of the value, the first and the second derivatives
BOUNDS = {
    "gamma": (1e-12, 5e-12, 5e-12),
    "gamma_lower": (1e-12, 5e-12, 1e-11),
    "gamma_upper": (
        1e-12,
        1e-11,
        2e-11,
    ),  # at shape 1e6, where log x has rounded: short of the 5e-12 aimed at
    "beta": (1e-12, 1e-12, 1e-9),  # second ones by differences: short of the 5e-12 aimed at
    "beta_lower": (1e-12, 5e-12, 1e-8),
    "log_ndtr": (1e-12, 1e-12, 1e-12),
    "bessel_ratio": (1e-14, 1e-12, 1e-12),
    "log_ive": (1e-12, 1e-12, 1e-12),
}
LEAST, MOST = 1e-290, 1e290  # beyond, a derivative or a factor of it leaves the range of the numbers


def errors(ours, right, scale):
    known = (right.abs() > LEAST) & (right.abs() < MOST) & torch.isfinite(scale)
    assert known.sum() > 10
    return ((ours.detach() - right).abs() / torch.maximum(right.abs(), scale))[known].max().item()


def scales(name, value, first, at):
    """The natural scales of value, first and second derivatives; `at` is the last argument."""
    zero, last = torch.zeros_like(value), len(first) - 1
    if name.startswith(("bessel", "log_ive")):
        one = torch.ones_like(value)
        size = [one, (1 / at).clamp(max=1) if name == "bessel_ratio" else one]
        base = zero if name == "bessel_ratio" else one
        return base, size, lambda j, k: size[j] * size[k]
    if name in ("gamma", "beta"):
        spread = torch.minimum(value, 1 - value)
    else:
        spread = value * (1 - value) if name == "beta_lower" else value.abs()
    tail = torch.minimum(at, 1 - at) if "_" in name and name != "log_ndtr" else torch.inf

    def second(j, k):
        scale = (first[j] * first[k]).abs() / spread.clamp(min=1e-300)
        return torch.maximum(scale, first[j].abs() / tail) if j == k == last else scale

    return zero, [zero] * len(first), second


@pytest.mark.parametrize("name", ROWS)
def test_value_and_all_derivatives(name):
    rows = ROWS[name]
    leaves = [torch.tensor(c, dtype=F64, requires_grad=True) for c in zip(*(r["arguments"] for r in rows))]
    right = torch.tensor([r["value"] for r in rows], dtype=F64)
    firsts = [torch.tensor(c, dtype=F64) for c in zip(*(r["first"] for r in rows))]
    of_value, of_first, of_second = scales(name, right, firsts, leaves[-1].detach())
    out = FUNCTIONS[name](*leaves)
    slopes = torch.autograd.grad(out.sum(), leaves, create_graph=True)
    curves = [torch.autograd.grad(s.sum(), leaves, retain_graph=True) for s in slopes]
    found = [errors(out, right, of_value), 0.0, 0.0]
    for slope, first, scale in zip(slopes, firsts, of_first):
        found[1] = max(found[1], errors(slope, first, scale))
    for i, (j, k, _) in enumerate(rows[0]["second"]):
        second = torch.tensor([r["second"][i][2] for r in rows], dtype=F64)
        for ours in (curves[j][k], curves[k][j]):
            found[2] = max(found[2], errors(ours, second, of_second(j, k)))
    assert all(error < bound for error, bound in zip(found, BOUNDS[name])), found


def test_upper_gamma_tail():
    rows = ROWS["gamma"]
    leaves = [torch.tensor(c, dtype=F64, requires_grad=True) for c in zip(*(r["arguments"] for r in rows))]
    right = torch.tensor([r["complement"] for r in rows], dtype=F64)
    out = S.gammaincc(*leaves)
    assert errors(out, right, torch.zeros_like(right)) < 1e-12
    for slope, first in zip(torch.autograd.grad(out.sum(), leaves), zip(*(r["first"] for r in rows))):
        assert errors(slope, -torch.tensor(first, dtype=F64), torch.zeros_like(right)) < 5e-12


@pytest.mark.parametrize("name", ROWS)
def test_float32_results_are_the_double_ones_rounded(name):
    """Value and first derivatives, at the references' arguments rounded to float32."""
    narrow = [torch.tensor(c, dtype=F64).float() for c in zip(*(r["arguments"] for r in ROWS[name]))]
    results = []
    for leaves in ([a.clone() for a in narrow], [a.double() for a in narrow]):
        leaves = [a.requires_grad_() for a in leaves]
        out = FUNCTIONS[name](*leaves)
        results.append([out, *torch.autograd.grad(out.sum(), leaves)])
    for single, double in zip(*results):
        assert single.dtype == torch.float32
        torch.testing.assert_close(single, double.float(), rtol=0, atol=0, equal_nan=True)
