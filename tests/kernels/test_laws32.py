"""Float32 numbers of the laws other than normals: right to .51 ulp for every word, odd where the law is symmetric."""

import numpy as np
import pytest

from reparam.kernels.cpu import laws, laws32

NAMES = ("exponential", "gumbel", "laplace", "logistic", "cauchy")


def drawn(law, word):
    made = word.astype(np.uint32).view(np.float32).copy()
    getattr(laws32, law)(made)
    return made


def excess(law, word):
    """Return by how much an error is above .51 ulp, at most, from the float64 law at the same uniform.

    Next to the zero of the Gumbel law float64 itself is only good to 2e-16.
    """
    exact = ((word.astype(np.uint64) << np.uint64(32)) + np.uint64(1 << 31)).view(np.float64).copy()
    getattr(laws, law)(exact)
    ulp = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    return float((np.abs(drawn(law, word) - exact) - 0.51 * ulp).max())


@pytest.mark.parametrize("law", NAMES)
def test_numbers_are_right_to_half_an_ulp(law):
    near, zero = np.arange(2**12), int(2**32 / np.e) - 2**11
    for word in (
        np.arange(0, 2**32, 2**32 // 200_003),
        near,
        zero + near,
        2**30 - 2**11 + near,
        2**31 - 2**11 + near,
        3 * 2**30 - 2**11 + near,
        2**32 - 1 - near,
    ):
        assert excess(law, word) <= (4e-16 if law == "gumbel" else 0)


@pytest.mark.parametrize("law", NAMES)
def test_an_odd_length_gives_the_same_numbers(law):
    word = np.arange(0, 2**32, 2**32 // 53)
    whole = drawn(law, word)
    for n in (0, 1, 15, 16, 17, 53):
        assert np.array_equal(drawn(law, word[:n]), whole[:n])


@pytest.mark.parametrize("law", ["laplace", "logistic", "cauchy"])
def test_a_complemented_word_gives_the_mirrored_number(law):
    word = np.arange(0, 2**32, 2**32 // 100_003)
    assert np.array_equal(drawn(law, word), -drawn(law, 2**32 - 1 - word))


@pytest.mark.stats
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("law", NAMES)
def test_every_number_is_right_to_half_an_ulp(law):
    """All 2^32 words, once."""
    worst = max(excess(law, np.arange(k, k + (1 << 24), dtype=np.uint64)) for k in range(0, 2**32, 1 << 24))
    assert worst <= (4e-16 if law == "gumbel" else 0)
