"""The ends of the domains of `special`: x = 0, 1, inf, p = 0, 1, kappa = 0, and what lies outside."""

import math
from itertools import combinations_with_replacement

import pytest
import torch

from reparam import special as S

F64 = torch.float64
INF = math.inf
PI = math.pi

# function, arguments, value, first derivatives, and the second one in the last argument
ENDS = [
    ("gammainc", (0.5, 0.0), 0.0, (0.0, INF), -INF),
    ("gammainc", (1.0, 0.0), 0.0, (0.0, 1.0), -1.0),
    ("gammainc", (2.0, 0.0), 0.0, (0.0, 0.0), 1.0),
    ("gammainc", (3.0, 0.0), 0.0, (0.0, 0.0), 0.0),
    ("gammainc", (2.0, 1e-200), 0.0, (0.0, 1e-200), 1.0),
    ("gammainc", (0.5, INF), 1.0, (0.0, 0.0), 0.0),
    ("gammaincc", (1.0, 0.0), 1.0, (0.0, -1.0), 1.0),
    ("gammaincc", (7.0, INF), 0.0, (0.0, 0.0), 0.0),
    ("gammaincinv", (0.5, 0.0), 0.0, (0.0, 0.0), PI / 2),
    ("gammaincinv", (1.0, 0.0), 0.0, (0.0, 1.0), 1.0),
    ("gammaincinv", (2.0, 0.0), 0.0, (0.0, INF), None),
    ("gammaincinv", (1.0, 1.0), INF, (INF, INF), INF),
    ("gammainccinv", (1.0, 0.0), INF, (INF, -INF), INF),
    ("gammainccinv", (1.0, 1.0), 0.0, (0.0, -1.0), 1.0),
    ("betainc", (1.0, 1.0, 0.0), 0.0, (0.0, 0.0, 1.0), 0.0),
    ("betainc", (2.0, 3.0, 0.0), 0.0, (0.0, 0.0, 0.0), 12.0),
    ("betainc", (3.0, 2.0, 1.0), 1.0, (0.0, 0.0, 0.0), -12.0),
    ("betainc", (0.5, 0.5, 1.0), 1.0, (0.0, 0.0, INF), None),
    ("betaincinv", (0.5, 0.5, 0.0), 0.0, (0.0, 0.0, 0.0), PI**2 / 2),
    ("betaincinv", (0.5, 0.5, 1.0), 1.0, (0.0, 0.0, 0.0), -(PI**2) / 2),
    ("betaincinv", (1.0, 1.0, 1.0), 1.0, (0.0, 0.0, 1.0), 0.0),
    ("log_ndtr", (INF,), 0.0, (0.0,), 0.0),
    ("log_ndtr", (-INF,), -INF, (INF,), -1.0),
    ("log_ndtr", (-1e10,), -5e19 - math.log(2 * PI) / 2 - math.log(1e10), (1e10,), -1.0),
    ("ndtr", (-INF,), 0.0, (0.0,), 0.0),
    ("ndtr", (INF,), 1.0, (0.0,), 0.0),
    ("ndtri", (0.0,), -INF, (INF,), -INF),
    ("ndtri", (1.0,), INF, (INF,), INF),
    ("ndtri_exp", (0.0,), INF, (INF,), INF),
    ("ndtri_exp", (-1e300,), -math.sqrt(2e300), (math.sqrt(0.5e-300),), None),
    ("bessel_ratio", (2.0, 0.0), 0.0, (0.0, 0.25), 0.0),
    ("bessel_ratio", (0.5, 1e-300), 1e-300, (-2e-300, 1.0), -2e-300),
    ("log_iv", (0.0, 0.0), 0.0, (None, 0.0), 0.5),
    ("log_ive", (0.0, 0.0), 0.0, (None, -1.0), 0.5),
    ("log_iv", (1.0, 0.0), -INF, (-INF, INF), -INF),
]
# function, arguments (shapes first), second derivatives of the limit row by row: aa, ax, xx or aa, ab, ax, bb, bx, xx
BENDS = [
    ("gammainc", (0.5, 0.0), (0.0, -INF, -INF)),
    ("gammainc", (1.0, 0.0), (0.0, -INF, -1.0)),
    ("gammainc", (1.5, 0.0), (0.0, 0.0, INF)),
    ("gammainc", (2.0, 0.0), (0.0, 0.0, 1.0)),
    ("gammainc", (30.0, 0.0), (0.0, 0.0, 0.0)),
    ("gammaincc", (0.5, 0.0), (0.0, INF, INF)),
    *((name, (a, INF), (0.0, 0.0, 0.0)) for name in ("gammainc", "gammaincc") for a in (0.5, 1.0, 30.0)),
    ("gammaincinv", (0.3, 0.0), (0.0, 0.0, 0.0)),
    ("gammaincinv", (0.5, 0.0), (0.0, 0.0, PI / 2)),
    ("gammaincinv", (0.8, 0.0), (0.0, 0.0, INF)),
    ("gammaincinv", (1.0, 0.0), (0.0, INF, 1.0)),
    ("gammaincinv", (2.0, 0.0), (0.0, INF, -INF)),
    ("gammaincinv", (1.0, 1.0), (-(PI**2) / 6, INF, INF)),
    ("gammainccinv", (2.0, 1.0), (0.0, -INF, -INF)),
    ("gammainccinv", (1.0, 0.0), (-(PI**2) / 6, -INF, INF)),
    ("gammainc", (1.0, 6e-16), (None, None, -1.0)),
    ("gammaincinv", (1.0, 6e-16), (None, None, 1.0)),
    ("gammainccinv", (1.0, 1 - 2**-50), (None, None, 1.0)),
    ("betainc", (0.5, 3.0, 0.0), (0, 0, -INF, 0, INF, -INF)),
    ("betainc", (1.0, 3.0, 0.0), (0, 0, -INF, 0, 1, -6)),
    ("betainc", (1.5, 3.0, 0.0), (0, 0, 0, 0, 0, INF)),
    ("betainc", (2.0, 3.0, 0.0), (0, 0, 0, 0, 0, 12)),
    ("betainc", (3.0, 3.0, 0.0), (0, 0, 0, 0, 0, 0)),
    ("betainc", (3.0, 0.5, 1.0), (0, 0, INF, 0, -INF, INF)),
    ("betainc", (3.0, 1.0, 1.0), (0, 0, 1, 0, -INF, 6)),
    ("betainc", (3.0, 1.5, 1.0), (0, 0, 0, 0, 0, -INF)),
    ("betainc", (3.0, 2.0, 1.0), (0, 0, 0, 0, 0, -12)),
    ("betaincinv", (0.3, 2.0, 0.0), (0, 0, 0, 0, 0, 0)),
    ("betaincinv", (0.5, 2.0, 0.0), (0, 0, 0, 0, 0, 8 / 9)),
    ("betaincinv", (0.7, 2.0, 0.0), (0, 0, 0, 0, 0, INF)),
    ("betaincinv", (1.0, 2.0, 0.0), (0, 0, INF, 0, -0.25, 0.25)),
    ("betaincinv", (2.0, 2.0, 0.0), (0, 0, INF, 0, -INF, -INF)),
    ("betaincinv", (2.0, 0.5, 1.0), (0, 0, 0, 0, 0, -8 / 9)),
    ("betaincinv", (2.0, 1.0, 1.0), (0, 0, -0.25, 0, INF, -0.25)),
    ("betaincinv", (2.0, 2.0, 1.0), (0, 0, -INF, 0, INF, INF)),
]
OUTSIDE = [
    *(
        (name, values)
        for name in ("gammainc", "gammaincc")
        for values in ((-1.0, 1.0), (0.0, 1.0), (1.0, -1.0))
    ),
    *(
        (name, values)
        for name in ("gammaincinv", "gammainccinv")
        for values in ((0.0, 0.5), (1.0, -0.1), (1.0, 1.1))
    ),
    *((name, values) for name in ("betainc", "betaincinv") for values in ((0.0, 1.0, 0.5), (1.0, -1.0, 0.5))),
    *((name, values) for name in ("betainc", "betaincinv") for values in ((1.0, 1.0, 1.1), (1.0, 1.0, -0.1))),
    *((name, (value,)) for name in ("ndtri", "ndtri_exp") for value in (1.1, math.nan)),
    *((name, (math.nan,)) for name in ("ndtr", "log_ndtr")),
    *((name, (1.0, value)) for name in ("bessel_ratio", "log_iv", "log_ive") for value in (-1.0, INF)),
    ("bessel_ratio", (0.4, 1.0)),
    ("log_iv", (-0.1, 1.0)),
]


def leaves(values):
    return [torch.tensor(v, dtype=F64, requires_grad=True) for v in values]


def same(ours, right):
    torch.testing.assert_close(ours.detach(), torch.tensor(right, dtype=F64), rtol=1e-14, atol=0)


@pytest.mark.parametrize(("name", "values", "value", "first", "second"), ENDS)
def test_ends(name, values, value, first, second):
    arguments = leaves(values)
    out = getattr(S, name)(*arguments)
    same(out, value)
    slopes = torch.autograd.grad(out, arguments, create_graph=True)
    for slope, right in zip(slopes, first):
        if right is not None:
            same(slope, right)
    if second is not None:
        same(torch.autograd.grad(slopes[-1], arguments[-1])[0], second)


def curves(function, arguments):
    """All second derivatives, row by row."""
    slopes = torch.autograd.grad(function(*arguments).sum(), arguments, create_graph=True)
    return [
        torch.autograd.grad(s.sum(), arguments, retain_graph=True, materialize_grads=True) for s in slopes
    ]


@pytest.mark.parametrize(("name", "values", "bends"), BENDS)
def test_second_derivatives_at_and_next_to_the_ends(name, values, bends):
    """In reverse mode; an end leaves its neighbours in a batch alone."""
    others = (3.0, 0.4) if len(values) == 2 else (3.0, 0.7, 0.4)
    pairs = [torch.tensor(pair, dtype=F64, requires_grad=True) for pair in zip(values, others)]
    found, alone = curves(getattr(S, name), pairs), curves(getattr(S, name), leaves(others))
    for (j, k), right in zip(combinations_with_replacement(range(len(values)), 2), bends):
        for curve, lone in ((found[j][k], alone[j][k]), (found[k][j], alone[k][j])):
            if right is not None:
                torch.testing.assert_close(curve[0].item(), float(right), rtol=2e-15, atol=0)
            torch.testing.assert_close(curve[1], lone, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("name", "values"), OUTSIDE)
def test_outside_the_domain_value_and_derivatives_are_nan(name, values):
    arguments = leaves(values)
    out = getattr(S, name)(*arguments)
    assert out.isnan()
    assert all(g.isnan() for g in torch.autograd.grad(out, arguments))
