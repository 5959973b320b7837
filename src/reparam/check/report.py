"""What a check found, for a terminal, a notebook or a file."""

import html
import io
import json
import math
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

VERDICTS = ("unbiased", "biased", "inconclusive")


@dataclass(frozen=True)
class BlockReport:
    """One parameter tensor.

    Attributes:
        name, size: its name and number of elements.
        verdict: "unbiased", "biased" or "inconclusive".
        bias: |E G - reference| / max(|reference|, scale), 2-norms, dimensionless.
        interval: bounds of `bias`: the lower holds at the false-alarm level, the upper at the level of a miss.
        reference_norm, gradient_norm: 2-norms of the reference gradient and of the mean autograd gradient.
        variance: trace of the covariance of one gradient draw, with its standard error.
        snr: |E G| / sqrt(variance), the signal-to-noise ratio of one draw.
        factor: (E G . reference) / |reference|^2 along the directions measured, 1 if right; nan where unknown.
        draws: draws behind the bounds.
    """

    name: str
    size: int
    verdict: str
    bias: float
    interval: tuple[float, float]
    reference_norm: float
    gradient_norm: float
    variance: float
    variance_error: float
    snr: float
    factor: float
    draws: int


@dataclass(frozen=True)
class Report:
    """The verdict on a gradient and its evidence; `bias` and `interval` are those of the worst block.

    Attributes:
        verdict: "unbiased": below the tolerance; "biased": above zero and beyond the tolerance; "inconclusive".
        bias: |E G - reference| / max(|reference|, scale) of the worst block, dimensionless.
        interval: its bounds: the lower one at the false-alarm level, the upper one at `miss`.
        variance: summed variance of one gradient draw, over all parameters.
        variance_error: its standard error.
        seconds: time of the check.
        draws: gradient draws taken.
        seconds_per_gradient: median time of one value and gradient.
        value, value_spread: mean and standard deviation of the loss.
        blocks: one per parameter tensor.
        cause, factor: of the worst biased block, "" and nan otherwise.
        needs: what a verdict would take, where there is none.
        rarest: probability of the rarest event that the draws would have shown; what is rarer goes unseen.
        notes: what else the user should know.
    """

    verdict: str
    bias: float
    interval: tuple[float, float]
    variance: float
    variance_error: float
    seconds: float
    draws: int
    seconds_per_gradient: float
    value: float
    value_spread: float
    blocks: tuple[BlockReport, ...]
    cause: str
    factor: float
    needs: str
    tolerance: float
    false_alarm: float
    miss: float
    rarest: float
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the report as a JSON object; what is not finite is null."""
        return json.dumps(plain(asdict(self)), indent=2)

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=110, color_system=None)
        console.print(self.table())
        text = console.file.getvalue()  # type: ignore[attr-defined]
        return "\n".join([self.headline(), *(line.rstrip() for line in text.splitlines()), *self.details()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(c)}</th>" for c in COLUMNS)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>" for cells in self.rows()
        )
        tail = "".join(f"<p>{html.escape(line)}</p>" for line in self.details())
        return f"<p><b>{html.escape(self.headline())}</b></p><table><tr>{head}</tr>{rows}</table>{tail}"

    def headline(self) -> str:
        """Return the verdict in one line."""
        low, high = self.interval
        text = f"{self.verdict}: bias {short(self.bias)} of the gradient, in [{short(low)}, {short(high)}]"
        if self.verdict == "biased":
            names = [b.name for b in self.blocks if b.verdict == "biased"]
            text += (
                f"; parameters {', '.join(names)}; factor {short(self.factor)}; likely cause: {self.cause}"
            )
        return text

    def rows(self) -> list[tuple[str, ...]]:
        """Return the cells of the table of blocks."""
        return [
            (
                f"{b.name} ({b.size})",
                b.verdict,
                short(b.bias),
                f"[{short(b.interval[0])}, {short(b.interval[1])}]",
                short(b.factor),
                short(b.reference_norm),
                short(b.variance),
                short(b.snr),
                str(b.draws),
            )
            for b in self.blocks
        ]

    def table(self) -> Table:
        """Return the blocks as a rich table."""
        table = Table(*COLUMNS)
        for cells in self.rows():
            table.add_row(*cells)
        return table

    def details(self) -> list[str]:
        """Return the lines below the table."""
        lines = [
            f"{self.draws} draws in {self.seconds:.1f} s ({short(1e3 * self.seconds_per_gradient)} ms per gradient); "
            f"tolerance {self.tolerance:g}; false alarm {self.false_alarm:g}, miss {self.miss:g}; "
            f"events rarer than {short(self.rarest)} per draw go unseen"
        ]
        return lines + ([self.needs] if self.needs else []) + list(self.notes)


COLUMNS = ("parameter", "verdict", "bias", "interval", "factor", "|reference|", "variance", "snr", "draws")


def short(x: float) -> str:
    """Return three significant digits; a dash for nan."""
    return "-" if isinstance(x, float) and math.isnan(x) else f"{x:.3g}"


def plain(x: object) -> object:
    """Return x with every number that JSON does not know as None."""
    if isinstance(x, dict):
        return {key: plain(value) for key, value in x.items()}
    if isinstance(x, list | tuple):
        return [plain(value) for value in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x
