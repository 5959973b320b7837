"""B13. A tutorial's ending of the ELBO's phi-gradient that keeps only E[-grad_phi log q(z)].

That is the mean of a score, which is zero: the encoder learns nothing. What is dropped is the path through
z = g(eps; phi), in log p(x, z) and in log q(z).
"""

import torch

from reparam import Noise, check

X = torch.tensor([1.0, -0.5, 2.0])


def build():
    """Return the loss and its parameters."""
    loc = torch.zeros(3, requires_grad=True)
    log_scale = torch.zeros(3, requires_grad=True)

    def loss():
        q = torch.distributions.Normal(loc, log_scale.exp())
        z = q.rsample((256,)).detach()  # the path is cut here
        log_joint = -0.5 * z**2 - 0.5 * (X - z) ** 2 / 0.25
        return -(log_joint - q.log_prob(z)).sum(-1).mean()

    return loss, {"loc": loc, "log_scale": log_scale}


if __name__ == "__main__":
    loss, params = build()
    print(check.gradient(loss, params, noise=Noise(0)))
