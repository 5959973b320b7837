"""Times: Bayesian layers against bayesian-torch, and an estimator against the loop written by hand.

CPU times of interleaved runs on one thread; each round runs the ways in another order.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import reparam as rp
from estimator_tables.text import table
from reparam import distributions as D
from reparam import estimators as E
from reparam.layers import BayesLinear
from reparam.noise import Noise


class PeerLayer(nn.Module):
    """What the peer's weight-sampling layer does: softplus scales, torch noise into a buffer, KL in each forward."""

    def __init__(self) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.empty(400, 784).normal_(0, 0.1))
        self.rho = nn.Parameter(torch.empty(400, 784).normal_(-3, 0.1))
        self.register_buffer("eps", torch.zeros(400, 784))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        sigma = torch.log1p(torch.exp(self.rho))
        weight = self.mu + sigma * self.eps.data.normal_()
        kl = (-torch.log(sigma) + (sigma**2 + self.mu**2) / 2 - 0.5).mean()
        return nn.functional.linear(x, weight), kl


def peer_layer(folder: str | None) -> tuple[str, nn.Module]:
    """Return the peer's layer from its folder, or its behaviour as above."""
    if folder is None:
        return "peer's behaviour", PeerLayer()
    sys.path.append(folder)
    from bayesian_torch.layers import LinearReparameterization

    return "bayesian-torch LinearReparameterization", LinearReparameterization(784, 400)


def interleaved(ways: dict[str, Callable[[int], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median and the least CPU time of each way in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for k in range(rounds):
        for name in list(ways) if k % 2 else reversed(ways):
            start = time.thread_time()
            ways[name](k)
            times[name].append(1e3 * (time.thread_time() - start))
    return {name: (statistics.median(t[rounds // 8 :]), min(t)) for name, t in times.items()}


def time_table(what: str, times: dict[str, tuple[float, float]], base: str) -> str:
    """Return medians, least times, and their ratios to the base."""
    rows = []
    for way, pair in times.items():
        cells = [(t, t / b) for t, b in zip(pair, times[base])]
        rows.append([way, *(f"{x:.2f}" for cell in cells for x in cell)])
    return table([what, "CPU ms, median", "ratio", "least", "ratio"], rows)


def layer_times(peer: str | None, rounds: int) -> str:
    """Return the times of a step (forward, KL, backward) of 784 -> 400 on 128 rows."""
    x, noise = Noise(0).normal((128, 784)), Noise(1)
    name, other = peer_layer(peer)

    def peer_step(k: int) -> None:
        y, kl = other(x)
        (y.square().mean() + kl).backward()
        other.zero_grad()

    def step_of(layer: BayesLinear) -> Callable[[int], None]:
        def step(k: int) -> None:
            (layer(x, noise=noise.at(k)).square().mean() + layer.kl() / 1e4).backward()
            layer.zero_grad()

        return step

    weight = torch.nn.Parameter(Noise(2).normal((400, 784)))

    def products(k: int) -> None:
        """The four matrix products that local reparameterization needs, and nothing else."""
        with torch.no_grad():
            y = x @ weight.T
            _ = (x @ weight.T, y.T @ x, y.T @ x)

    layers = {m: BayesLinear(784, 400, method=m) for m in ("weight", "local", "flipout")}
    ways = {name: peer_step, **{m: step_of(layer) for m, layer in layers.items()}}
    ways["the matrix products of local alone"] = products
    return time_table("784 -> 400, batch 128: forward, KL, backward", interleaved(ways, rounds), name)


def overhead(rounds: int) -> str:
    """Return the times of leave-one-out on 100 x 200 Bernoulli sites, 8 samples, and of the same written by hand."""
    logits = Noise(0).normal((100, 200)).requires_grad_()
    weight = Noise(1).normal((200,))
    f = lambda b: (b @ weight) ** 2  # noqa: E731

    def ours(k: int) -> None:
        q = D.Independent(D.Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)
        rp.expect(f, q, samples=8, noise=Noise(2).at(k), estimator=E.LeaveOneOut()).sum().backward()

    def by_hand(k: int) -> None:
        eps = Noise(2).at(k).logistic((8, 100, 200))
        b = (logits.detach() + eps > 0).float()
        log_q = -nn.functional.binary_cross_entropy_with_logits(
            logits.expand(8, -1, -1), b, reduction="none"
        ).sum(-1)
        value = f(b)
        baseline = (value.sum(0) - value) / 7
        (value + (value - baseline).detach() * (log_q - log_q.detach())).mean(0).sum().backward()

    hand = "by hand, the same noise"
    return time_table("leave-one-out", interleaved({hand: by_hand, "rp.expect": ours}, rounds), hand)
