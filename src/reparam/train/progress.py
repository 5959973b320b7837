"""What a person sees while a model trains: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

LINES = 20  # plain lines of a whole run


class Lasting(Console):
    """A console whose run goes on when nobody reads any more (`reparam train ... 2>&1 | head`)."""

    def on_broken_pipe(self) -> None:
        """Fall silent."""
        self.quiet = True


class Reporter:
    """Report training to a stream.

    Args:
        total_steps, steps_per_epoch: of the run.
        quiet: say nothing.
        stream: where to; standard error by default.
    """

    def __init__(
        self, total_steps: int, steps_per_epoch: int, *, quiet: bool = False, stream: TextIO | None = None
    ) -> None:
        self.total, self.per_epoch, self.quiet = total_steps, steps_per_epoch, quiet
        self.console = Lasting(file=stream or sys.stderr, highlight=False, soft_wrap=True)
        self.bar: Progress | None = None
        self.started, self.first_step = time.monotonic(), 0

    def start(self, step: int) -> None:
        """Begin at a step."""
        self.started, self.first_step = time.monotonic(), step
        if self.console.is_terminal and not self.quiet:
            columns = (
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(),
                TextColumn("{task.fields[text]}"),
            )
            self.bar = Progress(*columns, TimeRemainingColumn(), console=self.console)
            self.task = self.bar.add_task("train", total=self.total, completed=step, epoch=0, text="")
            self.bar.start()

    def step(self, step: int, numbers: dict[str, float]) -> None:
        """Show the numbers of one step on the bar."""
        if self.bar is not None:
            epoch = (step - 1) // self.per_epoch + 1
            self.bar.update(self.task, completed=step, epoch=epoch, text=self._text(step, numbers))

    def epoch(self, epoch: int, epochs: int, step: int, numbers: dict[str, Any]) -> None:
        """Print the numbers of one epoch, at most about `LINES` lines a run."""
        every = max(1, epochs // LINES)
        if self.quiet or self.bar is not None or (epoch % every and epoch != epochs):
            return
        self.console.print(f"epoch {epoch}/{epochs}  {self._text(step, numbers)}")

    def stop(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _text(self, step: int, numbers: dict[str, Any]) -> str:
        speed = (step - self.first_step) / max(time.monotonic() - self.started, 1e-9)
        shown = "  ".join(
            f"{name} {value:.4g}" for name, value in numbers.items() if isinstance(value, float)
        )
        return f"{shown}  {speed:.0f} steps/s"
