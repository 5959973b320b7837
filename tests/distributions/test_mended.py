"""Regressions of relaxed laws, truncated laws without mass, and vector transforms."""

import math

import pytest
import torch
from torch.distributions import transforms as T

import reparam as rp
from reparam import distributions as D

NOISE = rp.Noise(7)
F64 = torch.float64


@pytest.mark.parametrize("dtype", [F64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("t", [0.02, 0.1, 0.5])
def test_relaxed_bernoulli_accepts_its_own_draws(dtype, t):
    logits = torch.tensor(1.0, dtype=dtype, requires_grad=True)
    q = D.RelaxedBernoulli(torch.tensor(t, dtype=dtype), logits=logits)
    z = q.rsample((5_000,), noise=NOISE)
    log_prob = q.log_prob(z)
    assert log_prob.dtype == dtype
    assert torch.isfinite(log_prob).all()
    (slope,) = torch.autograd.grad(log_prob.float().sum(), logits)
    assert torch.isfinite(slope)
    assert all(torch.isfinite(v).all() for v in q.pathwise(z.detach()).values())


def test_relaxed_bernoulli_at_an_end_is_the_float_next_to_it():
    """Inside nothing is moved: log t + d - 2 log(1 + e^d) - log x(1 - x), d = logits - t logit(x)."""
    q = D.RelaxedBernoulli(torch.tensor(0.5, dtype=F64), logits=torch.tensor(1.0, dtype=F64))
    x = torch.tensor([1e-300, 0.3, 1 - 2.0**-53], dtype=F64)
    d = 1 - 0.5 * (x.log() - torch.log1p(-x))
    right = torch.tensor(0.5, dtype=F64).log() + d - 2 * torch.log1p(d.exp()) - x.log() - torch.log1p(-x)
    torch.testing.assert_close(q.log_prob(x), right, rtol=1e-13, atol=0)
    assert q.log_prob(torch.ones((), dtype=F64)) == q.log_prob(x[2])


@pytest.mark.parametrize("t", [0.02, 0.1])
def test_relaxed_one_hot_accepts_its_own_draws(t):
    logits = torch.tensor([1.0, 0.0, 2.0], requires_grad=True)
    q = D.RelaxedOneHotCategorical(torch.tensor(t), logits=logits)
    z = q.rsample((5_000,), noise=NOISE)
    assert (z == 0).any()
    log_prob = q.log_prob(z)
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(torch.autograd.grad(log_prob.sum(), logits)[0]).all()
    assert all(torch.isfinite(v).all() for v in q.pathwise(z.detach()).values())


@pytest.mark.parametrize("family", [D.RelaxedBernoulli, D.RelaxedOneHotCategorical])
def test_temperatures_are_positive(family):
    for t in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=f"{family.__name__}: temperature must be > 0"):
            family(torch.tensor(t), logits=torch.zeros(2))


def test_relaxed_draws_are_the_same_numbers_whatever_needs_a_gradient():
    logits, t = (
        torch.linspace(-1, 1, 21).reshape(7, 3).requires_grad_(),
        torch.tensor(0.5, requires_grad=True),
    )
    q = D.RelaxedOneHotCategorical(t, logits=logits)
    z = q.rsample((50,), noise=NOISE)
    assert torch.equal(z, q.sample((50,), noise=NOISE))
    eps = NOISE.draw(q.noise_spec((50,)))
    plain = torch.softmax((logits.log_softmax(-1) + eps) / t, -1)
    weight = torch.linspace(-1, 1, z.numel()).reshape(z.shape)
    ours, right = (torch.autograd.grad((weight * x).sum(), (t, logits)) for x in (z, plain))
    for a, b in zip(ours, right):
        torch.testing.assert_close(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("low", "high"), [(-2.0, -1.0), (-1.0, 0.0), (1e6, 1e7)])
def test_truncation_to_no_mass_is_refused(low, high):
    with pytest.raises(ValueError, match="Truncated: base must have probability between low and high"):
        D.Truncated(D.Gamma(1.0, 1.0), low, high)
    assert D.Truncated(D.Gamma(1.0, 1.0), -1.0, 1e-3).sample(noise=NOISE).isfinite()


VECTOR = [
    T.StickBreakingTransform(),
    T.IndependentTransform(T.ExpTransform(), 1),
    T.AffineTransform(0.0, 2.0, event_dim=1),
    T.ReshapeTransform((6,), (2, 3)),
    T.CorrCholeskyTransform(),
]


@pytest.mark.parametrize("transform", VECTOR, ids=lambda t: type(t).__name__)
def test_transforms_of_vectors_on_a_batch(transform):
    loc = torch.linspace(-1, 1, 12, dtype=F64).reshape(2, 6).requires_grad_()
    theirs = torch.distributions.TransformedDistribution(torch.distributions.Normal(loc, 0.5), transform)
    for q in (D.TransformedDistribution(D.Normal(loc, 0.5), transform), D.convert(theirs)):
        assert q.rule == "explicit"
        z = q.rsample((3,), noise=NOISE)
        assert torch.equal(z, q.sample((3,), noise=NOISE))
        assert torch.autograd.grad(z.sum(), loc)[0].isfinite().all()
        torch.testing.assert_close(q.log_prob(z), theirs.log_prob(z), rtol=1e-12, atol=1e-12)
        assert q.expand((4, 2)).sample(noise=NOISE).shape == (4, *z.shape[1:])


def test_straight_through_one_hots_convert_to_their_law():
    logits = torch.tensor([0.0, 1.0], requires_grad=True)
    q = D.convert(torch.distributions.OneHotCategoricalStraightThrough(logits=logits))
    assert type(q) is D.OneHotCategorical
    assert q.log_prob(torch.tensor([0.0, 1.0])).requires_grad


@pytest.mark.parametrize("size", [25.0, 200.0, 800.0])
def test_large_logits_keep_their_digits(size):
    """P(0) = 1/(1 + e^l) of Geometric at l = -size, and both signs of a RelaxedBernoulli draw at its own middle.

    -log(1 - p) = log(1 + e^-size) is e^-size up to e^-2 size/2; softplus with a threshold would say 0 or lose it.
    """
    logits = torch.tensor([-size, size], dtype=F64, requires_grad=True)
    q = D.Geometric(logits=logits)
    k = torch.tensor([3.0, 2.0], dtype=F64)
    value = q.log_prob(k)
    tiny = math.exp(-size)
    right = torch.tensor([-size - 4 * tiny, -2 * size - 3 * tiny], dtype=F64)
    torch.testing.assert_close(value, right, rtol=1e-14, atol=0)
    (slope,) = torch.autograd.grad(value.sum(), logits)
    torch.testing.assert_close(slope, torch.tensor([1.0, -2.0], dtype=F64), rtol=1e-9, atol=0)
    relaxed = D.RelaxedBernoulli(torch.tensor(1.0, dtype=F64), logits=logits)
    x = torch.tensor([0.5, 0.5], dtype=F64)
    given = relaxed.log_prob(x)
    torch.testing.assert_close(
        given, torch.full((2,), -size - 2 * tiny, dtype=F64) + math.log(4), rtol=1e-14, atol=0
    )
    (slope,) = torch.autograd.grad(given.sum(), logits)
    torch.testing.assert_close(slope, torch.tensor([1.0, -1.0], dtype=F64), rtol=1e-9, atol=0)


def test_small_failure_rates_of_geometric():
    """cdf(0) = p = 1/(1 + e^size), beyond softplus's threshold of 20, to its last digits."""
    q = D.Geometric(logits=torch.tensor([-21.0, -40.0, -300.0], dtype=F64))
    right = torch.exp(torch.tensor([-21.0, -40.0, -300.0], dtype=F64))
    torch.testing.assert_close(q.cdf(torch.zeros(3, dtype=F64)), right / (1 + right), rtol=1e-14, atol=0)
