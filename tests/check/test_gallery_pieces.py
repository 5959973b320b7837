"""What the scripts of the gallery share is right: each fault is the one line that a script changes."""

import sys
from pathlib import Path

import pytest
import torch

GALLERY = Path(__file__).parents[2] / "examples" / "wrong_gradients"


@pytest.fixture
def pieces(monkeypatch):
    monkeypatch.syspath_prepend(GALLERY)
    for name in [name for name in sys.modules if name.split(".")[0] == "pieces"]:
        monkeypatch.delitem(sys.modules, name)
    from pieces import drawn_sets, relaxed_bernoulli

    return drawn_sets, relaxed_bernoulli


def gradients(loss, leaf, n):
    torch.manual_seed(0)
    return torch.stack([torch.autograd.grad(loss(), leaf)[0] for _ in range(n)]).double()


def test_shared_losses_are_right(pieces):
    """1,000 losses each, |z| < 5.5 (4e-8 per number), against p (1 - p) (1 - 2t) and the gradient of the sum."""
    drawn_sets, relaxed_bernoulli = pieces
    loss, params = relaxed_bernoulli.build()
    p = torch.sigmoid(params["eta"].detach())
    wanted = [(loss, params["eta"], p * (1 - p) * (1 - 2 * relaxed_bernoulli.T))]
    for k in (2, 3):
        loss, params, reference = drawn_sets.build(k, lambda log_p: log_p)
        wanted.append((loss, params["logits"], torch.autograd.grad(reference(), params["logits"])[0]))
    for loss, leaf, exact in wanted:
        g = gradients(loss, leaf, 1_000)
        assert ((g.mean(0) - exact).abs() < 5.5 * g.std(0) / 1_000**0.5).all()
