"""Time noise against torch in one run, interleaved, and write benchmarks/results/noise.md.

    python benchmarks/noise.py

Medians and minima in microseconds, of wall time and of CPU time (of all threads together). What counts is the ratio
within a row; on a busy machine, the minimum and the CPU time are the steadier ones.
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
CLOCKS = (time.perf_counter, time.process_time)


def interleaved(functions, repeats):
    """Return, for each function, its (median, minimum) in seconds by each clock; the functions are called in turn."""
    times = [([], []) for _ in functions]
    for number in range(-2, repeats):
        for kept, function in zip(times, functions):
            start = [clock() for clock in CLOCKS]
            function()
            stop = [clock() for clock in CLOCKS]
            if number >= 0:
                for one, a, b in zip(kept, start, stop):
                    one.append(b - a)
    return [[(sorted(one)[repeats // 2], min(one)) for one in kept] for kept in times]


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
        100,
    )
    wide = {"dtype": torch.float64}
    yield (
        "normal f64, 10^6 / torch.randn",
        "1",
        lambda: noise.normal((SIZE,), **wide),
        lambda: torch.randn(SIZE, **wide),
        40,
    )
    yield (
        "uniform f32, 10^6 / torch.rand",
        "0.5",
        lambda: noise.uniform((SIZE,)),
        lambda: torch.rand(SIZE),
        100,
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
        40,
    )
    yield (
        "gaussian layer + KL, fwd + bwd, 128 x 20 / torch.distributions",
        "1",
        *gaussian_pair((128, 20)),
        300,
    )
    seeds = torch.arange(1000)
    yield (
        "vmap over 1,000 seeds, 128 normals f32 each / torch.randn(1000, 128)",
        "",
        lambda: torch.func.vmap(lambda seed: rp.Noise(seed).normal((128,)))(seeds),
        lambda: torch.randn(1000, 128),
        100,
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


def with_threads(count, function):
    """Return the function run on so many threads."""

    def run():
        torch.set_num_threads(count)
        function()

    return run


def threads_cases():
    """Yield (name, must, function) of what should be faster on two threads."""
    noise = rp.Noise(0)
    yield "normal f32, 10^6", "1.7", lambda: noise.normal((SIZE,))
    yield "normal f64, 10^6", "1.7", lambda: noise.normal((SIZE,), dtype=torch.float64)
    yield "uniform f32, 10^6", "", lambda: noise.uniform((SIZE,))
    index = torch.arange(SIZE // 100)
    yield "normal f32, rows, 10^4 x 100", "", lambda: noise.rows(index).normal((len(index), 100))
    yield "gaussian layer + KL, fwd + bwd, 8192 x 64", "", gaussian_pair((8192, 64))[0]


def both(pair):
    """Return "median / minimum" of a pair of seconds, in microseconds."""
    return f"{pair[0] * 1e6:.1f} / {pair[1] * 1e6:.1f}"


def quotient(a, b):
    """Return "ratio of medians / ratio of minima"."""
    return f"{a[0] / b[0]:.2f} / {a[1] / b[1]:.2f}"


def line(name, must, a, a_cpu, b, b_cpu, *quotients):
    """Return a row of a table: wall and CPU times of two things, and what their quotients are."""
    return f"| {' | '.join([name, must, *map(both, (a, a_cpu, b, b_cpu)), *quotients])} |"


def one_thread_table():
    """Yield the lines of ours against torch's."""
    torch.set_num_threads(1)
    yield "| what | must | ours, wall | ours, CPU | torch, wall | torch, CPU | ratio, wall | ratio, CPU |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, must, ours, peer, repeats in cases():
        (a, a_cpu), (b, b_cpu) = interleaved((ours, peer), repeats)
        yield line(name, must, a, a_cpu, b, b_cpu, quotient(a, b), quotient(a_cpu, b_cpu))


def two_threads_table():
    """Yield the lines of one thread against two."""
    yield "| what | must | one, wall | one, CPU | two, wall | two, CPU | speed-up, wall | CPU of two / one |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, must, function in threads_cases():
        (a, a_cpu), (b, b_cpu) = interleaved([with_threads(n, function) for n in (1, 2)], 200)
        yield line(name, must, a, a_cpu, b, b_cpu, quotient(a, b), quotient(b_cpu, a_cpu))


def main():
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
    lines = [
        "# Noise",
        "",
        f"`python benchmarks/noise.py`: torch {torch.__version__}, {platform.machine()}; {load}.",
    ]
    lines += ["Each cell: median / minimum; times in microseconds."]
    for title, table in (("One thread", one_thread_table()), ("Two threads", two_threads_table())):
        lines += ["", f"## {title}", ""]
        for line in table:
            lines.append(line)
            print(line, flush=True)
    RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
