"""Networks with random layers of every kind, for the tests of `functional`."""

import torch
from torch import nn

import reparam as rp
from reparam import distributions as D
from reparam.layers import Dropout, GaussianDropout, VariationalDropout, gaussian, make_bayesian
from reparam.models.build import ModelSpec, build_vae
from reparam.noise import seeded_torch


class Explicit(nn.Module):
    """Explicit and relaxed families, `rp.draw` and the fused Gaussian layer."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, x, *, noise):
        h = self.linear(x)
        t, scale = torch.tensor(0.5), torch.exp(h)
        z = rp.draw(torch.distributions.Normal(h, scale), noise=noise.child("normal"))
        z = z + D.Laplace(h, scale).rsample((2,), noise=noise.child("laplace")).sum(0)
        z = z + D.Gumbel(h, scale).rsample(noise=noise.child("gumbel"))
        z = z + D.Logistic(h, scale).rsample(noise=noise.child("logistic"))
        z = z + D.Uniform(h, h + 1).rsample(noise=noise.child("uniform"))
        z = z + D.RelaxedBernoulli(t, logits=h).rsample(noise=noise.child("relaxed"))
        z = z + D.RelaxedOneHotCategorical(t, logits=h).rsample(noise=noise.child("relaxed").at(1))
        z = z + D.OneHotCategorical(logits=h).sample(noise=noise.child("one_hot"))
        fused, kl = gaussian(h, 0.1 * h, noise=noise.child("fused"))
        return z + fused, kl


class Implicit(nn.Module):
    """Families whose quantile is a numerical kernel."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, x, *, noise):
        h = torch.exp(0.3 * self.linear(x)) + 0.5
        z = D.Gamma(h, h).rsample(noise=noise.child("gamma"))
        z = z + D.Beta(h, 2 * h).rsample(noise=noise.child("beta"))
        return z + rp.draw(torch.distributions.StudentT(h + 2, h, h), noise=noise.child("student"))


class Sampler(nn.Module):
    """A small convolutional net over two resolutions, iterated a few steps with noise at each."""

    def __init__(self, steps=3):
        super().__init__()
        self.steps = steps
        self.down = nn.Conv2d(1, 6, 3, stride=2, padding=1)
        self.middle = nn.Conv2d(6, 6, 3, padding=1)
        self.out = nn.Conv2d(7, 1, 3, padding=1)

    def denoise(self, x):
        h = torch.relu(self.middle(torch.relu(self.down(x))))
        h = nn.functional.interpolate(h, scale_factor=2.0)
        return self.out(torch.cat((x, h), 1))

    def forward(self, x, *, noise):
        for t in range(self.steps):
            x = 0.9 * x - 0.1 * self.denoise(x) + 0.3 * noise.at(t).normal(x.shape)
        return x


def bayesian(method):
    plain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2))
    return make_bayesian(plain, method=method, initial_scale=0.2)


def dropouts():
    return nn.Sequential(nn.Linear(3, 4), Dropout(0.3), GaussianDropout(0.3), VariationalDropout(4))


def vae(likelihood, net):
    spec = ModelSpec((1, 8, 8), 3, net, (16, 8), likelihood, binarize=likelihood == "bernoulli")
    return build_vae(spec, rp.Noise(0))


PICTURES, FEATURES = (4, 1, 8, 8), (4, 3)
# name -> (module, shape of its input, names of its noise)
NETWORKS = {
    "vae bernoulli": (lambda: vae("bernoulli", "mlp"), PICTURES, ["target", "latent"]),
    "vae gaussian": (lambda: vae("gaussian", "conv"), PICTURES, ["latent"]),
    "weight": (lambda: bayesian("weight"), (4, 1, 5, 5), ["0.weight", "0.bias", "3.weight", "3.bias"]),
    "local": (lambda: bayesian("local"), (4, 1, 5, 5), ["0.output", "3.output"]),
    "flipout": (
        lambda: bayesian("flipout"),
        (4, 1, 5, 5),
        [f"{layer}.{name}" for layer in (0, 3) for name in ("in", "out", "weight", "bias")],
    ),
    "dropout": (dropouts, FEATURES, ["1", "2", "3"]),
    "explicit": (
        Explicit,
        FEATURES,
        [
            "normal",
            "laplace",
            "gumbel",
            "logistic",
            "uniform",
            "relaxed",
            "relaxed.step1",
            "one_hot",
            "fused",
        ],
    ),
    "implicit": (Implicit, FEATURES, ["gamma", "beta", "student"]),
    "sampler": (Sampler, PICTURES, ["step0", "step1", "step2"]),
}


def network(name):
    """Return a network of the table with fixed weights, and an input."""
    make, shape, _ = NETWORKS[name]
    with seeded_torch(rp.Noise(1)):
        return make(), rp.Noise(2).uniform(shape)
