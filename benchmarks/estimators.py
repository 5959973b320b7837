"""Variances, verdicts and times of the estimators, written as tables to benchmarks/results/estimators.md.

    python benchmarks/estimators.py [--quick] [--peer PATH] [--only TEXT]

--peer is a folder that holds the package bayesian_torch (pip install --no-deps --target PATH bayesian-torch); without
it the layer's peer is its behaviour written out in estimator_tables/times.py. Times are CPU times of interleaved runs
on one thread.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from estimator_tables.bounds import batch_slopes, inference_signal, kl_table, landing
from estimator_tables.categorical_vae import vae_table
from estimator_tables.logistic import logistic_table
from estimator_tables.times import layer_times, overhead
from estimator_tables.toy import learned_table, toy_table
from estimator_tables.variances import gaussian_table
from estimator_tables.variances import toy_table as toy_variances
from estimator_tables.verdicts import choice_table, verdict_table

RESULTS = Path(__file__).parent / "results" / "estimators.md"
STEPS = {0.45: (400, 1024), 0.49: (1_000, 1024), 0.499: (2_000, 8192)}  # the signal is proportional to 1 - 2t


def jobs(quick: bool, peer: str | None) -> dict[str, Callable[[], str]]:
    """Return the sections of the report in their order, by title."""
    few = lambda small, full: small if quick else full  # noqa: E731
    return {
        "Gaussian: variances per draw at N(1, 1)": lambda: gaussian_table(few(1 << 19, 1 << 24)),
        "Bernoulli toy, t = .45: variances at two draws": lambda: toy_variances(few(1 << 19, 1 << 24)),
        "Gaussian: the check's choice in loc": lambda: choice_table(few(5, 20)),
        "The check's verdict on each estimator": lambda: verdict_table(few(10, 60)),
        "Bernoulli toy E(b - t)^2: p from .5 on (optimum 0)": lambda: toy_table(
            few({0.45: STEPS[0.45]}, STEPS)
        ),
        "Bernoulli toy: variance at two draws after training": lambda: learned_table(
            500, few(1 << 17, 1 << 21)
        ),
        "Bayesian logistic regression, scikit-learn's breast-cancer data": lambda: logistic_table(
            few(200, 600)
        ),
        "Categorical VAE of two latents: against the exact gradient": lambda: vae_table(few(100, 1_000)),
        "Bayesian layers: gradient variance against batch size": lambda: batch_slopes(few(100, 400)),
        "Sticking the landing: variance as q approaches p": lambda: landing(few(1_000, 4_000)),
        "Importance-weighted bound: signal of the inference network": lambda: inference_signal(
            few(1_000, 20_000)
        ),
        "KL estimates: what their gradients are": lambda: kl_table(few(20_000, 2_000_000)),
        "Time: Bayesian layers": lambda: layer_times(peer, few(24, 160)),
        "Time: leave-one-out against the loop by hand": lambda: overhead(few(40, 400)),
    }


def main() -> None:
    """Run the sections asked for and write the report, keeping the others as they stand."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller runs")
    parser.add_argument("--peer", help="the folder of the peer")
    parser.add_argument("--only", default="", help="sections whose title holds this text; the others stay")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    version = f"torch {torch.__version__}, one thread.\n"
    head = "# Estimators\n\nWritten by `python benchmarks/estimators.py`; " + version
    before = dict(part.split("\n\n", 1) for part in RESULTS.read_text().split("\n## ")[1:])
    sections = jobs(arguments.quick, arguments.peer)
    bodies = {title: before[title].rstrip("\n") + "\n" for title in sections if title in before}
    for title, job in sections.items():
        if arguments.only in title:
            bodies[title] = job()
            print(f"## {title}\n\n{bodies[title]}", flush=True)
            text = "".join(f"\n## {t}\n\n{bodies[t]}" for t in sections if t in bodies)
            RESULTS.write_text(head + text)


if __name__ == "__main__":
    main()
