"""What the gradient check must show: labelled losses, calibration, power, time. Writes benchmarks/results/check_*.md.

python benchmarks/check.py labelled|calibration|power|time [--seeds N] [--first N] [--records FILE]

Every run is appended to the records as it ends, and what stands there is not run again: a table can be made in pieces,
by several processes with records of their own, and from the joined records.
"""

import argparse
import importlib.util
import json
import math
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import torch

from reparam import Noise
from reparam.check import Report, gradient

HERE = Path(__file__).parent
LEVELS = (0.05, 0.01)


class Records:
    """Results by key, kept in a file of JSON lines."""

    def __init__(self, path: Path):
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.rows = {tuple(row["key"]): row for row in map(json.loads, lines)}

    def run(self, key: tuple[Hashable, ...], build: Callable[[], tuple], **options: Any) -> dict[str, Any]:
        """Return what a check found: run, timed and appended unless it stands there."""
        if key not in self.rows:
            loss, params, *reference = build()
            cpu = time.process_time()
            report = gradient(loss, params, reference=reference[0] if reference else None, **options)
            self.rows[key] = {"key": list(key), "cpu": time.process_time() - cpu, **kept(report)}
            with self.path.open("a") as file:
                print(json.dumps(self.rows[key]), file=file)
        return self.rows[key]


def kept(report: Report) -> dict[str, Any]:
    """Return what the tables need of a report."""
    return {
        "verdict": report.verdict,
        "cause": report.cause,
        "interval": report.interval,
        "draws": report.draws,
        "seconds": report.seconds,
    }


def write(name: str, lines: list[str]) -> None:
    """Write a table of results with the machine it came from."""
    head = [
        f"torch {torch.__version__}, {platform.machine()}, one thread; `python benchmarks/check.py {name}`",
        "",
    ]
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / f"check_{name}.md").write_text("\n".join([f"# Check: {name}", "", *head, *lines, ""]))
    print("\n".join(lines))


def cases() -> list:
    """Return the labelled losses of the tests."""
    path = HERE.parent / "tests" / "check" / "labelled" / "__init__.py"
    spec = importlib.util.spec_from_file_location("labelled", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["labelled"] = module
    spec.loader.exec_module(module)
    return module.CASES


# --- right estimators that are noisy, and the same with a planted bias ------------------------------------------


class Scaled(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return ctx.factor * grad, None


def gaussian_pathwise(factor: float = 1.0, S: int = 16):
    """E (z + 3)^2, z ~ N(loc, 1)."""
    loc = torch.tensor(1.0, requires_grad=True)
    return lambda: ((Scaled.apply(loc, factor) + torch.randn(S) + 3) ** 2).mean(), loc


def gaussian_score(factor: float = 1.0, S: int = 16):
    """E exp(-.1 z^2), z ~ N(loc, 1), by the score function with a constant baseline."""
    loc = torch.tensor(1.0, requires_grad=True)

    def loss():
        eps = torch.randn(S)
        f = torch.exp(-0.1 * (loc.detach() + eps) ** 2)
        return f.mean() + ((f - 0.8) * eps).mean() * factor * (loc - loc.detach())

    return loss, loc


def bernoulli_leave_one_out(factor: float = 1.0, S: int = 16, t: float = 0.2):
    """E (b - t)^2, b ~ Bernoulli(sigmoid(.3)), by the score function with a leave-one-out baseline."""
    logit = torch.tensor(0.3, requires_grad=True)

    def loss():
        p = torch.sigmoid(logit.detach())
        b = (torch.rand(S) < p).float()
        f = (b - t) ** 2
        f_bar = f.mean()
        slope = ((f - f_bar) * (b - p)).mean() * (S / (S - 1))
        return f_bar + slope * factor * (logit - logit.detach())

    return loss, logit


EXACT = {
    "gaussian_score": -0.2 * 1.2**-1.5 * math.exp(-0.1 / 1.2),
    "bernoulli_leave_one_out": 0.6 * math.exp(0.3) / (1 + math.exp(0.3)) ** 2,
}


# --- the tables ----------------------------------------------------------------------------------------------------


def labelled(seeds: range, records: Records) -> None:
    """Every labelled loss at every seed: verdict, cause, draws, CPU seconds."""
    rows, right, named, faults = [], 0, 0, 0
    for case in cases():
        found = [
            records.run((case.name, seed), case.build, noise=Noise(seed), max_seconds=3600.0, **case.options)
            for seed in seeds
        ]
        verdicts = sum(r["verdict"] == case.verdict for r in found)
        causes = sum(r["verdict"] == case.verdict and case.cause in r["cause"] for r in found)
        right += verdicts
        if case.verdict == "biased":
            faults += len(found)
            named += causes
        low, high = min(r["interval"][0] for r in found), max(r["interval"][1] for r in found)
        cause = ", ".join(sorted({r["cause"].split(":")[0] for r in found}))
        rows.append(
            f"| {case.name} | {case.verdict} | {verdicts} of {len(found)} | {low:.2g} to {high:.2g} | {cause} "
            f"{f'({causes} of {len(found)})' if case.cause else ''} | {max(r['draws'] for r in found)} | "
            f"{max(r['cpu'] for r in found):.1f} |"
        )
        print(rows[-1], flush=True)
    total = len(rows) * len(seeds)
    head = [
        f"Seeds {seeds.start} to {seeds.stop - 1}: {right} of {total} verdicts right; {named} of {faults} causes named "
        "as labelled. No limit of time; the draws and CPU seconds are the most of the seeds.",
        "",
        "| loss | label | verdict right | relative bias | likely cause | draws | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    write("labelled", head + rows)


SETTINGS = [(name, exact, level) for exact in (True, False) for name in EXACT for level in LEVELS]


def alarm(records: Records, name: str, exact: bool, level: float, seed: int) -> bool:
    """Say whether a right gradient is called biased; nothing is ever small enough to be called unbiased."""
    made = globals()[name]()
    options = {"tolerance": 1e-9, "false_alarm": level, "max_draws": 200, "max_seconds": 3600.0}
    build = lambda: (*made, torch.tensor(EXACT[name])) if exact else made  # noqa: E731
    found = records.run((name, exact, level, seed), build, noise=Noise(seed), **options)
    return found["verdict"] == "biased"


def calibration(seeds: range, records: Records) -> None:
    """False alarms on right estimators at two levels."""
    for seed in seeds:
        for setting in SETTINGS:
            alarm(records, *setting, seed)
    lines = [
        "Right estimators, tolerance 1e-9 (nothing can be called unbiased), 200 draws per check. A false alarm is the",
        'verdict "biased"; allowed: the 99.9 % quantile of a binomial law of that level.',
        "",
        "| estimator | reference | level | seeds | allowed | false alarms |",
        "|---|---|---|---|---|---|",
    ]
    for name, exact, level in SETTINGS:
        found = [row for key, row in records.rows.items() if key[:3] == (name, exact, level)]
        alarms = sum(row["verdict"] == "biased" for row in found)
        reference = "exact gradient" if exact else "its own value"
        limit = binomial_limit(len(found), level)
        lines.append(f"| {name} | {reference} | {level} | {len(found)} | {limit} | {alarms} |")
    write("calibration", lines)


def binomial_limit(n: int, p: float, level: float = 1e-3) -> int:
    """Return the least k with P(Binomial(n, p) > k) <= level."""
    total = 0.0
    for k in range(n + 1):
        log_term = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        total += math.exp(log_term + k * math.log(p) + (n - k) * math.log1p(-p))
        if total >= 1 - level:
            return k
    return n


POWERS = [
    (bias, *which)
    for bias in (0.05, 0.02)
    for which in (("gaussian_pathwise", 64), ("bernoulli_leave_one_out", 1024))
]
MOST = 6000  # draws within which a bias must be found


def found(records: Records, bias: float, name: str, S: int, seed: int) -> dict[str, Any]:
    """Return the check of an estimator of S samples whose gradient is too large by `bias`."""
    return records.run(
        (name, S, bias, seed),
        lambda: globals()[name](1 + bias, S),
        noise=Noise(seed),
        max_draws=MOST,
        max_seconds=3600.0,
    )


def power(seeds: range, records: Records) -> None:
    """How often a planted bias of 5 % and 2 % is found, and the draws it takes."""
    for setting in POWERS:
        for seed in seeds:
            found(records, *setting, seed)
    lines = [
        f"False-alarm level 1e-6, tolerance .01, at most {MOST} draws.",
        "",
        "| estimator | bias | found | draws (median, largest) | CPU s (median) |",
        "|---|---|---|---|---|",
    ]
    for bias, name, S in POWERS:
        rows = [row for key, row in records.rows.items() if key[:3] == (name, S, bias)]
        hits = sum(row["verdict"] == "biased" for row in rows)
        draws = [row["draws"] for row in rows]
        cpu = statistics.median(row["cpu"] for row in rows)
        lines.append(
            f"| {name}, S = {S} | {bias} | {hits} of {len(rows)} | {round(statistics.median(draws))}, {max(draws)} | "
            f"{cpu:.1f} |"
        )
    write("power", lines)


def vae_elbo(batch: int = 32):
    """Return the training loss of the 784-400-20 VAE on a batch of digits, 28 x 28 by repetition and padding."""
    import numpy as np

    import reparam.data
    from reparam.models.build import ModelSpec, build_vae

    with np.load(Path(reparam.data.__file__).parent / "digits.npz") as archive:
        pictures = next(archive[key] for key in archive.files if archive[key].ndim == 3)[:batch]
    grey = torch.from_numpy(np.pad(np.kron(pictures, np.ones((1, 3, 3))), ((0, 0), (2, 2), (2, 2)))).float()
    x = (grey / grey.max() > 0.5).float().reshape(batch, 784)
    model = build_vae(ModelSpec(event=(784,), latent=20, hidden=(400,)), Noise(0))
    return (lambda noise: model.elbo(x, noise=noise).loss), model


def vae_elbo_half():
    """Return the same with a fault: the decoder passes half of the gradient on to the encoder."""
    loss, model = vae_elbo()
    first = model.decoder.layers[0]
    forward = first.forward
    first.forward = lambda z: forward(0.5 * z + 0.5 * z.detach())
    return loss, model


def toy():
    """E (z + 3)^2, z ~ N(loc, scale^2)."""
    loc, scale = (torch.tensor(v, requires_grad=True) for v in (1.0, 0.5))
    return lambda: ((loc + scale * torch.randn(16) + 3) ** 2).mean(), {"loc": loc, "scale": scale}


TIMED = {"toy": toy, "vae_elbo": vae_elbo, "vae_elbo_half": vae_elbo_half}


def timing(seeds: range, records: Records) -> None:
    """Seconds to a verdict: a two-parameter toy, a VAE's own ELBO, and the same with a fault."""
    lines = [
        "Default options but for the limit of time. Wall seconds mean something on a quiet machine only.",
        "",
        "| loss | verdicts | relative bias | draws | CPU s | wall s |",
        "|---|---|---|---|---|---|",
    ]
    for name, build in TIMED.items():
        rows = [records.run((name, seed), build, noise=Noise(seed), max_seconds=3600.0) for seed in seeds]
        low, high = min(r["interval"][0] for r in rows), max(r["interval"][1] for r in rows)
        verdicts = ", ".join(sorted({r["verdict"] for r in rows}))
        cpu, wall = (statistics.median(r[unit] for r in rows) for unit in ("cpu", "seconds"))
        lines.append(
            f"| {' '.join(build.__doc__.split())} | {verdicts} ({len(rows)}) | {low:.3g} to {high:.3g} | "
            f"{max(r['draws'] for r in rows)} | {cpu:.1f} | {wall:.1f} |"
        )
        print(lines[-1], flush=True)
    write("time", lines)


TABLES = {
    "labelled": (labelled, 3),
    "calibration": (calibration, 1000),
    "power": (power, 200),
    "time": (timing, 3),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=TABLES)
    parser.add_argument("--first", type=int, default=100, help="first seed; the set was made with seed 7")
    parser.add_argument("--seeds", type=int, help="how many")
    parser.add_argument("--records", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table, count = TABLES[arguments.what]
    file = arguments.records or Path(tempfile.gettempdir()) / f"reparam_check_{arguments.what}.jsonl"
    first = arguments.first
    table(range(first, first + (arguments.seeds or count)), Records(file))
