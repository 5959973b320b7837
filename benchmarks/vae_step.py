"""A VAE training step against the same step written by hand in plain torch.

Model: 784-400-20 MLP, Bernoulli likelihood, batch 128, Adam; data: the embedded digits, enlarged to 28 x 28 and
binarised at 1/2. Given the same initial weights and noise, both have the same loss at every step.

    python benchmarks/vae_step.py [--steps 200] [--rounds 7] [--nll]

Prints the largest difference of the losses, the wall and CPU time per step of each (over rounds, interleaved) and
their ratio; with --nll also the test IWAE-500 NLL of both over 5 seeds.
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from reparam.data import epoch_order, from_array, load, split
from reparam.models import ModelSpec, build_vae
from reparam.noise import Noise
from reparam.train.evaluate import evaluate
from reparam.train.fit import DatasetExamples, adam
from reparam.train.loop import Loop

CLOCKS = (time.perf_counter, time.process_time)
BATCH, LATENT, HIDDEN, RATE = 128, 20, 400, 1e-3
SPEC = ModelSpec((784,), LATENT, "mlp", (HIDDEN,), "bernoulli", pictures=False)


class HandWritten(nn.Module):
    """The example VAE of every tutorial."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, 2 * LATENT)
        self.fc3 = nn.Linear(LATENT, HIDDEN)
        self.fc4 = nn.Linear(HIDDEN, 784)

    def forward(self, x: Tensor, eps: Tensor) -> Tensor:
        mu, log_sigma = self.fc2(torch.relu(self.fc1(x))).chunk(2, -1)
        z = mu + log_sigma.exp() * eps
        logits = self.fc4(torch.relu(self.fc3(z)))
        bce = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = 0.5 * (mu.square() + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum()
        return (bce + kl) / len(x)

    def take(self, model: nn.Module) -> None:
        """Take the weights of our model, layer by layer."""
        pairs = zip(self.parameters(), list(model.parameters()))
        with torch.no_grad():
            for mine, theirs in pairs:
                mine.copy_(theirs)


def pictures() -> DatasetExamples:
    """Return the binarised 28 x 28 digits."""
    small = load("digits").batch()
    large = nn.functional.interpolate(small, size=(28, 28), mode="bilinear") > 0.5
    return DatasetExamples(from_array(large.flatten(1).numpy(), kind="binary"), torch.arange(len(small)))


def ours(data: DatasetExamples, seed: int, epochs: int) -> Loop:
    """Return our loop at its start."""
    model = build_vae(SPEC, Noise(seed).child("init"))
    return Loop(
        model,
        adam(model, RATE),
        data,
        None,
        lambda m, x, n, _: m.elbo(x, noise=n),
        Noise(seed),
        epochs,
        BATCH,
    )


def train_by_hand(model: HandWritten, x: Tensor, seed: int, steps: int, noise: Noise | None) -> list[float]:
    """Train by hand; with noise given, use the numbers that our loop uses, else torch.randn."""
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    losses, per_epoch = [], -(-len(x) // BATCH)
    for step in range(steps):
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            order = epoch_order(len(x), seed, epoch)
        index = order[place * BATCH : (place + 1) * BATCH]
        batch = x[index]
        if noise is None:
            eps = torch.randn(len(index), LATENT)
        else:
            eps = noise.child("train").at(step).rows(index).child("latent").normal((len(index), LATENT))
        loss = model(batch, eps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def compare_losses(data: DatasetExamples, steps: int) -> float:
    """Return the largest relative difference between the losses of both, step by step."""
    loop, hand, worst = ours(data, 0, 1000), HandWritten(), 0.0
    hand.take(loop.module)
    recorded: list[float] = []
    update = loop._update
    loop._update = lambda positions: recorded.append((n := update(positions))["loss"]) or n  # type: ignore[method-assign]
    for _ in range(steps):
        loop._one_step()
    by_hand = train_by_hand(hand, data.dataset.batch(), 0, steps, Noise(0))
    for a, b in zip(recorded, by_hand):
        worst = max(worst, abs(a - b) / abs(b))
    return worst


def time_steps(data: DatasetExamples, steps: int, rounds: int) -> Iterator[str]:
    """Yield a line for wall and for CPU time: milliseconds per step, medians and minima over rounds, and ratios."""
    x, hand, loop = data.dataset.batch(), HandWritten(), ours(data, 0, 10**6)
    times = []
    for _ in range(rounds + 1):
        start = np.array([clock() for clock in CLOCKS])
        train_by_hand(hand, x, 0, steps, None)
        middle = np.array([clock() for clock in CLOCKS])
        for _ in range(steps):
            loop._one_step()
        times.append((middle - start, np.array([clock() for clock in CLOCKS]) - middle))
    made = 1e3 / steps * np.array(times[1:])  # (rounds, by hand and ours, clocks)
    for k, clock in enumerate(("wall", "CPU")):
        a, b = made[:, 0, k], made[:, 1, k]
        yield (
            f"{clock}: by hand {np.median(a):.2f} ms (least {a.min():.2f}), ours {np.median(b):.2f} ms (least "
            f"{b.min():.2f}) a step; median ratio {np.median(b / a):.3f}, of the least {b.min() / a.min():.3f}"
        )


def compare_nll(seeds: int, epochs: int) -> None:
    """Print the test NLL of both, trained on one split from the same weights in the same order, each with its noise."""
    data = pictures()
    for seed in range(seeds):
        train, _, test = (DatasetExamples(data.dataset, index) for index in split(len(data), seed))
        loop, hand = ours(train, seed, epochs), HandWritten()
        hand.take(loop.module)
        loop.run()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            train_by_hand(hand, data.dataset.batch(train.index), seed, loop.total, None)
        results = [evaluate(loop.module, test, samples=500, noise=Noise(0))]  # type: ignore[arg-type]
        twin = build_vae(SPEC, Noise(seed))
        with torch.no_grad():
            for mine, theirs in zip(twin.parameters(), hand.parameters()):
                mine.copy_(theirs)
        results.append(evaluate(twin, test, samples=500, noise=Noise(0)))
        a, b = results
        print(
            f"seed {seed}: NLL ours {a.nll_nats:.3f}, by hand with its own noise {b.nll_nats:.3f} "
            f"(standard error over examples {a.nll_standard_error_nats:.3f})"
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--nll", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = pictures()
    worst = compare_losses(data, options.steps)
    print(f"largest relative difference of the losses over {options.steps} steps: {worst:.1e}")
    for line in time_steps(data, options.steps, options.rounds):
        print(line)
    if options.nll:
        compare_nll(5, 60)


if __name__ == "__main__":
    main()
