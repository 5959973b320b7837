"""Schemes: the marginal law is kept exactly, the coupling is the one promised, the variance falls."""

import math

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


def test_rows_label_the_batch_and_keep_their_numbers():
    for kind in KINDS:
        noise, index = scheme(kind), torch.tensor([4, 9, 2])
        draw = noise.rows(index).draw(NoiseSpec("normal", (4, 3, 2), 1))
        assert draw.shape == (4, 3, 2)
        if (
            kind != "sobol"
        ):  # a Sobol dimension belongs to a place in the batch, so its row is balanced but not the same
            assert torch.equal(noise.rows(index[1:2]).draw(NoiseSpec("normal", (4, 1, 2), 1)), draw[:, 1:2])


def test_addresses_keep_the_scheme():
    noise = rp.Noise(3).antithetic().child("a").at(2)
    z = noise.normal((2, 3))
    assert torch.equal(z[0], -z[1])
    assert noise == rp.Noise(3).antithetic().child("a").at(2)
    assert noise != rp.Noise(3).child("a").at(2)
    assert repr(rp.Noise(3).sobol()) == "Noise(3).sobol()"


@pytest.mark.parametrize("kind", KINDS)
def test_estimates_are_right_and_their_error_smaller(kind):
    """E[(x-k)^2] and E[exp(-k x^2)], 64 samples, 300 replicates; right to 5 standard errors."""
    # variance ratio to plain noise; antithetic exactly 0.105, 2 and 0.551, the others as measured; the bounds leave
    # the spread of two variances of 300 means of a heavy-tailed f
    cases = [
        (lambda x: ((x - 3) ** 2).squeeze(-1), 10.0, 1, (0.2, 0.1, 0.15)),
        (lambda x: torch.exp(-0.1 * x**2).squeeze(-1), 1 / math.sqrt(1.2), 1, (3.0, 0.1, 0.15)),
        (lambda x: torch.exp(0.2 * x.sum(-1)), math.exp(0.4), 20, (0.9, 0.9, 0.9)),
    ]
    for f, exact, dimension, ratios in cases:
        plain, coupled = (
            torch.stack([f(n.normal((64, dimension), dtype=torch.float64)).mean() for n in noise.split(300)])
            for noise in (rp.Noise(5), getattr(rp.Noise(6), kind)())
        )
        error = float(coupled.std()) / math.sqrt(300)
        assert abs(float(coupled.mean()) - exact) < 5 * error + 1e-3 * exact
        assert float(coupled.var() / plain.var()) < ratios[KINDS.index(kind)]


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
