"""All tensors in each draw, told apart by random signs: a fault in a large model shows in a few hundred draws.

    u = sum_i s_i v_i / w_i,    s_i independent signs, new with each draw;  v_i a fixed unit direction of block i
    X = u . G - R4(u),          E[s_i w_i X] = v_i . b_i,   b_i the bias of block i

Four values and one gradient serve all blocks. Blocks that are right and smooth add no noise to the others: their part
of X is zero at each draw. v_i is in turn the mean of the gradients before (along which a wrong weight, a flipped sign
or a dropped term shows at full length) and a random one; w_i is the size of the slope to be expected, so that the parts
of X are alike. A block is only accused here, never cleared.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from reparam.check.block import Block
from reparam.check.probe import Probe
from reparam.check.reference import Objective, natural_step, settle
from reparam.noise import Noise

HOPE = 0.5  # least ratio of an estimate and its bound, at the first look, that is worth more draws


@dataclass
class Mixed:
    """The directions of all blocks and the weights and steps of each turn.

    Attributes:
        noise: where directions and signs come from.
        objective: what is differenced.
        blocks: the tensors, with gradients behind their means.
        precision: relative truncation that does not matter.
    """

    noise: Noise
    objective: Objective
    blocks: list[Block]
    precision: float
    weights: list[list[float]] = field(default_factory=list)  # w, per turn and block
    steps: list[float] = field(default_factory=list)
    draws: int = 0

    def __post_init__(self) -> None:
        self._aim()
        for turn in (0, 1):
            u = self._direction(turn, np.ones(len(self.blocks)))
            bases = [self.objective.runner.base[b.index] for b in self.blocks]
            start = min(natural_step(base, v) for base, v in zip(bases, u.values()))
            self.steps.append(settle(self.objective, u, start, self.precision))
            for block, w in zip(self.blocks, self.weights[turn]):
                block.probes[turn].h = self.steps[turn] / w

    def _aim(self) -> None:
        runner = self.objective.runner
        self.weights = [[], []]
        for block in self.blocks:
            base, origin = runner.base[block.index], runner.origin[block.index]
            drawn = self.noise.child(f"direction {block.index}").normal((2, block.size), dtype=torch.float64)
            own = block.mean if block.mean.any() else drawn[0].numpy()
            size = max(block.norm, block.scale) or 1.0
            grain = self.objective.grain
            block.mixed, block.probes = True, []
            for turn, vector in enumerate((own, drawn[1].numpy())):
                flat = vector / np.linalg.norm(vector)
                v = torch.from_numpy(flat).to(origin.device, origin.dtype).reshape(base.shape)
                block.probes.append(Probe(block.index, v, flat, self.objective, grain, own=turn == 0))
                self.weights[turn].append(
                    size if turn == 0 and block.mean.any() else size / math.sqrt(block.size)
                )

    def _direction(self, turn: int, signs: np.ndarray) -> dict[int, torch.Tensor]:
        return {
            b.index: b.probes[turn].v * (s / w) for b, s, w in zip(self.blocks, signs, self.weights[turn])
        }

    def observe(self, k: int, gradient: list[np.ndarray]) -> list[tuple[Block, Probe]]:
        """Add draw k; return the blocks and directions whose bounds are due for a look."""
        turn, self.draws = self.draws % 2, self.draws + 1
        signs = self.noise.at(k).rademacher((len(self.blocks),), dtype=torch.float64).numpy()
        row = self.objective.short_difference(k, self._direction(turn, signs), self.steps[turn])
        if not math.isfinite(row.slope):
            return []
        parts = [float(b.probes[turn].flat @ gradient[b.index]) for b in self.blocks]
        total = sum(s * part / w for s, part, w in zip(signs, parts, self.weights[turn]))
        due = []
        for block, s, part, w in zip(self.blocks, signs, parts, self.weights[turn]):
            probe = block.probes[turn]
            mine = row.scaled(s * w)._replace(slope=part - s * w * (total - row.slope))
            if probe.record(part, mine):
                due.append((block, probe))
        return due

    @property
    def hopeless(self) -> bool:
        """Say whether no estimate is large enough against its bound for more draws to be worth it."""
        return all(abs(p.bias.centre) < HOPE * p.bias.half_width for b in self.blocks for p in b.probes)

    def leave(self) -> None:
        """Forget the directions of blocks that were not accused."""
        for block in self.blocks:
            block.mixed, block.probes = False, []
