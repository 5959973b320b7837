"""What the gradient check must show: labelled losses, calibration, power, time. Writes benchmarks/results/check_*.md.

python benchmarks/check.py labelled|calibration|power|time [--runs N]
"""

import argparse
import importlib.util
import math
import platform
import statistics
import sys
import time
from pathlib import Path

import torch

from reparam import Noise
from reparam.check import gradient

HERE = Path(__file__).parent
LEVELS = (0.05, 0.01)


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
    spec = importlib.util.spec_from_file_location("cases", HERE.parent / "tests" / "check" / "cases.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["cases"] = module
    spec.loader.exec_module(module)
    return module.CASES


def run_case(case, seed: int = 7, max_seconds: float = 60.0):
    """Return the report on a labelled loss."""
    loss, params, *reference = case.build()
    return gradient(
        loss,
        params,
        noise=Noise(seed),
        reference=reference[0] if reference else None,
        max_seconds=max_seconds,
        **case.options,
    )


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


def labelled(runs: int = 1) -> None:
    """Every labelled loss: verdict, cause, draws, seconds."""
    rows, right, named, faults = [], 0, 0, 0
    for case in cases():
        report = run_case(case)
        ok = report.verdict == case.verdict
        cause = case.verdict != "biased" or case.cause in report.cause
        right += ok
        if case.verdict == "biased":
            faults += 1
            named += ok and cause
        low, high = report.interval
        rows.append(
            f"| {case.name} | {case.verdict} | {report.verdict}{'' if ok else ' (!)'} | {low:.3g} to {high:.3g} | "
            f"{report.cause.split(':')[0]}{'' if cause else ' (!)'} | {report.draws} | {report.seconds:.1f} |"
        )
        print(rows[-1], flush=True)
    head = [
        f"{right} of {len(rows)} verdicts right; {named} of {faults} causes named right.",
        "",
        "| loss | label | verdict | relative bias | likely cause | draws | s |",
        "|---|---|---|---|---|---|---|",
    ]
    write("labelled", head + rows)


def alarm(name: str, exact: bool, level: float, seed: int, draws: int = 200) -> bool:
    """Say whether a right gradient is called biased; nothing is ever small enough to be called unbiased."""
    loss, params = globals()[name]()
    options = {"tolerance": 1e-9, "false_alarm": level, "max_draws": draws, "max_seconds": 600.0}
    reference = torch.tensor(EXACT[name]) if exact else None
    return gradient(loss, params, noise=Noise(seed), reference=reference, **options).verdict == "biased"


SETTINGS = [(name, exact, level) for exact in (True, False) for name in EXACT for level in LEVELS]


def alarms(where: Path, seeds: range) -> None:
    """Append one line per check to a file: name, exact, level, seed, verdict. Seeds that stand there are skipped."""
    done = {tuple(line.split()[:4]) for line in where.read_text().splitlines()} if where.exists() else set()
    with where.open("a") as out:
        for seed in seeds:
            for name, exact, level in SETTINGS:
                key = (name, str(exact), str(level), str(seed))
                if key not in done:
                    print(*key, int(alarm(name, exact, level, seed)), file=out, flush=True)


def calibration(seeds: range, records: Path) -> None:
    """False alarms on right estimators at two levels."""
    alarms(records, seeds)
    rows = [line.split() for line in records.read_text().splitlines()]
    lines = [
        "Right estimators, tolerance 1e-9 (nothing can be called unbiased), 200 draws per check. A false alarm is the",
        'verdict "biased"; allowed: the 99.9 % quantile of a binomial law of that level.',
        "",
        "| estimator | reference | level | seeds | allowed | false alarms |",
        "|---|---|---|---|---|---|",
    ]
    for name, exact, level in SETTINGS:
        found = [int(row[4]) for row in rows if row[:3] == [name, str(exact), str(level)]]
        lines.append(
            f"| {name} | {'exact gradient' if exact else 'its own value'} | {level} | {len(found)} | "
            f"{binomial_limit(len(found), level)} | {sum(found)} |"
        )
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


def power(runs: int = 200) -> None:
    """How often a planted bias of 5 % and 2 % is found, and the draws it takes."""
    lines = [
        f"False-alarm level 1e-6; {runs} runs each.",
        "",
        "| estimator | bias | found | draws (median, largest) |",
    ]
    lines.append("|---|---|---|---|")
    for bias in (0.05, 0.02):
        for build, S in ((gaussian_pathwise, 64), (bernoulli_leave_one_out, 1024)):
            drawn, found = [], 0
            for seed in range(runs):
                loss, params = build(1 + bias, S)
                report = gradient(loss, params, noise=Noise(seed), max_draws=6000, max_seconds=600)
                found += report.verdict == "biased"
                drawn.append(report.draws)
            middle = round(statistics.median(drawn))
            lines.append(
                f"| {build.__name__}, S = {S} | {bias} | {found} of {runs} | {middle}, {max(drawn)} |"
            )
            print(lines[-1], flush=True)
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


def timing(runs: int = 5) -> None:
    """Seconds to a verdict: a two-parameter toy, and a VAE's own ELBO."""
    lines = ["| loss | verdict | relative bias | draws | s (median) |", "|---|---|---|---|---|"]
    for name, build, count in (
        ("toy of two parameters", toy, runs),
        ("VAE 784-400-20, batch 32", vae_elbo, 1),
    ):
        seconds = []
        for seed in range(count):
            loss, params = build()
            report = gradient(loss, params, noise=Noise(seed))
            seconds.append(report.seconds)
        low, high = report.interval
        middle = statistics.median(seconds)
        lines.append(
            f"| {name} | {report.verdict} | {low:.3g} to {high:.3g} | {report.draws} | {middle:.1f} |"
        )
        print(lines[-1], flush=True)
    write("time", lines)


def toy():
    """E (z + 3)^2, z ~ N(loc, scale^2)."""
    loc, scale = (torch.tensor(v, requires_grad=True) for v in (1.0, 0.5))
    return lambda: ((loc + scale * torch.randn(16) + 3) ** 2).mean(), {"loc": loc, "scale": scale}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("labelled", "calibration", "power", "time"))
    parser.add_argument("--runs", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    chosen = {"labelled": labelled, "calibration": calibration, "power": power, "time": timing}[
        arguments.what
    ]
    chosen(*([arguments.runs] if arguments.runs else []))
    print(f"{time.perf_counter() - started:.0f} s")
