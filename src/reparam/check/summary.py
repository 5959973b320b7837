"""From a finished check to its report."""

import math

import numpy as np

from reparam.check.block import Block
from reparam.check.diagnose import Diagnosis
from reparam.check.report import BlockReport, Report
from reparam.check.search import LEAST, Check


def summarize(check: Check) -> Report:
    """Return what a check found; its bias and interval are those of the worst block."""
    options = check.options
    verdicts = {b.verdict for b in check.blocks}
    verdict = next(v for v in ("biased", "inconclusive", "unbiased") if v in verdicts)
    parts = tuple(summarize_block(b, check.share) for b in check.blocks)
    candidates = [p for p in parts if p.verdict == verdict]
    worst = max(candidates, key=lambda p: p.interval[0 if verdict == "biased" else 1])
    variance = [b.variance for b in check.blocks]
    found = check.diagnosis or Diagnosis("", math.nan)
    level = options.false_alarm if verdict == "biased" else options.miss
    return Report(
        verdict=verdict,
        bias=worst.bias,
        interval=worst.interval,
        variance=sum(v for v, _ in variance),
        variance_error=math.hypot(*(e for _, e in variance)),
        seconds=check.seconds,
        draws=check.drawn,
        seconds_per_gradient=float(np.median(check.times)),
        value=float(np.mean(check.values)),
        value_spread=float(np.std(check.values)),
        blocks=parts,
        cause=found.cause,
        factor=found.factor,
        needs=needs(check, worst) if verdict == "inconclusive" else "",
        tolerance=options.tolerance,
        false_alarm=options.false_alarm,
        miss=options.miss,
        rarest=min(1.0, -math.log(level) / max(1, worst.draws)),
        notes=tuple(check.notes),
    )


def summarize_block(block: Block, share: float) -> BlockReport:
    """Return what a check found on one parameter tensor."""
    variance, error = block.variance
    lower, upper = block.bounds(share)
    unit = block.unit
    if unit <= LEAST * block.natural:  # nothing varies or depends on the block: what is left is rounding
        unit = block.natural or 1.0
    return BlockReport(
        name=block.name,
        size=block.size,
        verdict=block.verdict,
        bias=block.estimate / unit,
        interval=(lower / unit, upper / unit),
        reference_norm=block.reference,
        gradient_norm=block.norm,
        variance=variance,
        variance_error=error,
        snr=block.norm / math.sqrt(variance) if variance > 0 else math.inf,
        factor=block.factor,
        draws=block.draws,
    )


def needs(check: Check, worst: BlockReport) -> str:
    """Say what a verdict on the worst block would take."""
    width = worst.interval[1] - worst.bias
    if not math.isfinite(width):
        return f"needs more draws: {worst.name} has had {worst.draws}; raise max_seconds or max_draws"
    ratio = max(1.5, (width / check.options.tolerance) ** 2)
    draws, seconds = ratio * check.drawn, ratio * check.seconds
    return (
        f"needs about {draws:.2g} draws ({seconds:.2g} s) for {worst.name}; raise max_seconds or max_draws, "
        "average more samples inside the loss, or ask for a larger tolerance"
    )
