"""D11. Doubly reparameterized gradients with the squared weights also for the model's parameters.

The square belongs to the path through z only; theta keeps the plain weights.
"""

import torch

from reparam import Noise, check

X, K = 4.0, 8


def build():
    """Return the loss and its parameters."""
    theta = torch.tensor(0.2, requires_grad=True)
    loc, log_scale = torch.tensor(0.5, requires_grad=True), torch.tensor(-0.2, requires_grad=True)

    def loss():
        scale = log_scale.exp()
        z = loc + scale * torch.randn(K, 64)
        log_q = -0.5 * ((z - loc.detach()) / scale.detach()) ** 2 - log_scale.detach()
        log_w = -0.5 * (z - theta) ** 2 - 0.5 * (X - z) ** 2 - log_q  # up to a constant
        v = torch.softmax(log_w.detach(), 0)
        surrogate = -(v**2 * log_w).sum(0).mean()  # theta needs v, not its square
        value = -(torch.logsumexp(log_w, 0) - torch.tensor(K).log()).mean()
        return value.detach() + surrogate - surrogate.detach()

    return loss, {"theta": theta, "loc": loc, "log_scale": log_scale}


if __name__ == "__main__":
    loss, params = build()
    print(check.gradient(loss, params, noise=Noise(0)))
