"""Categorical and relaxed families: exact at the edges, equal to torch where torch is right, pathwise = autograd."""

import pytest
import torch
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import OneHotCategorical as TorchOneHot

import reparam as rp
from reparam import distributions as D

LOGITS = torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.5, -0.5]], dtype=torch.float64)
PROBS = torch.softmax(LOGITS, -1)
GIVEN = [{"logits": LOGITS}, {"probs": PROBS}]
T = torch.tensor(0.7, dtype=torch.float64)


@pytest.mark.parametrize("given", GIVEN, ids=["logits", "probs"])
@pytest.mark.parametrize(
    ("ours", "torchs"), [(D.Categorical, TorchCategorical), (D.OneHotCategorical, TorchOneHot)]
)
def test_log_prob_equals_torch(ours, torchs, given):
    q, p = ours(**given), torchs(**given)
    support = q.enumerate_support()
    torch.testing.assert_close(q.log_prob(support), p.log_prob(support), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(q.log_prob(support).exp().sum(0), torch.ones(2, dtype=torch.float64))
    assert type(D.convert(p)) is ours
    assert D.convert(p).parameters().keys() == given.keys()


@pytest.mark.parametrize("family", [D.Categorical, D.OneHotCategorical])
def test_probability_zero_is_exact(family):
    q = family(probs=torch.tensor([0.5, 0.0, 0.5]))
    zero = q.enumerate_support()[1]
    assert q.log_prob(zero) == -torch.inf
    assert not (q.sample((4000,), noise=rp.Noise(0)) == zero).reshape(4000, -1).all(-1).any()


def test_categorical_law_chi_square():
    """n = 40,000, 3 cells: sees a probability wrong by .013; the bound 34.5 has false alarm 3.2e-8."""
    q = D.Categorical(logits=LOGITS)
    counts = torch.stack([(q.sample((40_000,), noise=rp.Noise(1)) == k).sum(0) for k in range(3)], -1)
    expected = 40_000 * PROBS
    assert ((counts - expected) ** 2 / expected).sum(-1).max() < 34.5


def test_one_noise_one_choice():
    index = D.Categorical(logits=LOGITS).sample((5,), noise=rp.Noise(2))
    unit = D.OneHotCategorical(logits=LOGITS).sample((5,), noise=rp.Noise(2))
    assert torch.equal(unit.argmax(-1), index)
    assert index.dtype == torch.int64


def test_detach_keeps_what_was_given():
    for q in (TorchBernoulli(probs=PROBS), TorchCategorical(probs=PROBS), TorchOneHot(probs=PROBS)):
        twin = rp.detach(D.convert(q))
        assert set(twin.parameters()) == {"probs"}


def test_expand_and_independent():
    q = D.Independent(D.OneHotCategorical(probs=PROBS), 1)
    z = q.sample((4,), noise=rp.Noise(0))
    assert z.shape == (4, 2, 3)
    assert q.log_prob(z).shape == (4,)
    grown = D.Categorical(probs=PROBS).expand((5, 2))
    assert grown.sample(noise=rp.Noise(0)).shape == (5, 2)
    assert D.RelaxedBernoulli(T, logits=PROBS).expand((4, 2, 3)).rsample(noise=rp.Noise(0)).shape == (4, 2, 3)


RELAXED = [
    lambda t, p: D.RelaxedBernoulli(t, logits=p),
    lambda t, p: D.RelaxedBernoulli(t, probs=torch.sigmoid(p)),
    lambda t, p: D.RelaxedOneHotCategorical(t, logits=p),
    lambda t, p: D.RelaxedOneHotCategorical(t, probs=torch.softmax(p, -1)),
]


@pytest.mark.parametrize("make", RELAXED)
def test_relaxed_log_prob_equals_torch(make):
    q = make(T, LOGITS)
    z = q.rsample((4,), noise=rp.Noise(3))
    torchs = getattr(torch.distributions, type(q).__name__)(T, **q.parameters())
    torch.testing.assert_close(q.log_prob(z), torchs.log_prob(z), rtol=1e-11, atol=1e-11)
    assert type(D.convert(torchs)) is type(q)


@pytest.mark.parametrize("make", RELAXED)
def test_relaxed_pathwise_equals_autograd(make):
    q = make(T, LOGITS)
    ((name, value),) = q.parameters().items()
    eps = rp.Noise(4).draw(q.noise_spec((2,)))
    z = q.push(eps)
    tangent = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64).expand(2, 3)
    if z.ndim == 3 and "OneHot" in type(q).__name__ and name == "probs":
        tangent = tangent - tangent.mean(-1, keepdim=True)
    h = 1e-6
    nudged = [type(q)(T, **{name: value + s * h * tangent}).push(eps) for s in (1, -1)]
    exact = q.pathwise(z)
    slope = (
        exact[name] * tangent
        if z.shape == exact[name].shape
        else (exact[name] @ tangent.unsqueeze(-1))[..., 0]
    )
    torch.testing.assert_close((nudged[0] - nudged[1]) / (2 * h), slope, rtol=1e-7, atol=1e-8)
    warmer = [type(q)(T + s * h, **q.parameters()).push(eps) for s in (1, -1)]
    torch.testing.assert_close((warmer[0] - warmer[1]) / (2 * h), exact["temperature"], rtol=1e-7, atol=1e-8)


def test_relaxed_bernoulli_cdf_is_the_integral_of_the_density():
    q = D.RelaxedBernoulli(T, logits=torch.tensor(0.4, dtype=torch.float64))
    x = torch.linspace(0.2, 0.8, 20_001, dtype=torch.float64)
    mass = torch.trapezoid(q.log_prob(x).exp(), x)
    torch.testing.assert_close(q.cdf(x[-1]) - q.cdf(x[0]), mass, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(q.icdf(q.cdf(x[1:-1])), x[1:-1], rtol=1e-12, atol=1e-12)
