"""B5. A score function over a sample without replacement, three of four categories, not averaged over the sample.

The sum-and-sample weights already add to one; summing over the K = 3 orders without dividing by K makes the gradient
three times the truth.
"""

import torch

from reparam import Noise, check

F = torch.tensor([1.0, 3.0, -2.0, 0.5])
K = 3


def build():
    """Return the loss and its parameter."""
    logits = torch.tensor([0.2, -0.3, 0.5, 0.1], requires_grad=True)

    def loss():
        log_p = torch.log_softmax(logits, 0)
        gumbel = -torch.log(-torch.log(torch.rand(128, 4)))
        chosen = torch.topk(
            (log_p + gumbel).detach(), K
        ).indices  # K different ones, in the order they are drawn
        p = log_p.exp()[chosen]
        weight = torch.cat(
            [p[:, :-1], 1 - p[:, :-1].sum(1, keepdim=True)], 1
        )  # the last stands for all the rest
        value = (weight.detach() * F[chosen]).sum(1).mean()
        surrogate = K * (weight.detach() * F[chosen] * log_p[chosen]).sum(1).mean()  # K is one too many
        return value + surrogate - surrogate.detach()

    def reference():
        return (torch.softmax(logits, 0) * F).sum()

    return loss, {"logits": logits}, reference


if __name__ == "__main__":
    loss, params, reference = build()
    print(check.gradient(loss, params, noise=Noise(0), reference=reference))
