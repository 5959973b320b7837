"""Decide whether the gradient that autograd gives is the gradient of the expectation that is meant."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from reparam.check.block import Block, make_block
from reparam.check.diagnose import Diagnosis, diagnose
from reparam.check.draws import Loss, Params, Runner
from reparam.check.probe import Probe
from reparam.check.reference import FEW, SLOW, Objective, exact_gradient, unit_roundoff
from reparam.check.reference import PILOT as PILOT_STEP
from reparam.check.report import BlockReport, Report
from reparam.noise import Noise, given

MISS = 1e-3  # level of the upper bound behind "unbiased"
PILOT = 32  # gradients behind the direction of the estimator's own mean and the scale
AT_ONCE = 8  # blocks probed per draw
SCALE = 1e-3  # default scale of a gradient, in spreads of the value
CALM = (20.0, 100.0)  # draws asked for, in units of log(1/level): where time is short, and otherwise
Reference = Loss | Tensor | Sequence[Tensor] | Mapping[str, Tensor] | None


def gradient(
    loss: Loss,
    params: Params,
    *,
    noise: Noise | None = None,
    reference: Reference = None,
    tolerance: float = 0.01,
    scale: float | None = None,
    false_alarm: float = 1e-6,
    max_seconds: float = 60.0,
    max_draws: int | None = None,
) -> Report:
    """Check whether E[autograd gradient of loss] is the gradient of E[loss] (or of E[reference]).

        b = E[G] - d/dphi E[l],   measured per parameter tensor as |b| / max(|d/dphi E[l]|, scale)

    The reference gradient comes from central differences of the value at common random numbers, so nothing but the
    value of the loss is trusted: its mean must be what is meant. (Where it is not, as in `f.detach() * log_prob`,
    pass the objective itself as `reference`.)

    Args:
        loss: `loss(noise)`, which draws from the reparam.Noise given, or a callable without parameters, which may
            draw from torch's global generator (it is forked and seeded). Returns one real number.
        params: the leaves: a tensor, a sequence, a dict, or a Module (those that require grad).
        noise: the address of the draws; fresh noise when None.
        reference: None, the loss itself; or an objective in the form of loss; or the exact gradient in the form of
            params (a Module: a dict by name).
        tolerance: the largest relative bias that still counts as "unbiased", > 0.
        scale: the least norm that a bias is measured against; default 1e-3 of the spread of the value.
        false_alarm: the probability, over the whole check, of the verdict "biased" on a right gradient, in (0, 1).
        max_seconds: time after which the verdict is "inconclusive", > 0.
        max_draws: the same for gradient draws, >= 1.

    Returns:
        A frozen `Report`: verdict, bias, interval, variance, seconds, draws, blocks, cause, ...

    Raises:
        TypeError, ValueError: parameters that are no leaves, a loss that is no finite real number. What the loss itself
            raises passes through; parameters, buffers and generators are put back in every case.

    References: waudby-smith2024, howard2021.

    Example:
        >>> import torch, reparam as rp
        >>> loc = torch.tensor(1.0, requires_grad=True)
        >>> report = gradient(lambda noise: (loc + noise.normal()) ** 2, loc, noise=rp.Noise(0), max_draws=400)
        >>> report.verdict
        'unbiased'
    """
    _check_options(tolerance, scale, false_alarm, max_seconds, max_draws)
    runner = Runner(loss, params, given(noise, "check.gradient"), "check.gradient")
    limits = Limits(time.perf_counter(), max_seconds, math.inf if max_draws is None else max_draws)
    with runner.borrowed():
        check = Check(runner, tolerance, false_alarm, limits)
        check.prepare(reference, scale)
        check.run()
        check.finish()
        return check.report()


@dataclass
class Limits:
    """When to stop."""

    start: float
    seconds: float
    draws: float

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self.start


@dataclass
class Check:
    """A check under way."""

    runner: Runner
    tolerance: float
    alarm: float
    limits: Limits
    blocks: list[Block] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    drawn: int = 0
    calm: float = CALM[1]
    diagnosis: Diagnosis | None = None

    @property
    def miss(self) -> float:
        """Return the level of the upper bounds."""
        return max(self.alarm, MISS)

    def prepare(self, reference: Reference, scale: float | None) -> None:
        """Take pilot gradients; choose directions, steps and the scale."""
        runner = self.runner
        if not runner.repeats():
            self.notes.append(
                "the loss differs between two calls with the same noise: it keeps a state, or draws elsewhere"
            )
        exact = None if reference is None else exact_gradient(runner, reference)
        meant = runner.loss if reference is None or not callable(reference) else reference
        if meant is not runner.loss:
            runner.add(meant)
        count = int(min(PILOT, self.limits.draws))
        pilot = [self.draw() for _ in range(count)]
        means = [np.mean([g[i] for g in pilot], 0) for i in range(len(runner.names))]
        objective = self._objective(meant, exact is not None)
        spread = float(np.std(self.values))
        for i, mean in enumerate(means):
            noise = runner.noise.child(f"direction {i}")
            self.blocks.append(
                make_block(
                    objective, None if exact is None else exact[i], i, mean, noise, 0.1 * self.tolerance
                )
            )
            for g in pilot:
                self.blocks[i].accumulate(g[i])
            self.blocks[i].scale = SCALE * spread if scale is None else scale

    def _objective(self, meant: Loss, exact: bool) -> Objective:
        with_value = self.runner.call(meant, 0)
        epsilon = unit_roundoff(self.runner, with_value)
        started = time.perf_counter()
        values = self.values if exact else [self.runner.value(meant, k) for k in range(8)]
        pilot = FEW if time.perf_counter() - started > 8 * SLOW else PILOT_STEP
        if not np.isfinite(values).all():
            raise ValueError("check.gradient: reference must be finite; got nan or inf; look at its inputs")
        size = float(np.max(np.abs(values)))
        still = bool(np.std(values) <= 100 * epsilon * size)
        return Objective(self.runner, meant, size, epsilon, pilot, still)

    def draw(self) -> list[np.ndarray]:
        """Take the next gradient."""
        started = time.perf_counter()
        value, gradient = self.runner.gradient(self.drawn)
        self.times.append(time.perf_counter() - started)
        self.values.append(value)
        self.drawn += 1
        return gradient

    def run(self) -> None:
        """Draw until every block is decided, one is biased, or the limits are reached."""
        begun, first = self.limits.elapsed(), self.drawn
        turn = 0
        while self.drawn < self.limits.draws and self.limits.elapsed() < self.limits.seconds:
            unsettled = [b for b in self.blocks if b.verdict == "inconclusive"]
            if not unsettled or any(b.verdict == "biased" for b in self.blocks):
                return
            gradient = self.draw()
            for block in self.blocks:
                block.accumulate(gradient[block.index])
            chosen = [unsettled[(turn + j) % len(unsettled)] for j in range(min(AT_ONCE, len(unsettled)))]
            turn += len(chosen)
            for block in chosen:
                probe = block.next_probe()
                if probe.observe(self.drawn - 1, gradient[block.index]):
                    self._look(block, probe)
            if self.drawn - first == 24:
                self._pace((self.limits.elapsed() - begun) / 24 * len(unsettled) / len(chosen))

    def finish(self) -> None:
        """Take a last look at what is open, and name the cause of the worst bias."""
        for block in self.blocks:
            for probe in block.probes:
                if block.verdict == "inconclusive":
                    self._look(block, probe, last=True)
        biased = [b for b in self.blocks if b.verdict == "biased"]
        if biased:
            worst = max(biased, key=lambda b: b.bounds(self.miss)[0] / b.unit)
            guilty = max(worst.guilty, key=lambda p: p.bias.lower)
            self.diagnosis = diagnose(self.runner, worst, guilty, self.blocks)

    def _pace(self, seconds_per_draw: float) -> None:
        """Ask for fewer draws where time is short: half of the time for the least number of draws."""
        affordable = min(0.5 * self.limits.seconds / seconds_per_draw, 0.8 * (self.limits.draws - self.drawn))
        self.calm = float(np.clip(affordable / math.log(1 / self.alarm), *CALM))

    def _look(self, block: Block, probe: Probe, *, last: bool = False) -> None:
        count = sum(len(b.probes) for b in self.blocks)
        target = 0.1 * block.threshold(self.tolerance) / (1 if block.coordinates else math.sqrt(block.size))
        accusable = block.draws >= self.calm * -math.log(self.alarm)
        clearable = block.draws >= self.calm * -math.log(self.miss)
        counts = accusable or clearable or last
        probe.look(
            self.alarm / count, self.miss / (2 * len(block.probes)), target, counts=counts, adapt=not last
        )
        upper = block.bounds(self.miss)[1]
        threshold = block.threshold(self.tolerance)
        if block.guilty and accusable and block.estimate > threshold:
            block.verdict = "biased"
        elif clearable and upper < threshold:
            block.verdict = "unbiased"

    # --- the report --------------------------------------------------------------------------------------

    def report(self) -> Report:
        """Return what was found."""
        verdicts = {b.verdict for b in self.blocks}
        verdict = next(v for v in ("biased", "inconclusive", "unbiased") if v in verdicts)
        parts = tuple(self._part(b) for b in self.blocks)
        candidates = [p for p in parts if p.verdict == verdict]
        worst = max(candidates, key=lambda p: p.interval[0 if verdict == "biased" else 1])
        variance = [b.variance for b in self.blocks]
        found = self.diagnosis or Diagnosis("", math.nan)
        return Report(
            verdict=verdict,
            bias=worst.bias,
            interval=worst.interval,
            variance=sum(v for v, _ in variance),
            variance_error=math.hypot(*(e for _, e in variance)),
            seconds=self.limits.elapsed(),
            draws=self.drawn,
            seconds_per_gradient=float(np.median(self.times)),
            value=float(np.mean(self.values)),
            value_spread=float(np.std(self.values)),
            blocks=parts,
            cause=found.cause,
            factor=found.factor,
            needs=self._needs(worst) if verdict == "inconclusive" else "",
            tolerance=self.tolerance,
            false_alarm=self.alarm,
            miss=self.miss,
            rarest=min(
                1.0, -math.log(self.alarm if verdict == "biased" else self.miss) / max(1, worst.draws)
            ),
            notes=tuple(self.notes),
        )

    def _part(self, block: Block) -> BlockReport:
        unit = block.unit or 1.0  # nothing varies and nothing depends on the block: the bias is zero
        variance, error = block.variance
        norm = math.sqrt(
            max(0.0, float(block.mean @ block.mean) - (variance or 0.0) / max(1, len(block.squares)))
        )
        lower, upper = block.bounds(self.miss)
        return BlockReport(
            name=block.name,
            size=block.size,
            verdict=block.verdict,
            bias=block.estimate / unit,
            interval=(lower / unit, upper / unit),
            reference_norm=block.reference,
            gradient_norm=norm,
            variance=variance,
            variance_error=error,
            snr=norm / math.sqrt(variance) if variance > 0 else math.inf,
            factor=block.factor,
            draws=block.draws,
        )

    def _needs(self, worst: BlockReport) -> str:
        width = worst.interval[1] - worst.bias
        if not math.isfinite(width):
            return f"needs more draws: {worst.name} has had {worst.draws}; raise max_seconds or max_draws"
        ratio = max(1.5, (width / self.tolerance) ** 2)
        draws, seconds = ratio * self.drawn, ratio * self.limits.elapsed()
        return (
            f"needs about {draws:.2g} draws ({seconds:.2g} s) for {worst.name}; raise max_seconds or max_draws, "
            "average more samples inside the loss, or ask for a larger tolerance"
        )


def _check_options(
    tolerance: float, scale: float | None, false_alarm: float, max_seconds: float, max_draws: int | None
) -> None:
    if not tolerance > 0:
        raise ValueError(f"check.gradient: tolerance must be > 0; got {tolerance!r}; 0.01 is one per cent")
    if scale is not None and not scale > 0:
        raise ValueError(f"check.gradient: scale must be > 0 or None; got {scale!r}")
    if not 0 < false_alarm < 1:
        raise ValueError(f"check.gradient: false_alarm must be in (0, 1); got {false_alarm!r}; 1e-6 is usual")
    if not max_seconds > 0:
        raise ValueError(f"check.gradient: max_seconds must be > 0; got {max_seconds!r}")
    if max_draws is not None and (
        isinstance(max_draws, bool) or not isinstance(max_draws, int) or max_draws < 1
    ):
        raise ValueError(f"check.gradient: max_draws must be an int >= 1 or None; got {max_draws!r}")
