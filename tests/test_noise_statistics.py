"""Randomness of the words along every coordinate of the address, and of every law.

Error budget: all p-values of a test are compared with 1e-6 / (their number); the seven streams, the 16 laws and
the cross-address test raise a false alarm with probability below 3e-5 together. Each stream is 2^20 words: a
correlation of .009 between neighbours, or a bit that is one with probability .5045, is found with probability .99.
`make quality` runs a public battery over much longer streams.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import reparam as rp
from streams import API, CHUNK, STREAMS, make

FALSE_ALARM = 1e-6
LAGS = (1, 2, 3, 4, 5, 8, 16, 64)


def uniform_p(u):
    return {"Kolmogorov-Smirnov": stats.kstest(u, "uniform").pvalue}


def bit_p(words):
    """Each of the 32 bits is one half the time: z-scores of the counts."""
    counts = np.array([int((words >> bit & 1).sum()) for bit in range(32)])
    z = (counts - len(words) / 2) / math.sqrt(len(words) / 4)
    return {f"bit {bit}": 2 * stats.norm.sf(abs(value)) for bit, value in enumerate(z)}


def byte_p(words):
    return {
        f"byte {byte}": stats.chisquare(np.bincount(words >> 8 * byte & 255, minlength=256)).pvalue
        for byte in range(4)
    }


def serial_p(u):
    """Correlation of u_i and u_{i+k}: lag 4 is the neighbouring address, word by word."""
    centred = (u - 0.5) * math.sqrt(12)
    found = {}
    for lag in LAGS:
        z = float((centred[lag:] * centred[:-lag]).mean()) * math.sqrt(len(u) - lag)
        found[f"correlation at lag {lag}"] = 2 * stats.norm.sf(abs(z))
    return found


def pair_p(words, lag):
    """Chi-square over 64 x 64 boxes of the leading bits of disjoint pairs (w_i, w_{i+lag})."""
    blocks = words[: len(words) // (2 * lag) * 2 * lag].reshape(-1, 2, lag)
    boxes = (blocks[:, 0] >> 26) * 64 + (blocks[:, 1] >> 26)
    return {f"pairs at lag {lag}": stats.chisquare(np.bincount(boxes.ravel(), minlength=4096)).pvalue}


def flip_p(words):
    """Neighbours differ in 16 of 32 bits on average: the number of differing bits is binomial."""
    differing = words[4:] ^ words[:-4]
    weight = np.array([int(x).bit_count() for x in range(1 << 16)])
    count = (weight[differing & 0xFFFF] + weight[differing >> 16])[::8]
    expected = stats.binom.pmf(np.arange(33), 32, 0.5) * len(count)
    low = int(np.argmax(expected > 20))
    bins = np.bincount(count.clip(low, 32 - low) - low, minlength=33 - 2 * low)
    merged = expected[low : 33 - low].copy()
    merged[0] += expected[:low].sum()
    merged[-1] += expected[33 - low :].sum()
    return {"differing bits": stats.chisquare(bins, merged).pvalue}


def p_values(words):
    words = words.numpy()
    u = (words + 0.5) * 2.0**-32
    return (
        uniform_p(u)
        | bit_p(words)
        | byte_p(words)
        | serial_p(u)
        | pair_p(words, 1)
        | pair_p(words, 4)
        | flip_p(words)
    )


def failures(found):
    return {name: p for name, p in found.items() if p < FALSE_ALARM / len(found)}


@pytest.mark.parametrize("name", STREAMS)
def test_words_are_random_along(name):
    assert not failures(p_values(make(name)))


def test_a_broken_generator_is_found():
    assert len(failures(p_values(make("broken")))) > 5


@pytest.mark.parametrize("name", API)
def test_streams_made_in_bulk_are_the_library_s(name):
    made = make(name)
    for address in (0, 1, 2, 77, CHUNK - 1):
        assert torch.equal(made[4 * address : 4 * address + 4], API[name](address))


LAWS = {
    "uniform": stats.uniform,
    "normal": stats.norm,
    "gumbel": stats.gumbel_r,
    "exponential": stats.expon,
    "logistic": stats.logistic,
    "laplace": stats.laplace,
    "cauchy": stats.cauchy,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("law", LAWS)
def test_laws(law, dtype):
    """Kolmogorov-Smirnov and the correlation of neighbouring rows, 2^18 numbers: a shift of the cdf by .008."""
    drawn = getattr(rp.Noise(4).child(law).rows(torch.arange(1 << 16)), law)((1 << 16, 4), dtype=dtype)
    u = LAWS[law].cdf(drawn.double().flatten().numpy())
    assert not failures(uniform_p(u) | serial_p(u))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rademacher(dtype):
    drawn = rp.Noise(4).rademacher((1 << 18,), dtype=dtype)
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    sums = torch.stack([drawn.sum()] + [(drawn[lag:] * drawn[:-lag]).sum() for lag in LAGS]).double()
    assert not failures(dict(enumerate(2 * stats.norm.sf(sums.abs().numpy() / 512))))


def test_addresses_that_differ_in_one_coordinate_are_uncorrelated():
    """All pairs among 40 addresses that differ in a seed, name, step, split or row: 780 correlations of 2^14."""
    noise = rp.Noise(8)
    near = [rp.Noise(8 ^ 1 << bit) for bit in range(0, 64, 8)]
    near += [noise.child(name) for name in ("a", "b", "aa", "a b", "A", "")] + [noise.child("a").child("b")]
    near += [noise.at(step) for step in (0, 1, 2, 1 << 32, 1 << 33)] + [noise.at(1).at(0), noise.at(0).at(1)]
    near += [noise.rows(torch.tensor(row)) for row in (1, 2, 3, 1 << 31, 1 << 32, 1 << 40)] + list(
        noise.split(4)
    )
    near += [noise.child("a").at(1), noise.at(1).child("a"), noise, noise.child("a").rows(torch.tensor(1))]
    z = torch.stack([n.normal((1 << 14,), dtype=torch.float64) for n in near])
    z = (z - z.mean(1, keepdim=True)) / z.std(1, keepdim=True)
    correlation = (z @ z.T / (1 << 14)).triu(1)
    pairs = len(near) * (len(near) - 1) // 2
    assert float(correlation.abs().max()) * 128 < stats.norm.isf(FALSE_ALARM / pairs / 2)
