"""Time of a draw of every family, forward and backward: those that `benchmarks/distributions.py` leaves out.

    python benchmarks/every_family.py [--draws 100000] [--rounds 3] [--only Poisson Wishart]

Float32 and one thread; each parameter is one tensor, expanded to all draws, as a network would give it. Ours and
torch's alternate; CPU time of the thread, ns per draw (of a vector or matrix: per event), least of the rounds. Where a
family has no derivative, or torch's has none, the drawing alone is timed on that side, and marked. The backward pass
of torch's Wishart draws raises.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

import reparam as rp
from reparam import distributions as D

TRIL = [[1.0, 0.0, 0.0], [0.5, 0.7, 0.0], [-0.3, 0.2, 1.5]]
Build = Callable[..., Any]
# family: its parameters, and how it is made of a module and them where that is not by name
TABLE: dict[str, tuple[dict[str, Any], Build | None]] = {
    "Logistic": ({"loc": 0.3, "scale": 1.2}, None),
    "Cauchy": ({"loc": 0.3, "scale": 1.2}, None),
    "LogNormal": ({"loc": 0.3, "scale": 1.2}, None),
    "HalfNormal": ({"scale": 1.2}, None),
    "HalfCauchy": ({"scale": 1.2}, None),
    "Uniform": ({"low": -1.0, "high": 2.0}, None),
    "Pareto": ({"scale": 1.2, "alpha": 3.0}, None),
    "GeneralizedPareto": ({"loc": 0.3, "scale": 1.2, "concentration": 0.2}, None),
    "ContinuousBernoulli": ({"logits": 0.7}, None),
    "ExpGamma": ({"concentration": 2.5, "rate": 1.2}, None),
    "InverseGamma": ({"concentration": 2.5, "rate": 1.2}, None),
    "Chi2": ({"df": 5.0}, None),
    "Truncated": (
        {"concentration": 2.5, "rate": 1.2},
        lambda module, **p: D.Truncated(D.Gamma(**p, validate_args=False), 0.5, 3.0, validate_args=False),
    ),
    "Folded": (
        {"loc": 0.3, "scale": 1.2},
        lambda module, **p: D.Folded(D.Normal(**p, validate_args=False), validate_args=False),
    ),
    "Pushforward": (
        {"loc": 0.3, "scale": 1.2},
        lambda module, **p: D.Pushforward(
            D.Normal(**p, validate_args=False), [torch.distributions.ExpTransform()], validate_args=False
        ),
    ),
    "Bernoulli": ({"logits": 0.7}, None),
    "Geometric": ({"logits": 0.7}, None),
    "Poisson": ({"rate": 4.0}, None),
    "Binomial": (
        {"logits": 0.7},
        lambda module, **p: module.Binomial(20, **p, validate_args=False),
    ),
    "NegativeBinomial": (
        {"logits": 0.7},
        lambda module, **p: module.NegativeBinomial(4.0, **p, validate_args=False),
    ),
    "ZeroInflated": (
        {"rate": 4.0, "logits": 0.7},
        lambda module, rate, logits: D.ZeroInflated(
            D.Poisson(rate, validate_args=False), logits, validate_args=False
        ),
    ),
    "DiscretizedLogistic": (
        {"loc": 100.0, "scale": 12.0},
        lambda module, **p: D.DiscretizedLogistic(**p, low=0.0, high=255.0, bins=256, validate_args=False),
    ),
    "DiscretizedLogisticMixture": (
        {"logits": [0.3, -1.0], "loc": [9.5, 200.0], "scale": [3.0, 20.0]},
        lambda module, **p: D.DiscretizedLogisticMixture(
            **p, low=0.0, high=255.0, bins=256, validate_args=False
        ),
    ),
    "Categorical": ({"logits": [0.3, -1.0, 2.0, 0.0, 1.0]}, None),
    "OneHotCategorical": ({"logits": [0.3, -1.0, 2.0, 0.0, 1.0]}, None),
    "RelaxedBernoulli": (
        {"logits": 0.7},
        lambda module, **p: module.RelaxedBernoulli(torch.tensor(0.5), **p, validate_args=False),
    ),
    "MultivariateNormal": ({"loc": [0.0, 1.0, -2.0], "scale_tril": TRIL}, None),
    "LowRankMultivariateNormal": (
        {"loc": [0.0, 1.0, -2.0], "cov_factor": [[1.0], [0.5], [-2.0]], "cov_diag": [1.0, 0.1, 0.5]},
        None,
    ),
    "LogisticNormal": ({"loc": [0.3, -1.0, 0.0], "scale": [1.0, 0.3, 1.0]}, None),
    "Wishart": (
        {"df": 7.0, "scale_tril": TRIL},
        lambda module, **p: D.Wishart(**p, validate_args=False),
    ),
    "LKJCholesky": (
        {"concentration": 1.5},
        lambda module, **p: module.LKJCholesky(3, **p, validate_args=False),
    ),
    "VonMisesFisher": ({"loc": [0.0, 0.6, 0.8], "concentration": 5.0}, None),
    "PowerSpherical": ({"loc": [0.0, 0.6, 0.8], "concentration": 5.0}, None),
}


def once(module: Any, name: str, draws: int, **noise: Any) -> tuple[float, bool]:
    """Return the CPU seconds of one round, and whether it had a backward pass."""
    values, build = TABLE[name]
    leaves = {key: torch.tensor(value, requires_grad=True) for key, value in values.items()}
    start = time.thread_time()
    law = build(module, **leaves) if build else getattr(module, name)(**leaves, validate_args=False)
    if law.has_rsample:
        law.rsample((draws,), **noise).sum().backward()
    else:
        law.sample((draws,), **noise)
    return time.thread_time() - start, law.has_rsample


def row(name: str, draws: int, rounds: int) -> str:
    """Return a line of the table."""
    sides = [D, torch.distributions] if hasattr(torch.distributions, name) and name != "Wishart" else [D]
    times: list[list[float]] = [[] for _ in sides]
    backward = [True] * len(sides)
    for k in range(rounds + 1):
        for side, module in enumerate(sides):
            noise = {"noise": rp.Noise(k)} if module is D else {}
            seconds, backward[side] = once(module, name, draws, **noise)
            times[side].append(seconds)
    least = [min(t[1:]) * 1e9 / draws for t in times]
    cells = [f"{ns:.1f}{'' if back else ' (draw)'}" for ns, back in zip(least, backward)]
    fair = len(sides) == 2 and (backward[0] == backward[1])
    ratio = f"{least[0] / least[1]:.2f}" if fair else ""
    return f"| {name} | {cells[0]} | {cells[1] if len(sides) == 2 else 'none'} | {ratio} |"


def main() -> None:
    """Print ns per draw of every family."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| family | ours, ns per draw | torch, ns per draw | ratio |\n|---|---|---|---|")
    for name in TABLE:
        if not options.only or name in options.only:
            print(row(name, options.draws, options.rounds), flush=True)


if __name__ == "__main__":
    main()
