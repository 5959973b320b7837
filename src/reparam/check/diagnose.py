"""Name the likely cause of a bias, from what single draws say.

At a very small step a smooth loss shows its own derivative at each draw, and a loss with jumps shows it at all
draws but the few that jump. So a gradient that agrees with the small-step slope at most draws, and is yet wrong in
the mean, misses the jumps; a gradient that is zero is cut off; one that is the slope times a constant has a wrong
weight; and so on, in the order of `_name`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from reparam.check.block import Block
from reparam.check.draws import Runner
from reparam.check.probe import Probe
from reparam.check.reference import Objective

DRAWS = 48
CAUSES = {
    "relaxation": "a relaxation: the gradient is right for the loss's own value, which is not the reference",
    "detached": "a detached path: the gradient is zero at every draw",
    "jump": "a jump that moves with the parameters, which the gradient does not see",
    "state": "a baseline that saw its own sample: the gradient differs between two calls at the same noise",
    "baseline": "a baseline that saw its own sample: the factor is 1 - 1/S",
    "straight": "a relaxation: the value is discrete, the gradient is that of a smooth stand-in",
    "sign": "a flipped sign",
    "weight": "a wrong weight: the gradient is the right one times a constant",
    "overwritten": "noise overwritten between forward passes: autograd saved a tensor that has changed since",
    "support": "a support that moves with the parameters: the gradient is the value times a constant score",
    "dropped": "a term dropped: part of the dependence on the parameters has no path to them",
}


@dataclass(frozen=True)
class Diagnosis:
    """A likely cause and the factor of the gradient, 1 if right."""

    cause: str
    factor: float


@dataclass
class Evidence:
    """Single draws along one direction."""

    g: np.ndarray  # v . G
    slope: np.ndarray  # the value's own slope at a small step
    value: np.ndarray
    repeated: np.ndarray  # v . G, called again at the same noise
    again: np.ndarray  # the value, called again
    g_across: np.ndarray  # v . G and the slope along a random direction of the same block
    slope_across: np.ndarray
    floor: float  # rounding error of a slope

    @property
    def agreement(self) -> float:
        """Return the share of draws at which G is the slope."""
        return float(np.mean(np.abs(self.g - self.slope) <= 0.005 * np.abs(self.g + self.slope) + self.floor))

    @property
    def flat(self) -> float:
        """Return the share of draws at which the value does not move."""
        return float(np.mean(np.abs(self.slope) <= self.floor))


def diagnose(runner: Runner, block: Block, probe: Probe) -> Diagnosis:
    """Return the likely cause of the bias of `block`, seen along `probe`."""
    factor = block.factor
    evidence = _evidence(runner, probe)
    error = _factor_error(probe)
    return Diagnosis(CAUSES[_name(runner, probe, evidence, factor, error)], factor)


def _name(runner: Runner, probe: Probe, e: Evidence, factor: float, error: float) -> str:
    referenced = probe.objective is None or probe.objective.loss is not runner.loss
    if not e.g.any():
        return "detached"
    if overwritten(runner):
        return "overwritten"
    if e.agreement > 0.6:
        return "relaxation" if referenced and e.flat < 0.5 and not _jumps(runner, probe, e.slope) else "jump"
    if np.any(e.repeated != e.g) and np.allclose(e.again, e.value):
        return "state"
    if error < 0.05 and any(abs(factor - k) < min(3 * error + 0.002, 0.05) for k in range(2, 9)):
        return "weight"
    if e.flat > 0.5:
        if any(abs(factor - (1 - 1 / s)) < min(3 * error, 0.05) for s in range(2, 9)):
            return "baseline"
        return "straight" if carries_discrete(runner) and not has_log_probability(runner) else "dropped"
    if _constant_ratio(e.g, e.slope) and _same_across(e, factor):
        return "sign" if factor < 0 else "weight"
    if abs(factor + 1) < min(3 * error, 0.1):
        return "sign"
    if _constant_ratio(e.g, e.value) and abs(np.corrcoef(e.g, e.value)[0, 1]) > 0.9:
        return "support"
    return "dropped"


def _evidence(runner: Runner, probe: Probe) -> Evidence:
    """Take single draws at the smallest step whose rounding error is still small against the gradient."""
    values: list[float] = []
    agains: list[float] = []
    g: list[float] = []
    repeated: list[float] = []
    g_across: list[float] = []
    across = _across(runner, probe)
    for k in range(DRAWS):
        for value_list, g_list in ((values, g), (agains, repeated)):
            value, gradient = runner.gradient(k)
            value_list.append(value)
            g_list.append(float(probe.flat @ gradient[probe.block]))
        g_across.append(float(across.double().cpu().reshape(-1).numpy() @ gradient[probe.block]))
    fine = 2.2e-16 if runner.twin is not None else probe.epsilon  # rounding unit of the values differenced
    error = 8 * fine * float(np.max(np.abs(values)))
    size = max(float(np.median(np.abs(g))), abs(probe.slope_mean))
    widest = probe.h / 64 if probe.objective is not None else _free_step(runner, probe) / 8
    step = min(widest, max(widest / 1024, 20 * error / size if size > 0 else widest))
    objective = Objective(runner, runner.loss)
    slopes, slopes_across = (
        [objective.slopes(k, {probe.block: v}, step, 1)[0] for k in range(DRAWS)] for v in (probe.v, across)
    )
    return Evidence(
        g=np.array(g),
        slope=np.nan_to_num(slopes),
        value=np.array(values),
        repeated=np.array(repeated),
        again=np.array(agains),
        g_across=np.array(g_across),
        slope_across=np.nan_to_num(slopes_across),
        floor=error / step + 4 * probe.epsilon * size + 1e-300,
    )


def _across(runner: Runner, probe: Probe) -> torch.Tensor:
    """Return a random direction of the probe's block, as long as the probe's own."""
    shape = tuple(probe.v.shape)
    signs = runner.noise.child("across").rademacher(shape, dtype=torch.float32, device=probe.v.device)
    return signs.to(probe.v.dtype) / math.sqrt(probe.v.numel())


def _free_step(runner: Runner, probe: Probe) -> float:
    base = runner.base[probe.block].double()
    return max(1e-2 * float(base.square().mean().sqrt()), 1e-3) / float(probe.v.abs().max())


def _jumps(runner: Runner, probe: Probe, slope: np.ndarray) -> bool:
    """Say whether single draws have another slope at a large step than at a very small one."""
    objective = Objective(runner, runner.loss)
    h = probe.h if probe.objective is not None else _free_step(runner, probe)
    wide = np.array([objective.difference(k, {probe.block: probe.v}, h).slope for k in range(DRAWS)])
    return float(np.mean(np.abs(wide - slope) > 0.02 * np.abs(slope))) > 0.2


def _factor_error(probe: Probe) -> float:
    slope = abs(probe.slope_mean)
    return float(probe.bias_error / slope) if slope > 0 else math.inf


def _constant_ratio(x: np.ndarray, y: np.ndarray) -> bool:
    """Say whether x = c y for one constant c at all draws."""
    if not (np.abs(y) > 0).all() or np.std(y) == 0:
        return False
    ratio = x / y
    return bool(np.abs(ratio - np.median(ratio)).max() <= 0.02 * abs(np.median(ratio)))


def _same_across(e: Evidence, factor: float) -> bool:
    """Say whether the gradient is the same multiple of the slope along the other direction of the block."""
    size = float(np.sqrt(np.mean(e.slope_across**2)))
    return (
        float(np.median(np.abs(e.g_across - factor * e.slope_across))) <= 0.02 * abs(factor) * size + e.floor
    )


def overwritten(runner: Runner) -> bool:
    """Say whether a tensor that autograd saved has changed before the backward pass could use it."""
    saved: list[tuple[torch.Tensor, torch.Tensor]] = []

    def keep(x: torch.Tensor) -> torch.Tensor:
        saved.append((x.detach(), x.detach().clone()))
        return x

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        runner.call(runner.loss, 0)
    return any(not torch.equal(now, then) and not torch.isnan(then).any() for now, then in saved)


class _Discrete(TorchFunctionMode):
    """Notes whether a tensor of whole numbers, not all the same, is used that requires a gradient."""

    seen = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one torch function."""
        if not self.seen:
            with torch._C.DisableTorchFunction():
                self.seen = any(_whole(x) for x in args)
        return func(*args, **(kwargs or {}))


def _whole(x: Any) -> bool:
    if not isinstance(x, torch.Tensor) or not x.requires_grad or x.is_leaf or x.numel() < 2:
        return False
    x = x.detach()
    return bool(((x - x.round()).abs() < 1e-4).all() and x.min().round() < x.max().round())


def carries_discrete(runner: Runner) -> bool:
    """Say whether a discrete sample carries a gradient, as in a straight-through estimator."""
    with torch.enable_grad(), _Discrete() as mode:
        runner.call(runner.loss, 0)
    return mode.seen


def has_log_probability(runner: Runner) -> bool:
    """Say whether a logarithm or its like stands in the graph of the loss: a score-function term has one."""
    with torch.enable_grad():
        value = runner.call(runner.loss, 0)
    names: set[str] = set()
    seen: set[object] = set()
    stack = [value.grad_fn]
    while stack and len(seen) < 20_000:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        names.add(node.name())
        stack += [parent for parent, _ in node.next_functions]
    marks = ("Log", "Softplus", "BinaryCrossEntropy")
    return any(mark in name for name in names for mark in marks)
