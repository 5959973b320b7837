"""Draws that round to an end of the support, and closed forms of single families against scipy or by hand."""

import warnings

import mpmath as mp
import pytest
import scipy.stats
import torch

import reparam as rp
from reparam import distributions as D

F64 = torch.float64
NOISE = rp.Noise(0).child("ends")
AT_ENDS = {
    "Gamma": ({"concentration": 1e-3, "rate": 1.0}, (0.0,)),
    "Chi2": ({"df": 1e-3}, (0.0,)),
    "InverseGamma": ({"concentration": 1e-3, "rate": 1.0}, (0.0,)),
    "Beta": ({"concentration1": 1e-3, "concentration0": 1e-3}, (0.0, 1.0)),
    "FisherSnedecor": ({"df1": 1e-2, "df2": 1e-2}, (0.0,)),
    "LogNormal": ({"loc": -5.0, "scale": 400.0}, (0.0,)),
    "Weibull": ({"scale": 1.0, "concentration": 1e-3}, (0.0,)),
    "Kumaraswamy": ({"concentration1": 1e-3, "concentration0": 1e-3}, (0.0, 1.0)),
}


@pytest.mark.parametrize("dtype", [F64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", AT_ENDS)
def test_pathwise_derivatives_at_an_end_are_their_limit_zero(name, dtype):
    params, ends = AT_ENDS[name]
    q = getattr(D, name)(**{key: torch.tensor(value, dtype=dtype) for key, value in params.items()})
    for slope in q.pathwise(torch.tensor(ends, dtype=dtype)).values():
        assert (slope == 0).all()


@pytest.mark.parametrize("dtype", [F64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["Gamma", "Chi2", "Beta", "Kumaraswamy"])
def test_derivatives_of_draws_that_round_to_an_end(name, dtype):
    """They are those of the unrounded draw: numbers, and next to nothing at 0."""
    params, ends = AT_ENDS[name]
    leaves = {key: torch.tensor(value, dtype=dtype, requires_grad=True) for key, value in params.items()}
    z = getattr(D, name)(**leaves).rsample((2000,), noise=NOISE)
    assert (z == ends[0]).any()
    for slope in torch.autograd.grad(z[z == ends[0]].sum(), leaves.values(), retain_graph=True):
        assert slope.abs() < 1e-30
    for slope in torch.autograd.grad(z.sum(), leaves.values()):
        assert torch.isfinite(slope)


def test_entropy_of_f_variables():
    a, b = torch.tensor([3.0, 0.5, 40.0], dtype=F64), torch.tensor([5.0, 1.0, 700.0], dtype=F64)
    right = torch.tensor([float(scipy.stats.f(x, y).entropy()) for x, y in zip(a, b)], dtype=F64)
    torch.testing.assert_close(D.FisherSnedecor(a, b).entropy(), right, rtol=1e-7, atol=1e-7)


def test_modes_maximise_the_density():
    """A mode inside the support has no slope; one at an end has the larger density."""
    q = D.ExpGamma(torch.tensor([0.3, 20.0], dtype=F64), torch.tensor([2.0, 0.1], dtype=F64))
    x = q.mode.clone().requires_grad_()
    (slope,) = torch.autograd.grad(q.log_prob(x).sum(), x)
    assert (slope.abs() < 1e-13).all()
    q = D.ContinuousBernoulli(logits=torch.tensor([0.3, -2.0], dtype=F64))
    assert q.mode.tolist() == [1.0, 0.0]
    assert (q.log_prob(q.mode) > q.log_prob(1 - q.mode)).all()
    assert D.ContinuousBernoulli(logits=torch.tensor(0.0)).mode.isnan()


def test_overflowing_draws_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dtype in (torch.float32, F64):
            for name, count in (("StudentT", 1), ("FisherSnedecor", 2)):
                leaves = [torch.tensor(1e-2, dtype=dtype, requires_grad=True) for _ in range(count)]
                z = getattr(D, name)(*leaves).rsample((20_000,), noise=rp.Noise(5))
                assert torch.isinf(z).any()
                assert not z.isnan().any()


def test_log_forms_where_draws_overflow():
    """The logarithm of the draw where that is a number, and a number with derivatives where it is not."""
    eps = 2 * NOISE.normal((500,), dtype=F64)
    for q, log, df in (
        (D.FisherSnedecor(t(0.5), t(3.0)), "log_push", 1e-2),
        (D.StudentT(t(0.5)), "log_magnitude", 1e-2),
    ):
        torch.testing.assert_close(getattr(q, log)(eps), q.push(eps).abs().log(), rtol=1e-11, atol=1e-12)
        small = [torch.tensor(df, dtype=F64, requires_grad=True) for _ in q.parameters() if _[:2] == "df"]
        wild = type(q)(*small)
        value = getattr(wild, log)(eps)
        assert torch.isinf(wild.push(eps)).any()
        assert torch.isfinite(value).all()
        assert all(torch.isfinite(g) for g in torch.autograd.grad(value.sum(), small))


def t(value):
    return torch.tensor(value, dtype=F64)


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9, 1e-12, 2.0**-52, 2.0**-53])
@pytest.mark.parametrize(("a", "b"), [(0.127319, 0.101183), (0.3, 0.3), (0.05, 2.0), (4.0, 3.0)])
def test_kumaraswamy_next_to_one(a, b, gap):
    """dz/db = x^(1 - a) w log w/(a b), w = 1 - x^a, in 40 digits."""
    x = t(1.0) - gap
    with mp.workdps(40):
        a_, b_, x_ = mp.mpf(a), mp.mpf(b), mp.mpf(float(x))
        w = 1 - x_**a_
        right = float(x_ ** (1 - a_) * w * mp.log(w) / (a_ * b_))
    slope = D.Kumaraswamy(t(a), t(b)).pathwise(x)["concentration0"]
    assert abs(float(slope) - right) <= 1e-13 * abs(right)


def test_distribution_functions_keep_the_digits_of_their_derivatives_in_the_upper_tail():
    """dF/dtheta = -dS/dtheta, whose digits the rounding of F to 1 must not take."""
    for family, values, x in (
        (D.Exponential, (1.0,), 40.0),
        (D.Weibull, (1.0, 1.0), 40.0),
        (D.Pareto, (1.0, 2.0), 4.85e8),
        (D.GeneralizedPareto, (0.0, 1.0, 0.5), 1e9),
        (D.Kumaraswamy, (1.0, 2.0), 1 - 2.06e-9),
        (D.Kumaraswamy, (0.05, 2.0), 1 - 1e-6),
        (D.HalfNormal, (1.0,), 9.0),
        (D.HalfCauchy, (1.0,), 1e9),
        (D.Gumbel, (0.0, 1.0), 40.0),
        (D.Logistic, (0.0, 1.0), 40.0),
        (D.Laplace, (0.0, 1.0), 40.0),
        (D.Cauchy, (0.0, 1.0), 1e9),
        (D.LogNormal, (0.0, 1.0), 1e4),
        (D.TruncatedNormal, (0.0, 1.0, -1.0, 9.0), 8.5),
        (D.Gamma, (2.5, 1.0), 50.0),
        (D.ContinuousBernoulli, (None, 30.0), 0.5),
    ):
        leaves = [None if v is None else torch.tensor(v, dtype=F64, requires_grad=True) for v in values]
        q, point = family(*leaves), t(x).requires_grad_()
        over = [leaf for leaf in leaves if leaf is not None] + [point]
        rise = torch.autograd.grad(q.cdf(point), over)
        fall = torch.autograd.grad(q.survival(point), over)
        for up, down in zip(rise, fall):
            torch.testing.assert_close(up, -down, rtol=1e-11, atol=0.0, msg=family.__name__)
