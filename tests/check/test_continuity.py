"""Jumps are told from kinks: known lines, and networks with ReLUs."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

import reparam as rp
from reparam.check import gradient
from reparam.check.continuity import jump_variation

SEED = rp.Noise(23)


@pytest.mark.parametrize(
    ("g", "jumps"),
    [
        (lambda t: 3 * t + 1, 0.0),
        (lambda t: math.exp(t) * math.sin(3 * t), 0.0),
        (lambda t: abs(t - 0.3) + 5 * abs(t + 0.21) - 2 * max(t, 0.44), 0.0),
        (lambda t: float(t > 0.37) - 2.0 * (t > -0.61), 3.0),
        (lambda t: 4 * abs(t - 0.2) + 0.5 * (t > 0.2), 0.5),
        (lambda t: math.floor(5 * t + 0.2), 10.0),
    ],
)
def test_jump_variation_of_known_lines(g, jumps):
    assert jump_variation(g, 1.0, 1e-3) == pytest.approx(jumps, abs=0.02)


def test_too_many_jumps_are_not_counted():
    assert math.isinf(jump_variation(lambda t: math.sin(1e6 * t), 1.0, 1e-3))
    assert math.isinf(jump_variation(lambda t: math.nan, 1.0, 1e-3))


def relu_network(sizes: list[int], rows: int):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1]), torch.linspace(-1, 1, rows * sizes[0]).reshape(rows, sizes[0])


SIZES = [([4, 8, 1], 8), ([2, 3, 1], 4), ([6, 20, 20, 1], 8), ([6, 40, 40, 1], 2)]


@pytest.mark.parametrize(("sizes", "rows"), SIZES)
def test_small_relu_networks_are_cleared_at_once(sizes, rows):
    net, x = relu_network(sizes, rows)
    loss = lambda noise: (net(x + 0.3 * noise.normal(tuple(x.shape))) - 1).square().mean()  # noqa: E731
    report = gradient(loss, net, noise=SEED, max_seconds=600.0, max_draws=800)
    assert report.verdict == "unbiased", str(report)
    assert report.interval[1] < 0.01


@pytest.mark.parametrize(("sizes", "rows"), SIZES)
def test_the_same_networks_with_jumps_are_not_cleared(sizes, rows):
    net, x = relu_network(sizes, rows)

    def loss(noise):
        h = net[:-1](x + 0.3 * noise.normal(tuple(x.shape)))
        return net[-1](h).square().mean() + 0.1 * (h > 0).float().mean()

    report = gradient(loss, net, noise=SEED, max_seconds=600.0, max_draws=800)
    assert report.verdict != "unbiased"
