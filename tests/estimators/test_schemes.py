"""Noise schemes under every estimator: unbiased, with the exact variance of tied samples, or refused."""

import pytest
import torch

import reparam as rp
from estimators.cases import BERNOULLI, F64, ONEHOT, Scripted, Surrogate
from estimators.scheme_variances import normal_axis, pairs_have_the_relations, uniform_axis, variances
from reparam import distributions as D
from reparam import estimators as E
from reparam.noise import NoiseSpec

KINDS = ["antithetic", "stratified", "sobol"]
N, SAMPLES = 5_000, 4  # independent estimates, and tied draws in each
POINT = torch.tensor([0.3, -0.2], dtype=F64)
JUMPS = [0.3, 0.6]  # of the draws of BERNOULLI, in the uniforms of their noise


def gaussian_f(z):
    return torch.exp(0.3 * z[..., 0]) + (z[..., 1] - 0.5) ** 2


def gaussian_gradients(estimator, noise, n=N, samples=SAMPLES):
    """Return gradients (n, 2) in the means of two unit normals."""
    leaf = POINT.expand(n, 2).clone().requires_grad_()
    q = D.Independent(D.Normal(leaf, torch.ones((), dtype=F64)), 1)
    rp.expect(gaussian_f, q, samples=samples, noise=noise, estimator=estimator).sum().backward()
    return leaf.grad


def gaussian_exact():
    return torch.stack([0.3 * torch.exp(0.3 * POINT[0] + 0.045), 2 * (POINT[1] - 0.5)])


def discrete(family):
    def gradients(estimator, noise, n=N, samples=SAMPLES):
        leaf = family.logits.expand(n, -1).clone().requires_grad_()
        rp.expect(
            family.f, family.make(leaf), samples=samples, noise=noise, estimator=estimator
        ).sum().backward()
        return leaf.grad

    def exact():
        logits = family.logits.clone().requires_grad_()
        return torch.autograd.grad(family.exact(logits), logits)[0]

    return gradients, exact


GAUSSIAN, BINARY, CHOICE = (gaussian_gradients, gaussian_exact), discrete(BERNOULLI), discrete(ONEHOT)


def plain_numbers(x):
    """The only draw, one number for each coordinate."""
    return {"": x}


def logistic_pair(x):
    """The draw and the one given it, two numbers each."""
    return {"": torch.logit(x[..., :2]), "given": torch.logit(x[..., 2:])}


def gumbel(x):
    """Gumbel numbers at normal ones of the same rank."""
    return {"": -torch.log(-torch.special.log_ndtr(x))}


def rayleigh(x):
    """The means' draws of MeasureValued; those of the scales do not matter, nor z, f being a sum over sites."""
    other = {name: torch.zeros_like(x) for name in ("", "first", "second", "third", "uniform", "sign")}
    return {**other, "rayleigh": -torch.special.log_ndtr(-x)}


# how a point of the rule becomes noise, the rule of a coordinate, and the number of coordinates of each draw
SMOOTH = (plain_numbers, normal_axis(16), [2])
MEASURE = (rayleigh, normal_axis(24), [2])
SITES = (lambda x: {"": torch.logit(x)}, uniform_axis(10, JUMPS), [2])
RELAXED = (logistic_pair, uniform_axis(4, JUMPS), [2, 2])
THREE = (gumbel, normal_axis(12), [3])
ALLOWED = [  # estimator, law, its noise where the exact variance is computed
    (E.Pathwise(), GAUSSIAN, SMOOTH),
    (E.ScoreFunction(1.5), GAUSSIAN, SMOOTH),
    (E.ScoreFunction("constant"), GAUSSIAN, None),
    (E.MeasureValued(), GAUSSIAN, MEASURE),
    (E.ControlVariate(), GAUSSIAN, SMOOTH),
    (E.ControlVariate(E.ScoreFunction()), GAUSSIAN, SMOOTH),
    (E.ScoreFunction(3.0), BINARY, SITES),
    (E.ScoreFunction(3.0), CHOICE, None),
    (E.MeasureValued(), BINARY, SITES),
    (E.RaoBlackwell(1), BINARY, None),
    (E.RaoBlackwell(1), CHOICE, None),
    (E.WithoutReplacement(2), BINARY, None),
    (E.RELAX(Surrogate()), BINARY, RELAXED),
    (E.RELAX(Surrogate()), CHOICE, None),
    (E.StraightThrough(), BINARY, SITES),
    (E.GumbelSoftmax(), CHOICE, THREE),
    (E.GumbelSoftmax(hard=True), BINARY, SITES),
    (E.GumbelRao(2), BINARY, None),
    (E.ReinMax(), BINARY, SITES),
]


def names(x):
    return type(x).__name__ if hasattr(x, "plain_value") else ""


def spread(g):
    """Return the variances of gradients (N, P) and their standard errors, by the fourth moments."""
    square = (g - g.mean(0)) ** 2
    return square.sum(0) / (len(g) - 1), square.std(0) / len(g) ** 0.5


@pytest.mark.parametrize(("estimator", "law", "noise_of"), ALLOWED, ids=names)
def test_mean_and_variance(estimator, law, noise_of):
    """5,000 estimates each, |z| < 5.5 (4e-8 per number).

    The mean against the exact gradient, or the plain mean if biased; the variance under plain noise and each scheme
    against the exact one, where there is one, or else not above that of plain noise.
    """
    gradients, exact = law
    rows = torch.arange(N)
    plain = gradients(estimator, rp.Noise(5).rows(rows))
    found = {"plain": plain}
    for kind in KINDS:
        tied = found[kind] = gradients(estimator, getattr(rp.Noise(6), kind)().rows(rows))
        want, extra = (exact(), 0) if estimator.unbiased else (plain.mean(0), plain.var(0))
        error = ((tied.var(0) + extra) / N).sqrt() + 1e-12
        assert ((tied.mean(0) - want).abs() < 5.5 * error).all(), kind
    measured = {kind: spread(g) for kind, g in found.items()}
    if noise_of is None:
        for kind in KINDS:
            (v, e), (v0, e0) = measured[kind], measured["plain"]
            assert (v - v0 < 5.5 * (e**2 + e0**2).sqrt()).all(), kind
        return
    numbers, axis, draws = noise_of

    def single(points):
        script = Scripted(0, numbers=numbers(points.unsqueeze(0)))
        return gradients(estimator, script, len(points), 1)

    right = variances(single, axis, draws)
    for kind, (v, e) in measured.items():
        assert ((v - right[kind]).abs() < 5.5 * e + 1e-9 * right["plain"]).all(), kind


def test_pairs_of_sobol_points_are_related_as_assumed():
    assert pairs_have_the_relations(rp.Noise(0).sobol().rows(torch.arange(500)).draw(spec(3)))
    assert not pairs_have_the_relations(rp.Noise(0).rows(torch.arange(500)).draw(spec(3)))


def spec(dimensions):
    return NoiseSpec("uniform", (SAMPLES, 500, dimensions), 1, F64, torch.device("cpu"))


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
    for estimator, text in ((None, "noise must be plain"), (E.LeaveOneOut(), "independent of each other")):
        with pytest.raises(ValueError, match=text):
            rp.program(
                lambda site, e=estimator: site("b", q, estimator=e), samples=2, noise=rp.Noise(0).antithetic()
            )
    value = rp.program(
        lambda site: site("b", q, estimator=E.ScoreFunction()), samples=2, noise=rp.Noise(0).antithetic()
    )
    assert value.shape == (3,)
