"""Probabilities of short intervals: integrals of the density where they are, differences where they are not."""

import mpmath as mp
import pytest
import torch

from reparam import distributions as D
from reparam.distributions.between import between

F64 = torch.float64


def t(*values):
    return torch.tensor(values, dtype=F64)


@pytest.mark.parametrize("width", [1e-12, 1e-7, 1e-3, 0.3, 2.0])
@pytest.mark.parametrize("start", [-7.0, 0.1, 5.0])
def test_short_intervals_keep_their_digits(start, width):
    """Against 40 digits at the very floats; the worst is the rounding of Phi, some ulp of its argument squared."""
    end = start + width
    with mp.workdps(40):
        right = mp.quad(mp.npdf, [mp.mpf(start), mp.mpf(end)])
    ours = between(D.Normal(t(0.0), t(1.0)), t(start), t(end))
    assert abs(ours.item() / float(right) - 1) < 2e-14


def test_a_kink_or_a_pole_inside_is_left_to_the_difference():
    q = D.Laplace(t(0.0), t(1.0))
    for low, high in ((-1e-3, 2e-3), (-0.2, 0.1)):
        right = -mp.expm1(-mp.mpf(high)) / 2 - mp.expm1(mp.mpf(low)) / 2
        assert abs(between(q, t(low), t(high)).item() - float(right)) < 2e-16
    tiny = D.Gamma(t(0.3), t(1.0))
    torch.testing.assert_close(between(tiny, t(0.0), t(1e-9)), tiny.cdf(t(1e-9)), rtol=0, atol=0)
    torch.testing.assert_close(between(tiny, t(-3.0), t(1e-9)), tiny.cdf(t(1e-9)), rtol=0, atol=0)


def test_empty_and_infinite_intervals():
    q = D.Normal(t(0.0), t(1.0))
    infinite = t(float("inf"))
    assert between(q, t(1.0), t(1.0)).item() == between(q, t(2.0), t(1.0)).item() == 0
    assert between(q, -infinite, infinite).item() == 1
    low, high = t(0.5).requires_grad_(), t(0.6).requires_grad_()
    slopes = torch.autograd.grad(between(q, low, high).sum(), (low, high))
    torch.testing.assert_close(slopes[1], q.log_prob(high).exp().detach(), rtol=1e-14, atol=0)
    torch.testing.assert_close(-slopes[0], q.log_prob(low).exp().detach(), rtol=1e-14, atol=0)


@pytest.mark.parametrize("shape", [(0.3, 0.5), (0.5, 0.3)])
def test_the_density_of_a_beta_law_has_no_step_at_a_logit_of_twenty(shape):
    """torch's softplus is the identity beyond 20: log x was 2e-9 off there."""
    a, b = (mp.mpf(v) for v in shape)
    q = D.Beta(t(shape[0]), t(shape[1]))
    for x in (1.9e-9, 2.1e-9, 2.8e-10, 1e-15):
        right = (a - 1) * mp.log(x) + (b - 1) * mp.log1p(-mp.mpf(x)) - mp.log(mp.beta(a, b))
        assert abs(q.log_prob(t(x)).item() / float(right) - 1) < 1e-14
