"""B10. RELAX (here with the relaxed f as its surrogate) without the derivative of the conditional relaxed sample.

Given b, the uniform is drawn from an interval whose end is p, so it depends on the logit; cutting that path leaves
the control variate with a mean that is not zero.
"""

import torch

from reparam import Noise, check

T, TEMPERATURE = 0.45, 0.5


def f(b):
    return (b - T) ** 2


def logit(u):
    return torch.log(u) - torch.log1p(-u)


def build():
    """Return the loss and its parameter."""
    eta = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

    def loss():
        p = torch.sigmoid(eta)
        u, v = torch.rand(2, 512, dtype=torch.float64)
        z = eta + logit(u)
        b = (z > 0).double().detach()
        q = p.detach()  # the end of the interval moves with eta, and must carry its derivative
        given_b = torch.where(b > 0, v * q + (1 - q), v * (1 - q))  # a uniform u that leads to b
        relaxed, conditional = (f(torch.sigmoid(a / TEMPERATURE)) for a in (z, eta + logit(given_b)))
        log_prob = b * torch.log(p) + (1 - b) * torch.log1p(-p)
        surrogate = (f(b) - conditional).detach() * log_prob + relaxed - conditional
        return (f(b) + surrogate - surrogate.detach()).mean()

    return loss, {"eta": eta}


if __name__ == "__main__":
    loss, params = build()
    print(check.gradient(loss, params, noise=Noise(0)))
