"""Samples as quantiles of a normal eps."""

import torch

from reparam.transforms import implicit

F64 = torch.float64


def test_small_concentrations_do_not_underflow():
    y = implicit.log_gamma_quantile(torch.tensor(1e-3, dtype=F64), torch.tensor([-3.0, 0.0, 3.0], dtype=F64))
    assert y.isfinite().all()
    assert y[0] < -6000


def test_beta_keeps_both_logarithms():
    a = torch.tensor(1e-2, dtype=F64)
    x, log_x, log_1mx = implicit.beta_quantile(a, a, torch.tensor([-2.0, 2.0], dtype=F64))
    assert torch.allclose(log_x.flip(0), log_1mx, rtol=1e-12)
    assert log_1mx[1] < -200
    assert (x >= 0).all()


def test_gradient_of_the_mean_is_the_derivative_of_the_mean():
    """E z = alpha for a standard Gamma: the average of dz/dalpha over 4000 strata is 1 to 1e-3 (their spread)."""
    u = (torch.arange(4000, dtype=F64) + 0.5) / 4000
    alpha = torch.tensor(1.7, dtype=F64, requires_grad=True)
    z = implicit.log_gamma_quantile(alpha, torch.special.ndtri(u)).exp()
    (slope,) = torch.autograd.grad(z.mean(), alpha)
    assert abs(float(slope) - 1.0) < 1e-3


def test_monotone_in_eps():
    eps = torch.linspace(-8, 8, 400, dtype=F64)
    two = torch.tensor(2.0, dtype=F64)
    for y in (
        implicit.log_gamma_quantile(two, eps),
        implicit.logit_beta_quantile(two, 0.3 * two, eps),
        implicit.student_quantile(two, eps),
        implicit.vonmises_quantile(two, eps),
    ):
        assert (y.diff() > 0).all()
