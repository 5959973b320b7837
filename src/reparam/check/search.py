"""The search for a verdict: pilot draws, all parameters at once, then tensor by tensor.

What is drawn, and in which order, is a function of the loss, the noise and `max_draws`; time only ends it.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from reparam.check.block import COORDINATES, Block, Cleared, aim
from reparam.check.diagnose import Diagnosis, diagnose
from reparam.check.draws import Loss, OutOfTime, Runner
from reparam.check.joint import Joint
from reparam.check.mixed import Mixed
from reparam.check.options import Options
from reparam.check.probe import Probe
from reparam.check.reference import FEW, PILOT, Objective, exact_gradient, unit_roundoff

PILOTS = 32  # gradients behind the direction of the estimator's own mean and the scale
AT_ONCE = 8  # blocks probed per draw
LARGE = 1000  # parameters above which one block is probed per draw, the most suspicious first
SUSPECT = 4  # draws that say how suspicious a block is
SCALE = 1e-3  # default scale of a gradient, in spreads of the value
LEAST = 1e-9  # the same where nothing varies, in values per root mean square of a parameter
CALM = (20.0, 100.0)  # draws asked for, in units of log(1/level): where `max_draws` is short, and otherwise
PATIENCE = 4  # draws along joint directions, in units of those before the first look
UNPROMISING = 1.5  # times the draws of a verdict: by then each direction has had a look
RESERVE = 0.1  # share of the time that is kept for naming the cause
Reference = Loss | Tensor | Sequence[Tensor] | Mapping[str, Tensor] | None


@dataclass
class Check:
    """A check under way."""

    runner: Runner
    options: Options
    started: float = field(default_factory=time.perf_counter)
    blocks: list[Block] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    drawn: int = 0
    families: int = 1  # families of directions among which the false-alarm level is shared
    diagnosis: Diagnosis | None = None

    @property
    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self.started

    @property
    def share(self) -> float:
        """Return the level of each of the three bounds behind "unbiased": joint, per direction, of the directions."""
        return self.options.miss / 3

    @property
    def calm(self) -> float:
        """Return the draws asked for before a verdict, in units of log(1/level)."""
        if self.options.max_draws is None:
            return CALM[1]
        spare = 0.8 * (self.options.max_draws - PILOTS)
        return float(np.clip(spare / -math.log(self.options.false_alarm), *CALM))

    @property
    def large(self) -> bool:
        """Say whether blocks are probed one at a time."""
        return self.runner.size > LARGE

    def run(self, reference: Reference) -> None:
        """Look for a verdict until there is one, or the draws or the time are used up."""
        try:
            pilot = self._pilot()
            objective = self._objective(reference)
            if objective is not None:
                self._clear_together(objective, pilot)
                self._accuse_together(objective)
            self._probe(objective)
        except OutOfTime:
            pass
        self._finish()

    def draw(self) -> list[np.ndarray]:
        """Take the next gradient."""
        begun = time.perf_counter()
        value, gradient = self.runner.gradient(self.drawn)
        self.times.append(time.perf_counter() - begun)
        self.values.append(value)
        self.drawn += 1
        for block in self.blocks:
            block.accumulate(gradient[block.index])
        return gradient

    @property
    def _more(self) -> bool:
        limit = self.options.max_draws
        return limit is None or self.drawn < limit

    # --- before --------------------------------------------------------------------------------------------

    def _pilot(self) -> list[list[np.ndarray]]:
        """Take the first gradients, at least one whatever the time."""
        runner = self.runner
        self.blocks = [Block(name, i, p.numel()) for i, (name, p) in enumerate(runner.named.items())]
        if not runner.repeats():
            self.notes.append(
                "the loss differs between two calls with the same noise: it keeps a state, or draws elsewhere"
            )
        pilot = [self.draw()]
        runner.deadline = self.started + (1 - RESERVE) * self.options.max_seconds
        while self._more and len(pilot) < PILOTS:
            pilot.append(self.draw())
        self._set_scale()
        return pilot

    def _set_scale(self) -> None:
        spread, size = float(np.std(self.values)), float(np.mean(np.abs(self.values)))
        for block, base in zip(self.blocks, self.runner.base):
            block.natural = size / (float(base.double().square().mean().sqrt()) or 1.0)
            block.scale = self.options.scale or SCALE * spread or LEAST * block.natural

    def _objective(self, reference: Reference) -> Objective | None:
        """Return what is differenced; None where the caller gave the exact gradient."""
        runner = self.runner
        exact = None if reference is None else exact_gradient(runner, reference)
        if exact is not None:
            for block, gradient in zip(self.blocks, exact):
                block.exact = gradient
            return None
        meant = runner.loss if reference is None or not callable(reference) else reference
        if meant is not runner.loss:
            runner.add(meant)
        grain = unit_roundoff(runner, runner.call(meant, 0))
        wide = any(block.size > COORDINATES for block in self.blocks) and runner.widen(meant)
        values = [runner.value(meant, k) for k in range(PILOT)]
        if not np.isfinite(values).all():
            raise ValueError(f"{runner.who}: reference must be finite; got nan or inf; look at its inputs")
        size = float(np.max(np.abs(values)))
        epsilon = float(np.finfo(np.float64).eps) if wide else grain
        still = bool(np.std(values) <= 100 * epsilon * size)
        return Objective(runner, meant, size, epsilon, grain, FEW if self.large else PILOT, still)

    # --- all parameters at once ----------------------------------------------------------------------------

    def _clear_together(self, objective: Objective, pilot: list[list[np.ndarray]]) -> None:
        """Try to show all biases to be small; else say which blocks are suspicious."""
        tolerance = self.options.tolerance
        theta = [tolerance / (1 + tolerance) * (max(b.norm, b.scale) or 1.0) for b in self.blocks]
        first = math.ceil(self.calm * -math.log(self.options.miss))
        narrow = self.runner.twin is None
        if narrow and self.runner.widen(objective.loss):
            objective = replace(objective, epsilon=float(np.finfo(np.float64).eps))
        joint = Joint(self.runner.noise.child("joint"), objective, theta, first, self.share)
        if joint.settle(pilot):
            while self._more and len(joint.stream.values) < PATIENCE * first:
                if not joint.observe(self.drawn, self.draw()) or self._cleared(joint):
                    break
        if self.large:
            for block, found in zip(self.blocks, joint.suspicions(pilot[:SUSPECT])):
                block.suspicion = found
        if narrow:
            self.runner.narrow()

    def _cleared(self, joint: Joint) -> bool:
        """Clear the blocks whose bias the joint bound shows to be small; say whether these are all."""
        if math.isinf(joint.upper):
            return False
        tolerance, draws = self.options.tolerance, len(joint.stream.values)
        for block, theta in zip(self.blocks, joint.theta):
            unit = max(block.norm, block.scale) or 1.0
            if joint.upper * theta < tolerance / (1 + tolerance) * unit:
                factor = joint.factor(block.index, block.norm)
                block.cleared = Cleared(joint.upper * theta, joint.bias() * theta, factor, draws)
                block.verdict = "unbiased"
        return all(block.cleared for block in self.blocks)

    def _accuse_together(self, objective: Objective) -> None:
        """Try to show a bias of some tensor, all being probed in each draw."""
        unsettled = [b for b in self.blocks if b.verdict == "inconclusive"]
        if len(unsettled) < 2 or all(b.size <= COORDINATES for b in unsettled):
            return
        self.families = 2
        mixed = Mixed(self.runner.noise.child("mixed"), objective, unsettled, 0.1 * self.options.tolerance)
        quota = math.ceil(self.calm * -math.log(self.options.false_alarm))
        while self._more and mixed.draws < PATIENCE * quota:
            for block, probe in mixed.observe(self.drawn, self.draw()):
                self._look(block, probe, adapt=False)
            if any(b.verdict == "biased" for b in unsettled):
                return
            if mixed.draws > UNPROMISING * quota and mixed.hopeless:
                break
        if self._more:
            mixed.leave()

    # --- tensor by tensor ----------------------------------------------------------------------------------

    def _probe(self, objective: Objective | None) -> None:
        """Draw until every block is decided or one is biased."""
        turn = 0
        while self._more:
            unsettled = [b for b in self.blocks if b.verdict == "inconclusive"]
            if not unsettled or any(b.verdict == "biased" for b in self.blocks):
                return
            chosen = self._chosen(unsettled, turn)
            turn += len(chosen)
            for block in chosen:
                if not block.probes:
                    noise = self.runner.noise.child(f"direction {block.index}")
                    aim(block, self.runner, objective, noise, 0.1 * self.options.tolerance)
            gradient = self.draw()
            for block in chosen:
                probe = block.next_probe()
                if probe.observe(self.drawn - 1, gradient[block.index]):
                    self._look(block, probe)

    def _chosen(self, unsettled: list[Block], turn: int) -> list[Block]:
        if self.large:
            quota = math.ceil(self.calm * -math.log(self.options.false_alarm))
            return [min(unsettled, key=lambda b: (b.turn // quota, -b.suspicion))]
        return [unsettled[(turn + j) % len(unsettled)] for j in range(min(AT_ONCE, len(unsettled)))]

    def _look(self, block: Block, probe: Probe, *, last: bool = False, adapt: bool = True) -> None:
        options, count = self.options, self.families * sum(b.count for b in self.blocks)
        threshold = block.threshold(options.tolerance)
        target = 0.1 * threshold / (1 if block.coordinates else math.sqrt(block.size))
        accusable = block.draws >= self.calm * -math.log(options.false_alarm)
        clearable = block.draws >= self.calm * -math.log(options.miss)
        probe.look(
            options.false_alarm / count,
            self.share / len(block.probes),
            target,
            counts=accusable or clearable or last,
            adapt=adapt and not last,
        )
        threshold = block.threshold(options.tolerance)
        if block.guilty and accusable and block.estimate > threshold:
            block.verdict = "biased"
            return
        sure = clearable and not block.mixed and block.sharp(options.tolerance)
        if sure and block.bounds(self.share)[1] < threshold:
            block.verdict = "unbiased"

    def _finish(self) -> None:
        """Take a last look at what is open, and name the cause of the worst bias."""
        for block in self.blocks:
            for probe in block.probes:
                if block.verdict == "inconclusive":
                    self._look(block, probe, last=True)
        biased = [b for b in self.blocks if b.verdict == "biased"]
        if biased:
            worst = max(biased, key=lambda b: b.bounds(self.share)[0] / b.unit)
            guilty = max(worst.guilty, key=lambda p: p.bias.lower)
            self.runner.deadline = self.started + self.options.max_seconds
            try:
                self.diagnosis = diagnose(self.runner, worst, guilty)
            except OutOfTime:
                self.diagnosis = Diagnosis("not looked for: no time was left", worst.factor)
