"""A score function over k of four categories, drawn without replacement; right, if `score` is log p."""

import torch

F = torch.tensor([1.0, 3.0, -2.0, 0.5])


def build(k, score):
    """Return the loss, its parameter and the objective that is meant; `score` stands in for log p."""
    logits = torch.tensor([0.2, -0.3, 0.5, 0.1], requires_grad=True)

    def loss():
        log_p = torch.log_softmax(logits, 0)
        gumbel = -torch.log(-torch.log(torch.rand(128, 4)))
        chosen = torch.topk(
            (log_p + gumbel).detach(), k
        ).indices  # k different ones, in the order of their draw
        p = log_p.exp()[chosen]
        rest = 1 - p[:, :-1].sum(1, keepdim=True)  # the last stands for all that are left
        weight = torch.cat([p[:, :-1], rest], 1).detach()
        value = (weight * F[chosen]).sum(1).mean()
        surrogate = (weight * F[chosen] * score(log_p)[chosen]).sum(1).mean()
        return value + surrogate - surrogate.detach()

    def reference():
        return (torch.softmax(logits, 0) * F).sum()

    return loss, {"logits": logits}, reference
