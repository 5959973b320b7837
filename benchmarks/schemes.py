"""Variance of an estimate under each noise scheme, as a ratio to plain noise with as many samples.

    python benchmarks/schemes.py [--out benchmarks/results/schemes.md]

Problems: E (x-3)^2 and E exp(-.1 x^2), x ~ N(0, 1); E exp(.2 sum x) in 20 dimensions; the ELBO of 64 digits under a
VAE with 8 latents, trained here for 20 epochs (mean over the digits of the variance of each digit's bound).
Variances are over 2,000 independent rows (the ELBO: 200 replicates): the ratios have a relative standard error of
about 5 % (the ELBO: 2 %).
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

import reparam as rp
from reparam.cli import main as reparam
from reparam.noise import Noise, NoiseSpec

KINDS = ("antithetic", "stratified", "sobol")
SAMPLES = (16, 64, 256)
ROWS, REPLICATES, DIGITS = 2000, 200, 64


def scheme(noise: Noise, kind: str) -> Noise:
    return noise if kind == "plain" else getattr(noise, kind)()


def integral(f: Callable[[Tensor], Tensor], dimension: int) -> Callable[[Noise, int], float]:
    def variance(noise: Noise, samples: int) -> float:
        spec = NoiseSpec("normal", (samples, ROWS, dimension), 1, torch.float64)
        return float(f(noise.rows(torch.arange(ROWS)).draw(spec)).mean(0).var())

    return variance


def digits_bound() -> Callable[[Noise, int], float]:
    """Train a VAE and return the variance of its ELBO per digit, given the binarised digits."""
    with tempfile.TemporaryDirectory() as folder:
        options = (
            "--data digits --likelihood bernoulli --latent 8 --lr 0.002 --epochs 20 --threads 1 --seed 0"
        )
        if reparam(["train", "vae", *options.split(), "--out", f"{folder}/run"]):
            raise RuntimeError("training failed")
        model = rp.load(f"{folder}/run")
    x = model.prepare(rp.data.load("digits").batch()[:DIGITS])
    target = model.likelihood.target(x, Noise(0).child("target"))
    index = torch.arange(DIGITS)

    @torch.no_grad()
    def variance(noise: Noise, samples: int) -> float:
        q, prior = model.infer(target), model.prior()
        bounds = [
            rp.elbo(
                lambda z: model.log_likelihood(z, target),
                q,
                prior=prior,
                samples=samples,
                noise=part.rows(index),
            ).bound
            for part in noise.split(REPLICATES)
        ]
        return float(torch.stack(bounds).double().var(0).mean())

    return variance


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="write the table (Markdown)")
    arguments = parser.parse_args()
    problems = {
        "E (x-3)^2": integral(lambda x: ((x - 3) ** 2).sum(-1), 1),
        "E exp(-.1 x^2)": integral(lambda x: torch.exp(-0.1 * x**2).sum(-1), 1),
        "E exp(.2 sum x), 20 dimensions": integral(lambda x: torch.exp(0.2 * x.sum(-1)), 20),
        "ELBO of digits": digits_bound(),
    }
    lines = [
        "# Variance under noise schemes, relative to plain noise",
        "",
        "Made by `python benchmarks/schemes.py`; below 1 is better. What is measured: see the script's header.",
        "",
        "| problem | samples | " + " | ".join(KINDS) + " |",
        "|---|---|" + "---|" * len(KINDS),
    ]
    for name, variance in problems.items():
        for samples in SAMPLES:
            plain = variance(Noise(1), samples)
            ratios = [variance(scheme(Noise(1).child(kind), kind), samples) / plain for kind in KINDS]
            lines.append(f"| {name} | {samples} | " + " | ".join(f"{ratio:.2g}" for ratio in ratios) + " |")
            print(lines[-1], flush=True)
    if arguments.out is not None:
        arguments.out.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
