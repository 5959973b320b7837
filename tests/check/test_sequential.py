"""The confidence bounds: coverage by simulation, and what voids a range."""

import math

import numpy as np
import pytest

from reparam.check.block import DIRECTIONS, random_quantile
from reparam.check.sequential import BURN_IN, Stream, bernstein, spend


@pytest.mark.parametrize("law", ["normal", "skewed", "rare"])
def test_coverage_at_a_fixed_look(law):
    """2,000 samples of 400, level .05: more than 140 misses has probability below 1e-5 for a valid bound."""
    generator = np.random.default_rng(5)
    draw = {
        "normal": lambda: generator.normal(size=400),
        "skewed": lambda: generator.exponential(size=400) - 1,
        "rare": lambda: (generator.random(400) < 0.05) / 0.05 - 1.0,
    }[law]
    misses = sum(bernstein(draw(), 0.05, 1e-12).lower > 0 for _ in range(2000))
    assert misses <= 140


def test_width_is_that_of_a_normal_bound():
    x = np.random.default_rng(1).normal(size=20_000)
    assert bernstein(x, 1e-3, 1e-12).half_width < 1.1 * math.sqrt(2 * math.log(2e3) / 20_000)


def test_a_draw_beyond_its_range_starts_the_count_anew():
    x = np.random.default_rng(2).normal(size=1000)
    before = bernstein(x, 0.01, 1e-12).half_width
    x[900] = 50.0
    assert bernstein(x, 0.01, 1e-12).half_width > 5 * before


def test_constant_values_have_the_width_of_the_floor():
    bound = bernstein(np.full(100, 3.0), 1e-6, 1e-9)
    assert bound.centre == pytest.approx(3.0)
    assert bound.half_width < 1e-9
    assert math.isinf(bernstein(np.ones(BURN_IN), 0.1, 1e-9).half_width)


def test_spending_adds_up_to_the_level():
    assert sum(spend(0.05, i) for i in range(100_000)) == pytest.approx(0.05, rel=1e-4)
    stream = Stream()
    assert [stream.add(0.0) for _ in range(16)].count(True) == 1
    assert stream.take_look(counts=False) == 0
    assert stream.take_look(counts=True) == 0
    assert stream.take_look(counts=True) == 1


def test_random_directions_bound_the_norm():
    """100,000 draws of K projections: the bound at level .01 fails in 1 % of them, within 5 standard errors."""
    q = random_quantile(0.01)
    m = np.abs(np.random.default_rng(3).normal(size=(100_000, DIRECTIONS))).max(1)
    assert abs(np.mean(m / q < 1) - 0.01) < 5 * math.sqrt(0.01 * 0.99 / 100_000)
