"""The training loop: a pure function of (module, data, noise), hence exactly resumable.

Batch k of epoch e is `order(seed, e)[k B : (k + 1) B]`; the noise of step t is `noise.child("train").at(t)`, with
the examples' numbers as rows. Killed at any moment and continued from its checkpoint, a run ends with the same
bits as one never interrupted.
"""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from reparam.data import batches_per_epoch, epoch_order
from reparam.noise import Noise
from reparam.objectives import Terms
from reparam.train.checkpoint import load_checkpoint, save_checkpoint
from reparam.train.progress import Reporter

BAD_STEPS = 10  # steps in a row with a loss or gradient that is not finite, after which training stops
NO_GRADIENT = "train: the loss must reach a parameter; got no gradient at all; check the loss"
SAVE_SECONDS = 5.0
SAVE_SHARE = 20  # a checkpoint waits this many times the time that the last one took


class TrainingError(ValueError):
    """Training that cannot go on: who, what, got, remedy."""


class Examples(Protocol):
    """Data of a loop: examples by position, and the number that labels each one's noise."""

    def __len__(self) -> int: ...

    def batch(self, positions: Tensor) -> Any:
        """Return the examples at positions (int64)."""
        ...

    def numbers(self, positions: Tensor) -> Tensor:
        """Return the row number of each example (int64)."""
        ...


Loss = Callable[[nn.Module, Any, Noise, float], Tensor | Terms]


@dataclass
class Progress:
    """Where a run stands: the counters that a checkpoint keeps."""

    step: int = 0
    skipped: int = 0
    bad_in_a_row: int = 0
    best: float | None = None
    best_epoch: int = 0
    finished: bool = False
    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0


@dataclass
class Loop:
    """One run of training.

    Args:
        module, optimizer: what is trained, and how.
        data, validation: examples.
        loss: (module, batch, noise, progress in (0, 1]) -> scalar loss or Terms.
        noise: the address of the run.
        epochs, batch_size, grad_clip: the plan; a clip of 0 is none.
        folder: where checkpoints go; None keeps nothing.
        reporter: what is shown.
        save_seconds: least time between checkpoints.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    data: Examples
    validation: Examples | None
    loss: Loss
    noise: Noise
    epochs: int
    batch_size: int
    grad_clip: float = 0.0
    folder: Path | None = None
    reporter: Reporter | None = None
    save_seconds: float = SAVE_SECONDS
    progress: Progress = field(default_factory=Progress)
    best_state: dict[str, Tensor] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.per_epoch = batches_per_epoch(len(self.data), self.batch_size)
        self.total = self.per_epoch * self.epochs
        self.order, self.order_of = torch.empty(0, dtype=torch.int64), -1
        self.saved_at, self.save_cost = time.monotonic(), 0.0

    def resume(self) -> bool:
        """Take up the folder's checkpoint; return False where there is none yet."""
        assert self.folder is not None
        found = load_checkpoint(self.folder, self.module, self.optimizer)
        if found is None:
            return False
        counters, self.best_state, self.history = found
        self.progress = Progress(**counters)
        return True

    def run(self) -> Progress:
        """Train to the end, saving on the way; an interrupt saves and raises KeyboardInterrupt."""
        self.module.train()
        if self.reporter:
            self.reporter.start(self.progress.step)
        try:
            with interruptible() as interrupted:
                while self.progress.step < self.total:
                    self._one_step()
                    if interrupted():
                        self.save()
                        raise KeyboardInterrupt
                    if time.monotonic() - self.saved_at > max(self.save_seconds, SAVE_SHARE * self.save_cost):
                        self.save()
                self._check_result()
                self.progress.finished = True
                self.save()
        finally:
            if self.reporter:
                self.reporter.stop()
        return self.progress

    def save(self) -> None:
        """Write a checkpoint, if there is a folder."""
        started = time.monotonic()
        if self.folder is not None:
            save_checkpoint(
                self.folder, self.module, self.optimizer, vars(self.progress), self.best_state, self.history
            )
        self.saved_at = time.monotonic()
        self.save_cost = self.saved_at - started

    def _one_step(self) -> None:
        epoch, place = divmod(self.progress.step, self.per_epoch)
        if self.order_of != epoch:
            self.order, self.order_of = epoch_order(len(self.data), self.noise, epoch), epoch
        positions = self.order[place * self.batch_size : (place + 1) * self.batch_size]
        numbers = self._update(positions)
        self.progress.step += 1
        if self.reporter and numbers:
            self.reporter.step(self.progress.step, numbers)
        if place == self.per_epoch - 1:
            self._end_epoch(epoch + 1)

    def _update(self, positions: Tensor) -> dict[str, float]:
        step = self.progress.step
        noise = self.noise.child("train").at(step).rows(self.data.numbers(positions))
        outcome = self.loss(self.module, self.data.batch(positions), noise, (step + 1) / self.total)
        loss, numbers = read_outcome(outcome)
        self.optimizer.zero_grad(set_to_none=True)
        culprit = None if math.isfinite(numbers["loss"]) else self._name_term(numbers)
        if culprit is None:
            if not loss.requires_grad:
                raise TrainingError(NO_GRADIENT)
            loss.backward()
            culprit = self._clip()
        if culprit is not None:
            self._skip(culprit)
            return {}
        self.optimizer.step()
        self.progress.bad_in_a_row = 0
        size = len(positions)
        self.progress.count += size
        for name, value in numbers.items():
            self.progress.sums[name] = self.progress.sums.get(name, 0.0) + value * size
        return numbers

    def _clip(self) -> str | None:
        """Clip the gradient by its norm; return the name of a parameter whose gradient is not finite, if any."""
        parameters = [p for p in self.module.parameters() if p.grad is not None]
        if not parameters:
            raise TrainingError(NO_GRADIENT)
        grads = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        if not math.isfinite(float(norm)):
            for name, p in self.module.named_parameters():
                if p.grad is not None and not bool(p.grad.isfinite().all()):
                    return f"the gradient of {name}"
            return "the norm of the gradient"
        if self.grad_clip:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.grad_clip, norm)
        return None

    def _skip(self, culprit: str) -> None:
        self.progress.skipped += 1
        self.progress.bad_in_a_row += 1
        if self.progress.bad_in_a_row >= BAD_STEPS:
            raise TrainingError(
                f"train: {culprit} was not finite in {BAD_STEPS} steps in a row (up to step {self.progress.step}); "
                "the steps were skipped, and training stopped; lower --lr, set --grad-clip, or check the data"
            )

    def _check_result(self) -> None:
        """Raise where nothing was learnt: no step could be taken, or the validation loss was never finite."""
        if self.progress.skipped == self.progress.step:
            got = "every step was skipped: loss or gradient not finite"
        elif self.validation is not None and self.progress.best is None:
            got = "the validation loss was never finite"
        else:
            return
        raise TrainingError(
            f"train: at least one step and one validation loss must be finite; {got}; "
            "lower --lr, set --grad-clip, or rescale the data"
        )

    @staticmethod
    def _name_term(numbers: dict[str, float]) -> str:
        bad = [name for name in ("reconstruction", "kl") if not math.isfinite(numbers.get(name, 0.0))]
        return f"the {bad[0]}" if bad else "the loss"

    def _end_epoch(self, epoch: int) -> None:
        progress = self.progress
        count = max(progress.count, 1)
        record: dict[str, Any] = {"epoch": epoch, "step": progress.step}
        record |= {name: value / count for name, value in progress.sums.items()}
        if self.validation is not None:
            value = self.validate()
            record["validation_loss"] = value
            if math.isfinite(value) and (progress.best is None or value < progress.best):
                progress.best, progress.best_epoch = value, epoch
                self.best_state = {name: t.detach().clone() for name, t in self.module.state_dict().items()}
        record["skipped_steps"] = progress.skipped
        record = {k: v if not isinstance(v, float) or math.isfinite(v) else None for k, v in record.items()}
        self.history.append(record)
        progress.sums, progress.count = {}, 0
        if self.reporter:
            shown = {k: v for k, v in record.items() if k not in ("epoch", "step")}
            self.reporter.epoch(epoch, self.epochs, progress.step, shown)

    @torch.no_grad()
    def validate(self) -> float:
        """Return the mean loss over the validation data, at addresses that do not depend on the step.

        Of Terms it is the negative bound, whatever is optimised.
        """
        assert self.validation is not None
        self.module.eval()
        noise, total = self.noise.child("validation"), 0.0
        for positions in torch.arange(len(self.validation)).split(self.batch_size):
            rows = noise.rows(self.validation.numbers(positions))
            outcome = self.loss(self.module, self.validation.batch(positions), rows, 1.0)
            mean = -outcome.bound.mean() if isinstance(outcome, Terms) else outcome
            total += float(mean) * len(positions)
        self.module.train()
        return total / len(self.validation)


def read_outcome(outcome: Tensor | Terms) -> tuple[Tensor, dict[str, float]]:
    """Return the loss to minimise and the numbers to report, from what a loss function returned."""
    if isinstance(outcome, Terms):
        loss = outcome.loss
        numbers = {"loss": float(loss.detach())}
        if outcome.reconstruction is not None:
            numbers["reconstruction"] = float(outcome.reconstruction.detach().mean())
        if outcome.kl is not None:
            numbers["kl"] = float(outcome.kl.detach().mean())
        return loss, numbers
    if not isinstance(outcome, Tensor) or outcome.ndim != 0:
        got = (
            f"a tensor of shape {tuple(outcome.shape)}"
            if isinstance(outcome, Tensor)
            else type(outcome).__name__
        )
        raise TypeError(f"fit: loss must return a scalar tensor or Terms; got {got}; average over the batch")
    return outcome, {"loss": float(outcome.detach())}


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn an interrupt (ctrl-C, SIGTERM) into a question that the loop asks between its steps."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    names = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(name, lambda *_: asked.set()) for name in names]
    try:
        yield asked.is_set
    finally:
        for name, handler in zip(names, before):
            signal.signal(name, handler)
