"""D3. A pathwise gradient of mixture logits that is not translation invariant.

The velocity of a draw is built from the draw itself instead of its distance to the mixture's mean, so it changes when
all means are shifted together.
"""

import torch

from reparam import Noise, check

MEANS, SCALE = torch.tensor([1.5, 3.0]), 0.5


class WrongPath(torch.autograd.Function):
    """The identity of a draw z, with a made-up velocity for the logits."""

    @staticmethod
    def forward(ctx, z, logits):
        ctx.save_for_backward(z, logits)
        return z.clone()

    @staticmethod
    def backward(ctx, grad):
        z, logits = ctx.saved_tensors
        p = torch.softmax(logits, 0)
        near = torch.softmax(logits - 0.5 * ((z[:, None] - MEANS) / SCALE) ** 2, 1)
        return grad, (grad[:, None] * (near - p) * z[:, None]).sum(0)  # z, where a distance is needed


def build():
    """Return the loss and its parameter."""
    logits = torch.tensor([0.4, -0.1], requires_grad=True)

    def loss():
        u, eps = torch.rand(2048), torch.randn(2048)
        k = (u > torch.softmax(logits, 0)[0]).long()
        z = WrongPath.apply((MEANS[k] + SCALE * eps).detach(), logits)
        return torch.cos(z).mean()

    return loss, {"logits": logits}


if __name__ == "__main__":
    loss, params = build()
    print(check.gradient(loss, params, noise=Noise(0)))
