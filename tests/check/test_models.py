"""Models of other kinds, right and with one part of the gradient scaled: default options, no limit of time."""

import pytest
import torch
from torch import nn

import reparam as rp
from reparam.check import gradient


def scaled(x: torch.Tensor, share: float) -> torch.Tensor:
    """Return x with `share` of its gradient."""
    return share * x + (1 - share) * x.detach()


class ConvVAE(nn.Module):
    """A convolutional VAE of 8 x 8 pictures; `share` of the gradient of the draw reaches the encoder."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share
        self.encoder = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 8))
        self.decoder = nn.Sequential(
            nn.Linear(4, 128), nn.ReLU(), nn.Unflatten(1, (8, 4, 4)), nn.ConvTranspose2d(8, 1, 4, 2, 1)
        )
        self.x = (torch.sin(torch.arange(512.0)).reshape(8, 1, 8, 8) > 0.2).float()

    def forward(self, noise):
        loc, log_scale = self.encoder(self.x).chunk(2, -1)
        logits = self.decoder(scaled(loc + log_scale.exp() * noise.normal((8, 4)), self.share))
        nll = (nn.functional.softplus(logits) - self.x * logits).sum((1, 2, 3))
        return (nll + (0.5 * (loc**2 + (2 * log_scale).exp() - 1) - log_scale).sum(-1)).mean()


class BayesMLP(nn.Module):
    """Two layers of Gaussian weights; `share` of the gradient of the draw reaches the scales."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share
        self.locs = nn.ParameterList([0.4 * torch.randn(5, 16), 0.25 * torch.randn(16, 1)])
        self.log_scales = nn.ParameterList([torch.full((5, 16), -2.0), torch.full((16, 1), -2.0)])
        self.x = torch.randn(16, 5)

    def forward(self, noise):
        first, second = (
            loc + scaled(s.exp(), self.share) * noise.child(str(i)).normal(tuple(s.shape))
            for i, (loc, s) in enumerate(zip(self.locs, self.log_scales))
        )
        error = torch.tanh(self.x @ first) @ second - self.x[:, :1].sin()
        kl = sum((0.5 * (m**2 + (2 * s).exp() - 1) - s).sum() for m, s in zip(self.locs, self.log_scales))
        return 4 * error.square().sum() + 0.1 * kl


class Sampler(nn.Module):
    """Four steps of a sampler with a small U-Net; `share` of the gradient passes from step to step."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share
        self.enter, self.down = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, 2, 1)
        self.middle, self.up = nn.Conv2d(16, 16, 3, padding=1), nn.ConvTranspose2d(16, 8, 4, 2, 1)
        self.leave = nn.Conv2d(16, 1, 3, padding=1)

    def net(self, x):
        high = nn.functional.silu(self.enter(x))
        low = nn.functional.silu(self.down(high))
        low = low + nn.functional.silu(self.middle(low))
        return self.leave(torch.cat([high, nn.functional.silu(self.up(low))], 1))

    def forward(self, noise):
        x = noise.child("start").normal((4, 1, 8, 8))
        for t in range(4):
            x = scaled(x, self.share) - 0.25 * self.net(x) + 0.3 * noise.child(f"{t}").normal((4, 1, 8, 8))
        return (x - 1).square().mean()


def judge(kind: type[nn.Module], share: float):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(share)
    return gradient(model, model, noise=rp.Noise(7), max_seconds=3600.0)


@pytest.mark.stats
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("kind", "share"), [(ConvVAE, 0.5), (Sampler, 0.8)])
def test_right_and_wrong(kind, share):
    right, wrong = judge(kind, 1.0), judge(kind, share)
    assert (right.verdict, wrong.verdict) == ("unbiased", "biased"), f"{right}\n{wrong}"
    assert right.draws < 1000
    assert wrong.draws < 2000
    assert "a term dropped" in wrong.cause or "a wrong weight" in wrong.cause


def test_a_bayesian_network_is_cleared_at_once():
    report = judge(BayesMLP, 1.0)
    assert report.verdict == "unbiased", str(report)
    assert report.draws < 1000
