"""Write docs/families.md from the docstrings of the distributions and their measured accuracy and speed.

PYTHONPATH=src python scripts/make_families_page.py
"""

import inspect
import re
from pathlib import Path

from reparam import distributions as D

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs/families.md"
PLACES = ("cdf", "survival function", "log_prob", "quantile")


def rows(name: str) -> list[list[str]]:
    """Return the cells of the tables of a file of results."""
    lines = (ROOT / "benchmarks/results" / name).read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]


def family_of(name: str) -> str:
    """Return the family that a row is about, without what stands in brackets."""
    return re.split(r"[ (]", name)[0]


def zero(value: str) -> str:
    """Return an error as it is read aloud: none at all is 0."""
    return "0" if value == "0.0e+00" else value


def accuracy() -> dict[str, list[str]]:
    """Return sentences on the measured accuracy of each family."""
    out: dict[str, list[str]] = {}
    for name, *cells in rows("accuracy.md"):
        if len(cells) != 8 or not re.match(r"\d", cells[0]):
            continue
        places = ", ".join(f"{place} {zero(value)}" for place, value in zip(PLACES, cells))
        case = name[len(family_of(name)) :].strip(" ()")
        out.setdefault(family_of(name), []).append(
            f"Worst relative error{f' ({case})' if case else ''}: {places}; pathwise derivative {zero(cells[4])} (must "
            f"{cells[5]}), in float32 {cells[6]} ulp (must {cells[7]})."
        )
    return out


def speed() -> dict[str, list[str]]:
    """Return sentences on the measured time of a draw of each family."""
    out: dict[str, list[str]] = {}
    for name, label, *cells in rows("distributions.md"):
        if len(cells) < 3 or not re.match(r"[\d.]+ /", cells[0]):
            continue
        ours, _, ratio = (cell.split(" / ") for cell in cells[:3])
        against = f", {ratio[0]} of torch's time" if len(ratio) == 2 else ""
        out.setdefault(name, []).append(f"{ours[0]} ns{f' ({label})' if label else ''}{against}")
    return {
        name: [f"Time of a draw and its backward pass: {'; '.join(texts)}."] for name, texts in out.items()
    }


def page() -> str:
    """Return the page."""
    precise, fast = accuracy(), speed()
    families = [
        getattr(D, name)
        for name in sorted(D.__all__)
        if inspect.isclass(getattr(D, name)) and issubclass(getattr(D, name), D.Distribution)
    ]
    families = [family for family in families if family is not D.Distribution]
    parts = [
        "# Families\n\nMade by `scripts/make_families_page.py` from the docstrings and the committed measurements.\n\n"
        "Errors are the worst at the references, in float64 where nothing else is said "
        "(`benchmarks/results/accuracy.md`). Times are for float32, 10^6 numbers, one thread; the ratio is to torch's "
        "class in the same run, for VonMises to its forward pass, which has no derivative "
        "(`benchmarks/results/distributions.md`). `rule` says how a draw depends on its parameters: explicit (a "
        "formula in the noise), implicit (a quantile, differentiated by its law), relaxed (a continuous stand-in) or "
        "none (no derivative: use an estimator).\n",
        " · ".join(f"[{family.__name__}](#{family.__name__.lower()})" for family in families) + "\n",
    ]
    for family in families:
        rule = family.rule if isinstance(family.rule, str) else "that of the base"
        text = inspect.cleandoc(family.__doc__ or "").split("\nExample:")[0].strip()
        parts.append(f"## {family.__name__}\n\nRule: {rule}.\n\n```text\n{text}\n```\n")
        measured = precise.get(family.__name__, []) + fast.get(family.__name__, [])
        if measured:
            parts.append("\n".join(f"- {sentence}" for sentence in measured) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    OUT.write_text(page())
