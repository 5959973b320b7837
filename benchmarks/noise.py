"""Time noise against torch in one run, interleaved, and write benchmarks/results/noise.md.

    python benchmarks/noise.py

Medians and minima in milliseconds or microseconds of one thread; what counts is the ratio within a row. On a busy
machine the minimum is the steadier of the two.
"""

import os
import platform
import time
from pathlib import Path

import torch

import reparam as rp
from reparam.layers import gaussian

SIZE = 10**6
RESULTS = Path(__file__).parent / "results" / "noise.md"


def interleaved(ours, peer, repeats):
    """Return (median, minimum) seconds of two functions called in turn."""
    ours(), peer()
    times = ([], [])
    for _ in range(repeats):
        for kept, function in zip(times, (ours, peer)):
            start = time.perf_counter()
            function()
            kept.append(time.perf_counter() - start)
    return [(sorted(kept)[repeats // 2], min(kept)) for kept in times]


def gaussian_pair(shape):
    """Return the fused layer and torch.distributions, forward and backward."""
    noise, weight = rp.Noise(0), torch.ones(shape)
    loc, log_scale = (rp.Noise(k).normal(shape).mul(0.3).requires_grad_() for k in (1, 2))
    prior = torch.distributions.Normal(0.0, 1.0)

    def ours():
        z, kl = gaussian(loc, log_scale, noise=noise)
        torch.autograd.grad((z, kl), (loc, log_scale), (weight, torch.ones_like(kl)))

    def peer():
        q = torch.distributions.Normal(loc, log_scale.exp())
        z, kl = q.rsample(), torch.distributions.kl_divergence(q, prior).sum(-1)
        torch.autograd.grad((z, kl), (loc, log_scale), (weight, torch.ones_like(kl)))

    return ours, peer


def cases():
    """Yield (name, must, ours, peer, repeats)."""
    noise, index = rp.Noise(0), torch.arange(128)
    yield (
        "normal f32, 10^6 / torch.randn",
        "0.55",
        lambda: noise.normal((SIZE,)),
        lambda: torch.randn(SIZE),
        40,
    )
    wide = {"dtype": torch.float64}
    yield (
        "normal f64, 10^6 / torch.randn",
        "1",
        lambda: noise.normal((SIZE,), **wide),
        lambda: torch.randn(SIZE, **wide),
        15,
    )
    yield (
        "uniform f32, 10^6 / torch.rand",
        "0.5",
        lambda: noise.uniform((SIZE,)),
        lambda: torch.rand(SIZE),
        40,
    )
    yield (
        "normal f32, 128 x 20 / torch.randn",
        "15 us",
        lambda: noise.normal((128, 20)),
        lambda: torch.randn(128, 20),
        2000,
    )

    def full():
        noise.child("z").at(3).rows(index).normal((128, 20))

    yield (
        "child().at().rows().normal(), 128 x 20 / torch.randn",
        "25 us",
        full,
        lambda: torch.randn(128, 20),
        2000,
    )
    yield (
        "gaussian layer + KL, fwd + bwd, 8192 x 64 / torch.distributions",
        "0.3",
        *gaussian_pair((8192, 64)),
        20,
    )
    yield (
        "gaussian layer + KL, fwd + bwd, 128 x 20 / torch.distributions",
        "1",
        *gaussian_pair((128, 20)),
        300,
    )
    compiled = torch.compile(lambda seed: rp.Noise(seed).normal((SIZE,)) + 1, fullgraph=True)
    theirs = torch.compile(lambda: torch.randn(SIZE) + 1, fullgraph=True)
    seed = torch.tensor(3)
    yield (
        "normal f32 inside torch.compile, 10^6 / compiled torch.randn",
        "0.2",
        lambda: compiled(seed),
        theirs,
        15,
    )


def two_threads():
    """Return the speed-up of 10^6 normals on two threads."""
    noise = rp.Noise(0)

    def on(threads):
        def draw():
            torch.set_num_threads(threads)
            noise.normal((SIZE,))

        return draw

    one, two = interleaved(on(1), on(2), 40)
    torch.set_num_threads(1)
    return one[0] / two[0], one[1] / two[1]


def main():
    torch.set_num_threads(1)
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
    lines = [f"torch {torch.__version__}, {platform.machine()}, one thread; {load}", ""]
    lines += [
        "| what | must | ours, us (median / min) | peer, us (median / min) | ratio of medians / minima |"
    ]
    lines += ["|---|---|---|---|---|"]
    for name, must, ours, peer, repeats in cases():
        (a, a_least), (b, b_least) = interleaved(ours, peer, repeats)
        times = f"{a * 1e6:.1f} / {a_least * 1e6:.1f} | {b * 1e6:.1f} / {b_least * 1e6:.1f}"
        lines.append(f"| {name} | {must} | {times} | {a / b:.2f} / {a_least / b_least:.2f} |")
        print(lines[-1], flush=True)
    median, least = two_threads()
    lines += [
        "",
        f"10^6 normals, two threads: {median:.2f} (median), {least:.2f} (minimum) times one thread's speed.",
    ]
    print(lines[-1])
    RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
