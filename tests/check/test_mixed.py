"""Faults in models of many tensors, found with all tensors probed in each draw."""

import pytest
import torch
from torch import nn

import reparam as rp
from reparam.check import gradient

SEED = rp.Noise(22)
OPTIONS = {"max_seconds": 600.0, "max_draws": 1500, "false_alarm": 1e-3}


class Autoencoder(nn.Module):
    """A small VAE of plain torch; `encoder_share` of the gradient reaches the encoder, `kl_share` of that of the KL."""

    def __init__(
        self, encoder_share: float = 1.0, kl_share: float = 1.0, activation: type[nn.Module] = nn.ReLU
    ):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.encoder = nn.Sequential(nn.Linear(36, 24), activation(), nn.Linear(24, 8))
            self.decoder = nn.Sequential(nn.Linear(4, 24), activation(), nn.Linear(24, 36))
        self.shares = encoder_share, kl_share
        self.x = (torch.sin(torch.arange(16 * 36.0)).reshape(16, 36) > 0.2).float()

    def forward(self, noise):
        part = lambda t, share: share * t + (1 - share) * t.detach()  # noqa: E731
        loc, log_scale = self.encoder(self.x).chunk(2, -1)
        z = part(loc + log_scale.exp() * noise.normal((16, 4)), self.shares[0])
        logits = self.decoder(z)
        nll = nn.functional.softplus(logits) - self.x * logits
        kl = 0.5 * (loc**2 + (2 * log_scale).exp() - 1) - log_scale
        return (nll.sum(-1) + part(kl.sum(-1), self.shares[1])).mean()


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_right(activation):
    model = Autoencoder(activation=activation)
    assert gradient(model, model, noise=SEED, **OPTIONS).verdict == "unbiased"


@pytest.mark.parametrize("share", [0.5, 0.0, -1.0])
def test_the_encoder_is_accused_and_the_decoder_is_not(share):
    model = Autoencoder(encoder_share=share)
    report = gradient(model, model, noise=SEED, **OPTIONS)
    assert report.verdict == "biased", str(report)
    accused = [block.name for block in report.blocks if block.verdict == "biased"]
    assert accused
    assert all(name.startswith("encoder") for name in accused)


def test_a_dropped_kl_is_a_term_dropped():
    model = Autoencoder(kl_share=0.0)
    report = gradient(model, model, noise=SEED, **OPTIONS)
    assert report.verdict == "biased", str(report)
    assert "a term dropped" in report.cause


def test_a_wrong_weight_has_its_factor():
    model = Autoencoder()
    last = model.decoder[2]

    def loss(noise):
        weight, bias = (0.8 * p + 0.2 * p.detach() for p in (last.weight, last.bias))
        parameters = {**dict(model.named_parameters()), "decoder.2.weight": weight, "decoder.2.bias": bias}
        return torch.func.functional_call(model, parameters, (noise,))

    report = gradient(loss, model, noise=SEED, **OPTIONS)
    assert report.verdict == "biased", str(report)
    assert {b.name for b in report.blocks if b.verdict == "biased"} <= {"decoder.2.weight", "decoder.2.bias"}
    assert report.factor == pytest.approx(0.8, abs=0.02)
    assert "a wrong weight" in report.cause
