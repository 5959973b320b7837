"""B4. REBAR on a Bernoulli variable, with log1p(p) where log1p(-p) is meant.

The probability of b = 0 is 1 - p; the slip gives its log the wrong sign in the derivative. Right is p (1 - p) (1 - 2t).
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
        q = p
        given_b = torch.where(b > 0, v * q + (1 - q), v * (1 - q))  # a uniform u that leads to b
        relaxed, conditional = (f(torch.sigmoid(a / TEMPERATURE)) for a in (z, eta + logit(given_b)))
        log_prob = b * torch.log(p) + (1 - b) * torch.log1p(p)  # log1p(-p) is right
        surrogate = (f(b) - conditional).detach() * log_prob + relaxed - conditional
        return (f(b) + surrogate - surrogate.detach()).mean()

    return loss, {"eta": eta}


if __name__ == "__main__":
    loss, params = build()
    print(check.gradient(loss, params, noise=Noise(0)))
