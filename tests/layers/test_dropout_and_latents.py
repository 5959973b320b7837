"""Dropout and latent layers: laws, addresses, KLs."""

import math

import pytest
import torch
from torch import nn

from reparam import distributions as D
from reparam.layers import (
    Bayesian,
    BayesLinear,
    CategoricalLatent,
    Dropout,
    GaussianDropout,
    GaussianLatent,
    Latent,
    VariationalDropout,
    noise_scope,
)
from reparam.noise import Noise


@pytest.mark.parametrize(
    "layer", [Dropout(0.3), GaussianDropout(0.3), VariationalDropout(20_000, 0.3)], ids=str
)
def test_dropout_mean_and_variance(layer):
    """20,000 numbers: mean 1, variance p / (1 - p), within 5.5 standard errors (kurtosis below 3.5)."""
    y = layer(torch.ones(20_000), noise=Noise(0)).detach()
    variance = 0.3 / 0.7
    assert y.mean().item() == pytest.approx(1, abs=5.5 * (variance / 20_000) ** 0.5)
    assert y.var().item() == pytest.approx(variance, abs=5.5 * variance * (2.5 / 20_000) ** 0.5)
    assert torch.equal(y, layer(torch.ones(20_000), noise=Noise(0)))
    assert torch.equal(layer.eval()(torch.ones(20_000)), torch.ones(20_000))


def test_dropout_rows():
    x = torch.ones(6, 50)
    whole = Dropout()(x, noise=Noise(0).rows(torch.arange(6)))
    assert torch.equal(whole[3:], Dropout()(x[3:], noise=Noise(0).rows(torch.tensor([3, 4, 5]))))


def test_variational_dropout_kl_against_quadrature():
    """KL(q || log-uniform) = E log|1 + sqrt(a) eps| - log(a) / 2 + constant; the approximation is within .01."""
    layer = VariationalDropout(1)
    eps = torch.linspace(-12, 12, 2_400_001, dtype=torch.float64)
    weight = torch.exp(-(eps**2) / 2) / math.sqrt(2 * math.pi) * (eps[1] - eps[0])
    constant = -(math.log(2) + 0.5772156649) / 2  # E log|eps|, the limit for large a
    for log_alpha in (-4.0, -1.0, 0.0, 1.0, 3.0):
        layer.log_alpha.data.fill_(log_alpha)
        exact = (
            weight * torch.log((1 + math.exp(log_alpha / 2) * eps).abs().clamp(min=1e-12))
        ).sum() - log_alpha / 2
        assert layer.kl().item() == pytest.approx(exact.item() - constant, abs=0.012)


def test_gaussian_latent():
    layer = GaussianLatent(4, 3)
    h = Noise(0).normal((5, 4))
    z, kl = layer(h, noise=Noise(1).rows(torch.arange(5)))
    q = layer.q(h)
    prior = torch.distributions.Normal(torch.zeros(3), torch.ones(3))
    torch.testing.assert_close(kl, torch.distributions.kl_divergence(q.base_dist, prior).sum(-1))
    torch.testing.assert_close(z[2:], layer(h[2:], noise=Noise(1).rows(torch.tensor([2, 3, 4])))[0])
    (z.sum() + kl.sum()).backward()
    assert torch.isfinite(layer.linear.weight.grad).all()


def test_latent_of_another_family():
    layer = Latent(4, 3, torch.distributions.Normal, torch.distributions.Normal(0.0, 2.0))
    z, kl = layer(torch.ones(2, 4), noise=Noise(0))
    assert z.shape == (2, 3)
    assert (kl > 0).all()
    with pytest.raises(ValueError, match="parameters must be of Normal"):
        Latent(4, 3, D.Normal, D.Normal(0.0, 1.0), parameters=("rate",))
    with pytest.raises(ValueError, match="must have a KL formula"):
        Latent(4, 3, D.Normal, D.StudentT(3.0))
    with pytest.raises(ValueError, match="must be scalar laws"):
        Latent(4, 3, D.Dirichlet, D.Dirichlet(torch.ones(3)))
    with pytest.raises(ValueError, match="must be scalar laws"):
        Latent(4, 3, D.Bernoulli, D.Bernoulli(0.5))
    with pytest.raises(ValueError, match="one constraint for each parameter"):
        Latent(4, 3, D.Uniform, D.Uniform(0.0, 1.0))
    with pytest.raises(ValueError, match="got low of TruncatedNormal"):
        Latent(4, 3, D.TruncatedNormal, D.Normal(0.0, 1.0))


@pytest.mark.parametrize(
    "gradient", ["gumbel_softmax", "straight_through", "gumbel_rao", "reinmax", "relaxed"]
)
def test_categorical_latent(gradient):
    layer = CategoricalLatent(4, 2, 3, gradient=gradient, temperature=1.0)
    h = Noise(0).normal((5, 4))
    z, kl = layer(h, noise=Noise(1))
    probs = torch.softmax(layer.linear(h).unflatten(-1, (2, 3)), -1)
    torch.testing.assert_close(kl, (probs * (probs * 3).log()).sum((-1, -2)))
    if gradient != "relaxed":
        assert torch.equal(z, layer.q(h).sample(noise=Noise(1)))
    (z * torch.arange(3.0)).sum().backward()
    assert layer.linear.weight.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="gradient must be"):
        CategoricalLatent(4, 2, 3, gradient="exact")


def test_scope_reaches_layers_inside():
    net = nn.Sequential(nn.Linear(3, 50), Dropout(0.5), nn.Sequential(Dropout(0.5)))
    x = torch.ones(2, 3)
    with noise_scope(net, Noise(4)):
        y = net(x)
    by_hand = net[2][0](net[1](net[0](x), noise=Noise(4).child("1")), noise=Noise(4).child("2.0"))
    assert torch.equal(y, by_hand)


def test_a_layer_called_twice_in_a_pass_draws_twice_but_its_sampled_weights_once():
    class Twice(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x), self.layer(x), self.layer(x)

    x = torch.ones(2, 50)
    for layer in (Dropout(0.5), BayesLinear(50, 3, method="local"), BayesLinear(50, 3, method="flipout")):
        net = Bayesian(Twice(layer))
        first, second, third = net(x, noise=Noise(4))
        assert torch.equal(first, layer(x, noise=Noise(4).child("layer")))
        assert torch.equal(second, layer(x, noise=Noise(4).child("layer").at(1)))
        assert torch.equal(third, layer(x, noise=Noise(4).child("layer").at(2)))
        assert not torch.equal(first, second)
        assert torch.equal(net(x, noise=Noise(4))[1], second)
    net = Bayesian(Twice(BayesLinear(50, 3, method="weight")))
    first, second, _ = net(x, noise=Noise(4))
    assert torch.equal(first, second)


def test_networks_inside_networks():
    inner = Bayesian(nn.Sequential(Dropout(0.5), BayesLinear(50, 50)))
    outer = Bayesian(nn.Sequential(inner, inner, Dropout(0.5)))
    x = torch.ones(2, 50)
    dropout, linear = inner.module
    mine = Noise(1).child("0.module.0")
    y = linear(dropout(x, noise=mine), noise=Noise(1).child("0.module.1"))
    y = linear(dropout(y, noise=mine.at(1)), noise=Noise(1).child("0.module.1"))
    y = outer.module[2](y, noise=Noise(1).child("2"))
    assert torch.equal(outer(x, noise=Noise(1)), y)
