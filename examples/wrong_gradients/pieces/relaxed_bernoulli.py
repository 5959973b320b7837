"""REBAR on a Bernoulli variable, E (b - t)^2 with P(b = 1) = sigmoid(eta): right, with two places to go wrong in.

z = eta + logit(u),  b = 1[z > 0],  and z~ has the law of z given b, from a uniform in the interval that leads to b.
"""

import torch

T, TEMPERATURE = 0.45, 0.5


def f(b):
    return (b - T) ** 2


def logit(u):
    return torch.log(u) - torch.log1p(-u)


def build(log_of_zero=lambda p: torch.log1p(-p), end=lambda p: p):
    """Return the loss and its parameter, from log P(b = 0) and the end of the interval as functions of p."""
    eta = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

    def loss():
        p = torch.sigmoid(eta)
        u, v = torch.rand(2, 512, dtype=torch.float64)
        z = eta + logit(u)
        b = (z > 0).double().detach()
        q = end(p)
        given_b = torch.where(b > 0, v * q + (1 - q), v * (1 - q))  # a uniform u that leads to b
        relaxed, conditional = (f(torch.sigmoid(a / TEMPERATURE)) for a in (z, eta + logit(given_b)))
        log_prob = b * torch.log(p) + (1 - b) * log_of_zero(p)
        surrogate = (f(b) - conditional).detach() * log_prob + relaxed - conditional
        return (f(b) + surrogate - surrogate.detach()).mean()

    return loss, {"eta": eta}
