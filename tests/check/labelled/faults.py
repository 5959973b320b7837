"""Planted faults, each with a word of the cause that should be named."""

import torch
from torch import nn

from .case import bernoulli, carry, fault, importance, leaf


@fault("dropped")
def iwae_stl():
    return importance(lambda v: v)


@fault("jump")
def threshold():
    loc = leaf(0.2)
    return lambda: (((z := loc + torch.randn(256)) > 0.5).float() + 0.1 * z**2).mean(), loc


@fault("jump")
def count_of_active_units():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        net = nn.Sequential(nn.Linear(3, 6), nn.ReLU())
    x = torch.linspace(-1, 1, 24).reshape(8, 3)

    def loss():
        h = net(x + 0.5 * torch.randn(32, 8, 3))
        return (h.square() + (h > 0)).sum(-1).mean()

    return loss, net


@fault("jump")
def truncated_by_a_mask():
    loc = leaf(0.5)

    def loss():
        z = loc + torch.randn(256)
        return torch.where(z < 1.0, z + 2, 0.0).mean()

    return loss, loc


@fault("support")
def score_of_a_moving_support():
    width = leaf(2.0)

    def loss():
        z = width * torch.rand(64)
        f = torch.cos(z.detach()) + 1.5
        value = (torch.cos(z) + 1.5).mean()
        return carry(value, (f * -torch.log(width)).mean())

    return loss, width


@fault("detached")
def detached_scale():
    loc, scale = leaf(1.0), leaf(0.7)
    return lambda: (loc + scale.detach() * torch.randn(64)).square().mean(), {"loc": loc, "scale": scale}


@fault("detached")
def converted_to_numpy():
    loc, rate = leaf(1.0), leaf(0.7)
    return lambda: (loc + float(rate.detach()) * torch.randn(64)).square().mean(), {"loc": loc, "rate": rate}


@fault("sign")
def flipped_sign():
    loc = leaf(1.0)

    def loss():
        value = (loc + torch.randn(64)).square().mean()
        return carry(value, -value)

    return loss, loc


@fault("weight")
def counted_twice():
    loc = leaf(1.0)

    def loss():
        value = (loc + torch.randn(64)).square().mean()
        return carry(value, 2 * value)

    return loss, loc


@fault("weight")
def hidden_beta():
    loc = leaf(0.4)

    def loss():
        value = 3 * torch.sin(loc + torch.randn(64)).mean()
        return carry(value, value / 3)

    return loss, loc


@fault("dropped")
def kl_without_its_gradient():
    loc, log_scale = leaf(0.2), leaf(-0.3)

    def loss():
        s = log_scale.exp()
        z = loc + s * torch.randn(64)
        kl = 0.5 * (s**2 + loc**2 - 1) - log_scale
        return 0.5 * (1 - z).square().mean() + kl.detach()

    return loss, {"loc": loc, "log_scale": log_scale}


@fault("dropped")
def jacobian_cut():
    loc = leaf(0.2)

    def loss():
        z = loc + torch.randn(256)
        return (torch.tanh(z) * (2 + torch.cos(3 * loc * z)).detach()).mean()

    return loss, loc


@fault("relaxation")
def straight_through():
    logit = leaf(0.3)

    def loss():
        p = torch.sigmoid(logit).expand(256)
        hard = (torch.rand(256) < p).float()
        b = hard + p - p.detach()
        return ((b - 0.45) ** 2).mean()

    return loss, logit


@fault("relaxation")
def gumbel_softmax_for_its_reference():
    logits, values = leaf(0.2, -0.4, 0.6), torch.tensor([1.0, 3.0, -1.0])

    def loss():
        gumbel = -torch.log(-torch.log(torch.rand(256, 3).clamp(1e-6, 1 - 1e-6)))
        return torch.exp(0.5 * torch.softmax((logits + gumbel) / 0.5, 1) @ values).mean()

    def reference():
        return (torch.softmax(logits, 0) * torch.exp(0.5 * values)).sum()

    return loss, {"logits": logits}, reference


@fault("baseline")
def own_sample_of_two():
    return bernoulli((2048, 2), lambda f: f - f.mean(-1, keepdim=True))


@fault("baseline")
def own_sample_of_four():
    return bernoulli((2048, 4), lambda f: f - f.mean(-1, keepdim=True))


@fault("overwritten")
def mask_reused_between_passes():
    loc, scale = leaf(0.3), leaf(0.6)
    eps = torch.zeros(128)

    def loss():
        total = torch.zeros(())
        for _ in range(3):
            eps.data.normal_()
            total = total + torch.cosh(0.5 * (loc + scale * eps)).mean() / 3
        return total

    return loss, {"loc": loc, "scale": scale}


@fault("dropped")
def half_of_the_weights_detached():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        w = torch.randn(40) * 0.2
    w.requires_grad_()
    x = torch.sin(torch.arange(320.0)).reshape(40, 8)
    mask = torch.arange(40) < 20

    def loss():
        seen = torch.where(mask, w, w.detach())
        return torch.tanh((seen + 0.3 * torch.randn(32, 40)) @ x).sum(-1).exp().mean()

    return loss, w
