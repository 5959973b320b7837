"""Schemes: the marginal law is kept exactly, the coupling is the one promised, the variance falls."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import reparam as rp
from reparam.noise import LAWS, NoiseSpec

KINDS = ["antithetic", "stratified", "sobol"]


def scheme(kind, seed=0):
    return getattr(rp.Noise(seed).child("s"), kind)()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("law", LAWS)
def test_every_law_and_shape(kind, law):
    for shape in ((1,), (2, 3), (7, 2, 2), (0, 3), (4, 0)):
        drawn = getattr(scheme(kind), law)(shape)
        assert drawn.shape == shape
        assert bool(drawn.isfinite().all())
        assert drawn.dtype == torch.float32
    assert torch.equal(getattr(scheme(kind), law)((6, 2)), getattr(scheme(kind), law)((6, 2)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", [1, 2, 5, 8])
def test_each_number_is_uniform(kind, samples):
    """Kolmogorov-Smirnov over 1,000 independent copies of one number; 16 tests at 1e-6 each for the file."""
    copies = torch.stack(
        [n.uniform((samples, 2), dtype=torch.float64) for n in scheme(kind).replicates(1000)]
    )
    for number in (copies[:, 0, 0], copies[:, -1, 1]):
        assert stats.kstest(number.numpy(), "uniform").pvalue > 1e-6
    # coordinates of one sample stay independent: correlation of 1,000 copies, standard error 0.0316
    assert abs(float(torch.corrcoef(copies[:, 0].T)[0, 1])) < 0.16


def test_antithetic_pairs_are_exact_mirrors_and_more_samples_keep_them():
    z = scheme("antithetic").normal((7, 3))
    assert torch.equal(z[0:6:2], -z[1:6:2])
    assert torch.equal(scheme("antithetic").normal((4, 3)), z[:4])
    u = scheme("antithetic").uniform((2, 5), dtype=torch.float64)
    assert torch.equal(u[0], 1 - u[1])


@pytest.mark.parametrize("samples", [2, 3, 10, 64, 1000])
def test_stratified_has_one_number_in_each_stratum(samples):
    u = scheme("stratified").uniform((samples, 4), dtype=torch.float64)
    strata = (u * samples).floor().long()
    assert torch.equal(strata.sort(0).values, torch.arange(samples)[:, None].expand(-1, 4))
    if samples > 3:
        assert not torch.equal(strata[:, 0], strata[:, 1])


@pytest.mark.parametrize("samples", [2, 16, 256])
def test_sobol_is_balanced_at_powers_of_two(samples):
    u = scheme("sobol").uniform((samples, 2, 3), dtype=torch.float64).flatten(1)
    strata = (u * samples).floor().long()
    assert torch.equal(strata.sort(0).values, torch.arange(samples)[:, None].expand(-1, 6))
    if samples == 256:  # the first two dimensions are a (0, m, 2)-net: one point in every 16 x 16 box
        boxes = (u[:, 0] * 16).floor() * 16 + (u[:, 1] * 16).floor()
        assert len(boxes.unique()) == 256


@pytest.mark.parametrize("kind", KINDS)
def test_rows_label_the_batch_and_keep_their_numbers(kind):
    noise, index = scheme(kind), torch.tensor([4, 9, 2])
    draw = noise.rows(index).draw(NoiseSpec("normal", (4, 3, 2), 1))
    assert draw.shape == (4, 3, 2)
    assert torch.equal(noise.rows(index[1:2]).draw(NoiseSpec("normal", (4, 1, 2), 1)), draw[:, 1:2])
    assert len(draw.unique()) == draw.numel()


def test_the_table_of_sobol_limits_a_row_and_not_the_batch():
    spec = NoiseSpec("normal", (2, 3000, 10), 1)
    assert scheme("sobol").rows(torch.arange(3000)).draw(spec).shape == (2, 3000, 10)
    with pytest.raises(ValueError, match="at most 21201"):
        scheme("sobol").draw(spec)


def test_more_sobol_samples_keep_the_first_ones():
    assert torch.equal(scheme("sobol").normal((40, 3))[:16], scheme("sobol").normal((16, 3)))


def test_the_sobol_scramble_is_linear_with_unit_diagonal():
    """x -> L x + e maps equal leading bits to equal leading bits, and the next one differs (nested scrambling)."""
    u = scheme("sobol").uniform((1024, 3), dtype=torch.float64)
    x = torch.quasirandom.SobolEngine(3).draw(1024, dtype=torch.float64)
    for level in (1, 2, 5, 9):
        mine, theirs = ((values * 2**level).floor() for values in (u, x))
        same = (theirs[:, None] == theirs[None]).all(-1)
        assert torch.equal((mine[:, None] == mine[None]).all(-1), same)


def test_addresses_keep_the_scheme():
    noise = rp.Noise(3).antithetic().child("a").at(2)
    z = noise.normal((2, 3))
    assert torch.equal(z[0], -z[1])
    assert noise == rp.Noise(3).antithetic().child("a").at(2)
    assert noise != rp.Noise(3).child("a").at(2)
    assert repr(rp.Noise(3).sobol()) == "Noise(3).sobol()"


REPLICATES = 1000


def means(kind, f, samples, dimension):
    """Return the means of f over `samples` coupled samples, for 1,000 replicates: rows are independent."""
    noise = rp.Noise(6) if kind == "plain" else getattr(rp.Noise(6), kind)()
    spec = NoiseSpec("normal", (samples, REPLICATES, dimension), 1, torch.float64)
    return f(noise.rows(torch.arange(REPLICATES)).draw(spec)).mean(0)


def square(x):
    return ((x - 3) ** 2).squeeze(-1)


def bell(x):
    return torch.exp(-0.1 * x**2).squeeze(-1)


def stratum_variances(f, samples):
    """Return Var f within each stratum of u, by 400-point Gauss-Legendre quadrature in the u of the stratum."""
    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(400))
    u = (torch.arange(samples)[:, None] + (nodes + 1) / 2) / samples
    values = f(torch.special.ndtri(u)[..., None])
    mean = (values * weights / 2).sum(-1)
    return (values**2 * weights / 2).sum(-1) - mean**2


def antithetic_variance(f, samples):
    """Var of the mean = (Var f + Cov(f(z), f(-z))) / S, by quadrature."""
    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(100))
    weights = weights / weights.sum()
    value, mirrored = f(nodes[:, None]), f(-nodes[:, None])
    mean = (weights * value).sum()
    return float((weights * value * (value + mirrored)).sum() - 2 * mean**2) / samples


@pytest.mark.parametrize(("f", "exact"), [(square, 10.0), (bell, 1 / math.sqrt(1.2))])
@pytest.mark.parametrize("kind", ["antithetic", "stratified", "sobol"])
def test_one_dimensional_estimates_have_the_exact_mean_and_variance(kind, f, exact):
    """E[(x-3)^2] and E[exp(-.1 x^2)] of 64 samples: mean and variance of 1,000 means within 5 standard errors.

    In one dimension a Latin hypercube and a scrambled net are both one point in each stratum, so their variance
    is sum_s Var(f | stratum s) / S^2 (pairwise independence is enough). Six tests of two z-scores: 7e-6.
    """
    found = means(kind, f, 64, 1)
    variance = (
        antithetic_variance(f, 64) if kind == "antithetic" else float(stratum_variances(f, 64).sum()) / 64**2
    )
    spread = (found - exact) ** 2
    assert abs(float(found.mean()) - exact) < 5 * math.sqrt(variance / REPLICATES)
    assert abs(float(spread.mean()) - variance) < 5 * float(spread.std()) / math.sqrt(REPLICATES)


def test_a_gaussian_integral_in_20_dimensions():
    """E exp(.2 sum x) = exp(.4), 64 samples; variances relative to plain noise, 4 tests of 5 standard errors.

    With m = e^.02 the mean of one factor, Var f = e^1.6 - e^.8 and the sum of the one-dimensional effects is
    20 m^38 (e^.08 - e^.04): a Latin hypercube takes these away (Stein 1987), .334 of the variance is left. For
    antithetic pairs Var f + Cov = e^1.6 + 1 - 2 e^.8. For a net no closed form: at most the Latin hypercube's here.
    """
    total = math.exp(1.6) - math.exp(0.8)
    effects = 20 * math.exp(0.76) * (math.exp(0.08) - math.exp(0.04))
    expected = {
        "plain": total,
        "antithetic": math.exp(1.6) + 1 - 2 * math.exp(0.8),
        "stratified": total - effects,
        "sobol": total - effects,
    }
    for kind, variance in expected.items():
        found = means(kind, lambda x: torch.exp(0.2 * x.sum(-1)), 64, 20)
        spread = (found - math.exp(0.4)) ** 2 * 64
        error = float(spread.std()) / math.sqrt(REPLICATES)
        assert abs(float(found.mean()) - math.exp(0.4)) < 5 * float(found.std()) / math.sqrt(REPLICATES)
        assert float(spread.mean()) < variance * 1.05 + 5 * error  # 5 %: terms of order 1 / S
        assert kind == "sobol" or float(spread.mean()) > variance * 0.95 - 5 * error


def test_the_bound_of_a_vae_has_less_variance():
    """The ELBO of a Gaussian VAE on 32 rows, 16 samples, 200 replicates: unbiased, and less variance than plain.

    The posterior is wide on purpose. A ratio of two variances of 200 numbers has standard error .14.
    """
    noise = rp.Noise(0)
    decoder = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.Tanh(), torch.nn.Linear(32, 20)).double()
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            parameter.copy_(noise.child(name).normal(parameter.shape, dtype=torch.float64))
    x = noise.child("x").normal((32, 20), dtype=torch.float64)
    q = rp.distributions.Independent(
        rp.distributions.Normal(
            noise.child("loc").normal((32, 4), dtype=torch.float64), torch.tensor(0.5).double()
        ),
        1,
    )
    prior = rp.distributions.Independent(rp.distributions.Normal(torch.zeros(32, 4).double(), 1.0), 1)

    def log_likelihood(z):
        return -((decoder(z) - x) ** 2).sum(-1) / 2

    def bounds(kind):
        base = noise.child("draw") if kind == "plain" else getattr(noise.child(kind), kind)()
        return torch.stack(
            [
                rp.elbo(
                    log_likelihood, q, prior=prior, kl="analytic", samples=16, noise=n.rows(torch.arange(32))
                ).bound
                for n in base.split(200)
            ]
        ).detach()

    plain = bounds("plain")
    for kind, limit in (("antithetic", 0.9), ("stratified", 0.6), ("sobol", 0.3)):
        found = bounds(kind)
        z = (found.mean() - plain.mean()) / math.sqrt(float(plain.mean(1).var() + found.mean(1).var()) / 200)
        assert abs(float(z)) < 5
        assert float((found.var(0) / plain.var(0)).mean()) < limit


def test_distributions_take_schemes():
    q = rp.distributions.Normal(torch.zeros(3), torch.ones(3))
    z = q.rsample((4,), noise=rp.Noise(0).antithetic())
    assert torch.equal(z[0], -z[1])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: rp.Noise(0).sobol().normal((2, 30_000)), ValueError, "at most 21201"),
        (lambda: rp.Noise(0).sobol().bits((2,)), TypeError, "bits have no scheme"),
        (lambda: rp.Noise(0).antithetic().normal(()), ValueError, "sample axis"),
        (lambda: rp.Noise(0).rows([1, 2]).antithetic().normal((2, 3)), ValueError, "sample_ndim=1"),
        (lambda: rp.Noise(0).stratified().normal((2,), dtype=torch.int64), TypeError, "floating"),
    ],
)
def test_errors_teach(call, error, words):
    with pytest.raises(error, match=words):
        call()
