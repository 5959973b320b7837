"""Noise schemes under every estimator: unbiased and of lower variance where allowed, refused where not."""

import pytest
import torch

import reparam as rp
from estimators.cases import BERNOULLI, F64, ONEHOT, Surrogate
from reparam import distributions as D
from reparam import estimators as E

KINDS = ["antithetic", "stratified", "sobol"]
N, SAMPLES = 2_500, 4  # independent estimates, and tied draws in each
POINT = torch.tensor([0.3, -0.2], dtype=F64)


def gaussian_f(z):
    return torch.exp(0.3 * z[..., 0]) + (z[..., 1] - 0.5) ** 2


def gaussian_gradients(estimator, noise):
    """Return gradients (N, 2) in the means of two unit normals."""
    leaf = POINT.expand(N, 2).clone().requires_grad_()
    q = D.Independent(D.Normal(leaf, torch.ones((), dtype=F64)), 1)
    rp.expect(gaussian_f, q, samples=SAMPLES, noise=noise, estimator=estimator).sum().backward()
    return leaf.grad


def gaussian_exact():
    return torch.stack([0.3 * torch.exp(0.3 * POINT[0] + 0.045), 2 * (POINT[1] - 0.5)])


def discrete(family):
    def gradients(estimator, noise):
        leaf = family.logits.expand(N, -1).clone().requires_grad_()
        rp.expect(
            family.f, family.make(leaf), samples=SAMPLES, noise=noise, estimator=estimator
        ).sum().backward()
        return leaf.grad

    def exact():
        logits = family.logits.clone().requires_grad_()
        return torch.autograd.grad(family.exact(logits), logits)[0]

    return gradients, exact


GAUSSIAN, BINARY, CHOICE = (gaussian_gradients, gaussian_exact), discrete(BERNOULLI), discrete(ONEHOT)
# estimator, law, the greatest variance of its gradient relative to plain noise under each of KINDS
ALLOWED = [
    (E.Pathwise(), GAUSSIAN, (0.01, 0.2, 0.55)),
    (E.ScoreFunction(1.5), GAUSSIAN, (0.6, 0.83, 0.98)),
    (E.ScoreFunction("constant"), GAUSSIAN, (0.72, 0.92, 0.98)),
    (E.MeasureValued(), GAUSSIAN, (0.1, 0.2, 0.5)),
    (E.ControlVariate(), GAUSSIAN, (0.01, 0.2, 0.55)),
    (E.ControlVariate(E.ScoreFunction()), GAUSSIAN, (0.01, 0.6, 0.95)),
    (E.ScoreFunction(3.0), BINARY, (0.99, 0.92, 0.95)),
    (E.ScoreFunction(3.0), CHOICE, (0.98, 0.76, 0.87)),
    (E.MeasureValued(), BINARY, (0.6, 0.3, 0.3)),
    (E.RaoBlackwell(1), BINARY, (0.65, 0.6, 0.85)),
    (E.RaoBlackwell(1), CHOICE, (0.7, 0.6, 0.85)),
    (E.WithoutReplacement(2), BINARY, (0.77, 0.72, 0.86)),
    (E.RELAX(Surrogate()), BINARY, (0.65, 0.36, 0.36)),
    (E.RELAX(Surrogate()), CHOICE, (0.7, 0.6, 0.8)),
    (E.StraightThrough(), BINARY, (0.9, 0.6, 0.62)),
    (E.GumbelSoftmax(), CHOICE, (0.82, 0.8, 0.93)),
    (E.GumbelSoftmax(hard=True), BINARY, (0.82, 0.8, 0.8)),
    (E.GumbelRao(2), BINARY, (0.6, 0.45, 0.55)),
    (E.ReinMax(), BINARY, (0.83, 0.5, 0.52)),
]


def names(x):
    return type(x).__name__ if hasattr(x, "plain_value") else ""


@pytest.mark.parametrize(("estimator", "law", "ratios"), ALLOWED, ids=names)
def test_same_mean_and_lower_variance(estimator, law, ratios):
    """2,500 estimates each: |z| < 5.5 (4e-8 per number) against the exact gradient, or the plain mean if biased."""
    gradients, exact = law
    plain = gradients(estimator, rp.Noise(5))
    for kind, ratio in zip(KINDS, ratios):
        noise = getattr(rp.Noise(6), kind)()
        tied = gradients(estimator, noise)
        want, extra = (exact(), 0) if estimator.unbiased else (plain.mean(0), plain.var(0))
        error = ((tied.var(0) + extra) / N).sqrt() + 1e-12
        assert ((tied.mean(0) - want).abs() < 5.5 * error).all(), kind
        assert tied.var(0).sum() < ratio * plain.var(0).sum(), kind


REFUSED = [
    E.LeaveOneOut(),
    E.ARM(),
    E.DisARM(),
    E.ARMS(),
    E.REBAR(),
    E.RELAX(),
    E.ControlVariate(E.LeaveOneOut()),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("estimator", REFUSED, ids=names)
def test_what_needs_independent_samples_refuses(estimator, kind):
    with pytest.raises(ValueError, match="independent of each other"):
        BINARY[0](estimator, getattr(rp.Noise(0), kind)())


def test_one_sample_and_programs():
    """One sample is tied to nothing; a program refuses a leave-one-out site and takes a score function."""
    q = D.Bernoulli(logits=torch.zeros(3))
    assert rp.expect(lambda b: b, q, noise=rp.Noise(0).sobol(), estimator=E.REBAR()).shape == (3,)
    with pytest.raises(ValueError, match="independent of each other"):
        rp.program(lambda site: site("b", q), samples=2, noise=rp.Noise(0).antithetic())
    value = rp.program(
        lambda site: site("b", q, estimator=E.ScoreFunction()), samples=2, noise=rp.Noise(0).antithetic()
    )
    assert value.shape == (3,)
