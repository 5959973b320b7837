"""B3. A Flipout layer that adds the mean twice.

Its gradient is that of its own value, so only a reference can expose it: the same layer with sampled weights.
"""

import torch

from reparam import Noise, check


def build():
    """Return the loss, its parameters and the reference objective."""
    x, y = torch.linspace(-1, 1, 64).reshape(16, 4), torch.linspace(0, 1, 16)
    mean = torch.tensor([0.5, -0.3, 0.2, 0.1], requires_grad=True)
    scale = torch.full((4,), 0.1, requires_grad=True)

    def loss():
        signs = torch.randint(0, 2, (16, 4)) * 2.0 - 1
        delta = scale * torch.randn(4)
        perturbed = x @ mean + (x * signs) @ delta
        return (x @ mean + perturbed - y).square().mean()  # the mean is in `perturbed` already

    def reference():
        return (x @ (mean + scale * torch.randn(4)) - y).square().mean()

    return loss, {"mean": mean, "scale": scale}, reference


if __name__ == "__main__":
    loss, params, reference = build()
    print(check.gradient(loss, params, noise=Noise(0), reference=reference))
