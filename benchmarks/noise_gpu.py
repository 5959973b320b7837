"""Time noise on a GPU against torch in one run, interleaved, and write benchmarks/results/noise_gpu.md.

    python benchmarks/noise_gpu.py

Medians of event times in milliseconds, 2^24 elements; what counts is the ratio. Without a GPU it says so and ends.
"""

import sys
from pathlib import Path

import torch

import reparam as rp
from reparam.kernels import select
from reparam.layers import gaussian

SIZE, REPEATS = 1 << 24, 50
RESULTS = Path(__file__).parent / "results" / "noise_gpu.md"


def median_times(functions):
    """Return the median milliseconds of functions that are called in turn."""
    times = [[] for _ in functions]
    for repeat in range(REPEATS + 5):
        for kept, function in zip(times, functions):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            function()
            end.record()
            torch.cuda.synchronize()
            if repeat >= 5:
                kept.append(start.elapsed_time(end))
    return [sorted(kept)[REPEATS // 2] for kept in times]


def gaussian_pair(shape):
    """Return the fused layer and torch.distributions, forward and backward."""
    noise, weight = rp.Noise(0), torch.ones(shape, device="cuda")
    loc, log_scale = (
        rp.Noise(k).normal(shape, device="cuda").mul(0.3).detach().requires_grad_() for k in (1, 2)
    )
    prior = torch.distributions.Normal(torch.zeros((), device="cuda"), torch.ones((), device="cuda"))

    def ours():
        z, kl = gaussian(loc, log_scale, noise=noise)
        torch.autograd.grad((z, kl), (loc, log_scale), (weight, torch.ones_like(kl)))

    def peer():
        q = torch.distributions.Normal(loc, log_scale.exp())
        z, kl = q.rsample(), torch.distributions.kl_divergence(q, prior).sum(-1)
        torch.autograd.grad((z, kl), (loc, log_scale), (weight, torch.ones_like(kl)))

    return ours, peer


def cases():
    """Yield (name, ours, peer)."""
    noise, f64 = rp.Noise(0), torch.float64
    yield (
        "uniform f32 / torch.rand",
        lambda: noise.uniform((SIZE,), device="cuda"),
        lambda: torch.rand(SIZE, device="cuda"),
    )
    yield (
        "normal f32 / torch.randn",
        lambda: noise.normal((SIZE,), device="cuda"),
        lambda: torch.randn(SIZE, device="cuda"),
    )
    yield (
        "normal f64 / torch.randn",
        lambda: noise.normal((SIZE,), dtype=f64, device="cuda"),
        lambda: torch.randn(SIZE, dtype=f64, device="cuda"),
    )
    yield (
        "exponential f32 / exponential_",
        lambda: noise.exponential((SIZE,), device="cuda"),
        lambda: torch.empty(SIZE, device="cuda").exponential_(),
    )
    for shape in ((128, 20), (8192, 64)):
        yield (f"fused Gaussian {shape}, forward and backward / torch.distributions", *gaussian_pair(shape))


def main():
    """Run every case, print and write the table."""
    if not torch.cuda.is_available():
        sys.exit("noise_gpu: there is no GPU that torch can use here; nothing was measured")
    rows = [
        f"# Noise on {torch.cuda.get_device_name()}, torch {torch.__version__}, back end {select.describe('cuda')}",
        "",
        "| case | ours ms | torch ms | ratio |",
        "| --- | --- | --- | --- |",
    ]
    for name, ours, peer in cases():
        a, b = median_times((ours, peer))
        rows.append(f"| {name} | {a:.3f} | {b:.3f} | {a / b:.2f} |")
        print(rows[-1], flush=True)
    RESULTS.write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
