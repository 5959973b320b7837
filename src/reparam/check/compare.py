"""Compare several ways to write one objective: who is right, and who is cheapest for the same precision.

The price of a right gradient is variance x time: S draws divide the variance by S and multiply the time by S.
"""

import html
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as RichTable

from reparam.check.draws import Loss, Params
from reparam.check.gradient import checked
from reparam.check.options import Options
from reparam.check.report import Report, plain, short
from reparam.check.search import Reference
from reparam.noise import Noise, given


@dataclass(frozen=True)
class Row:
    """One way.

    Attributes:
        name: its name.
        report: its check, with bias, interval and the rest.
        price: variance x seconds per gradient.
        price_error: its standard error, from that of the variance.
    """

    name: str
    report: Report
    price: float
    price_error: float


@dataclass(frozen=True)
class Comparison:
    """The ways, ranked: those that passed by price, then the inconclusive ones by price, then the biased ones."""

    rows: tuple[Row, ...]

    @classmethod
    def ranked(cls, rows: Iterable[Row]) -> "Comparison":
        """Return a comparison of rows in any order."""
        return cls(tuple(sorted(rows, key=_rank)))

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> Row:
        return {row.name: row for row in self.rows}[name]

    def to_json(self) -> str:
        """Return the table as a JSON array, best first; what is not finite is null."""
        rows = [
            {"name": r.name, "price": r.price, "price_error": r.price_error, **json.loads(r.report.to_json())}
            for r in self.rows
        ]
        return json.dumps(plain(rows), indent=2)

    def table(self) -> RichTable:
        """Return a rich table."""
        table = RichTable(*COLUMNS)
        for cells in self.cells():
            table.add_row(*cells)
        return table

    def cells(self) -> list[tuple[str, ...]]:
        """Return the table's cells as text."""
        return [
            (
                row.name,
                row.report.verdict,
                short(row.report.bias),
                "[{}, {}]".format(*map(short, row.report.interval)),
                f"{short(row.report.variance)} ± {short(2 * row.report.variance_error)}",
                short(1e3 * row.report.seconds_per_gradient),
                f"{short(1e3 * row.price)} ± {short(2e3 * row.price_error)}",
            )
            for row in self.rows
        ]

    def __str__(self) -> str:
        stream = io.StringIO()
        Console(file=stream, width=110, color_system=None).print(self.table())
        return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{column}</th>" for column in COLUMNS)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in self.cells()
        )
        return f"<table><tr>{head}</tr>{body}</table>"


COLUMNS = ("way", "verdict", "bias", "interval", "variance", "ms", "variance x ms")


def compare(
    losses: Mapping[str, Loss],
    params: Params,
    *,
    noise: Noise | None = None,
    reference: Reference = None,
    tolerance: float = 0.01,
    scale: float | None = None,
    false_alarm: float = 1e-6,
    max_seconds: float = 60.0,
    max_draws: int | None = None,
) -> Comparison:
    """Check several ways to write one objective and rank them by variance x time (in gradient^2 x seconds).

    Args:
        losses: the ways by name, each as in `gradient`.
        params: the leaves, shared by all.
        noise: the address of the draws, the same for all; fresh noise when None.
        reference: the objective or the exact gradient that all should have; None: each way's own value.
        tolerance, scale: as in `gradient`.
        false_alarm: for all ways together.
        max_seconds: for all ways together, in equal shares.
        max_draws: per way.

    Raises:
        ValueError: no losses; else as in `gradient`.

    Example:
        >>> import torch, reparam as rp
        >>> loc = torch.tensor(1.0, requires_grad=True)
        >>> ways = {"one": lambda n: (loc + n.normal((1,))).square().mean(),
        ...         "many": lambda n: (loc + n.normal((50,))).square().mean()}
        >>> table = compare(ways, loc, noise=rp.Noise(0), max_draws=300)
        >>> table["many"].report.variance < table["one"].report.variance
        True
    """
    options = Options("check.compare", tolerance, scale, false_alarm, max_seconds, max_draws)
    return compared(losses, params, given(noise, options.who), reference, options)


def compared(
    losses: Mapping[str, Loss], params: Params, noise: Noise, reference: Reference, options: Options
) -> Comparison:
    """Return the table of `compare` for options that were read."""
    if not isinstance(losses, Mapping) or not losses:
        raise ValueError(
            f"{options.who}: losses must be a dict of at least one loss by name; got {type(losses).__name__} "
            f"of {len(losses) if isinstance(losses, Mapping) else 'no names'}; write {{'name': loss}}"
        )
    rows = []
    for name, loss in losses.items():
        report = checked(loss, params, noise, reference, options.shared_by(len(losses)))
        seconds = report.seconds_per_gradient
        rows.append(Row(str(name), report, report.variance * seconds, report.variance_error * seconds))
    return Comparison.ranked(rows)


def choose(
    losses: Mapping[str, Loss],
    params: Params,
    *,
    noise: Noise | None = None,
    reference: Reference = None,
    tolerance: float = 0.01,
    scale: float | None = None,
    false_alarm: float = 1e-6,
    max_seconds: float = 60.0,
    max_draws: int | None = None,
) -> str:
    """Return the name of the cheapest way (least variance x time) among those whose gradient passed the check.

    Arguments as in `compare`.

    Raises:
        ValueError: no way passed; the message holds the table.

    Example:
        >>> import torch, reparam as rp
        >>> loc = torch.tensor(1.0, requires_grad=True)
        >>> ways = {"right": lambda n: (loc + n.normal((9,))).square().mean(),
        ...         "wrong": lambda n: (loc.detach() + n.normal((9,))).square().mean() + 0 * loc}
        >>> choose(ways, loc, noise=rp.Noise(0), max_draws=400)
        'right'
    """
    options = Options("check.choose", tolerance, scale, false_alarm, max_seconds, max_draws)
    table = compared(losses, params, given(noise, options.who), reference, options)
    best = table.rows[0]
    if best.report.verdict != "unbiased":
        raise ValueError(
            f"check.choose: at least one way must pass the check; got none in {max_seconds:g} s; raise max_seconds, "
            f"max_draws or tolerance, or average more samples inside the losses\n{table}"
        )
    return best.name


def _rank(row: Row) -> tuple[int, float]:
    order = {"unbiased": 0, "inconclusive": 1, "biased": 2}
    return order[row.report.verdict], row.price if math.isfinite(row.price) else math.inf
