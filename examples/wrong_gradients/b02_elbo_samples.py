"""B2. The same buffer in the likelihood of an ELBO averaged over 4 samples: its sigma gradient is 1/4 of the truth."""

import torch

from reparam import Noise, check

SAMPLES = 4


class Layer:
    """A Bayesian weight whose noise lives in a buffer."""

    def __init__(self):
        self.mean = torch.tensor(0.3, requires_grad=True)
        self.log_sigma = torch.tensor(-0.7, requires_grad=True)
        self.eps = torch.zeros(64, 1)

    def __call__(self, x):
        self.eps.data.normal_()
        return (self.mean + self.log_sigma.exp() * self.eps) * x


def build():
    """Return the loss and its parameters."""
    layer, x = Layer(), torch.linspace(-1, 1, 16)

    def loss():
        return sum((layer(x) - 2 * x).square().sum(-1).mean() for _ in range(SAMPLES)) / SAMPLES

    return loss, {"mean": layer.mean, "log_sigma": layer.log_sigma}


if __name__ == "__main__":
    loss, params = build()
    print(check.gradient(loss, params, noise=Noise(0)))
