"""B1. Noise kept in a buffer and overwritten in place between two forward passes.

Autograd keeps a reference to the buffer, not its numbers, so the sigma gradient of every pass meets the noise of the
last one: with K passes it is 1/K of the truth. The mean is right.
"""

import torch

from reparam import Noise, check

PASSES = 2


def build():
    """Return the loss and its parameters."""
    x = torch.linspace(-1, 1, 16)
    mean, sigma = torch.tensor(0.5, requires_grad=True), torch.tensor(0.4, requires_grad=True)
    eps = torch.zeros(64, 1)  # the buffer

    def loss():
        total = torch.zeros(())
        for _ in range(PASSES):
            eps.data.copy_(
                torch.randn(64, 1)
            )  # overwritten behind autograd's back: all passes now share the last noise
            w = mean + sigma * eps
            total = total + (w * x - 2 * x).square().mean()
        return total / PASSES

    return loss, {"mean": mean, "sigma": sigma}


if __name__ == "__main__":
    loss, params = build()
    print(check.gradient(loss, params, noise=Noise(0)))
