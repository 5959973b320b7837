"""D13. A mixture whose draws pass through the component index: the gradient of the logits is silently zero."""

import torch

from reparam import Noise, check


def build():
    """Return the loss and its parameters."""
    logits = torch.tensor([0.4, -0.1], requires_grad=True)
    means = torch.tensor([-1.0, 2.0], requires_grad=True)

    def loss():
        k = torch.multinomial(torch.softmax(logits, 0), 512, replacement=True)  # an integer has no derivative
        z = means[k] + 0.5 * torch.randn(512)
        return (z**2).mean()

    return loss, {"logits": logits, "means": means}


if __name__ == "__main__":
    loss, params = build()
    print(check.gradient(loss, params, noise=Noise(0)))
