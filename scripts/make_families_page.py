"""Write docs/families.md and docs/families/ from the docstrings of the distributions and their measurements.

PYTHONPATH=src python scripts/make_families_page.py
"""

import inspect
import re
from pathlib import Path
from typing import Any

from reparam import distributions as D

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PLACED = ("journal", "booktitle", "howpublished", "publisher")
HEAD = """# Families

A page for each, made by `scripts/make_families_page.py` from the docstrings and the committed measurements.

Errors are the worst at the references, in float64 where nothing else is said (`benchmarks/results/accuracy.md`). Times
are for float32, 10^6 numbers, one thread; the ratio is to torch's class in the same run, for VonMises to its forward
pass, which has no derivative (`benchmarks/results/distributions.md`). In families of which a single time is given 10^5
draws share their parameters (`benchmarks/results/every_family.md`).

The rule says how a draw depends on its parameters: explicit (a formula in the noise), implicit (a quantile,
differentiated by its law), relaxed (a continuous stand-in) or none (no derivative: use an estimator).
"""
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


def accuracy_of_others() -> dict[str, list[str]]:
    """Return sentences on the families of which only the density, and of Dirichlet the field, has references."""
    out: dict[str, list[str]] = {}
    for name, *cells in rows("accuracy.md"):
        if len(cells) != 2 or not re.match(r"\d", cells[1]):
            continue
        family = family_of(name) if name[0].isupper() else "Dirichlet"
        case = name[len(family) :].strip(" ()") if name[0].isupper() else name
        text = f"Worst error of {case}: {cells[0]} (must {cells[1]})."
        if name[0].isupper():
            bracket = f" ({case})" if case else ""
            text = f"Worst error of log_prob{bracket}: {zero(cells[0])}, in float32 {cells[1]}, of max(1, |log q|)."
        out.setdefault(family, []).append(text)
    return out


def time(nanoseconds: str) -> str:
    """Return a time in the unit that it is read in."""
    value = float(nanoseconds)
    return f"{value / 1000:.1f} microseconds" if value >= 10_000 else f"{nanoseconds} ns"


def speed() -> dict[str, list[str]]:
    """Return sentences on the measured time of a draw of each family."""
    out: dict[str, list[str]] = {}
    for name, label, *cells in rows("distributions.md"):
        if len(cells) < 3 or not re.match(r"[\d.]+ /", cells[0]):
            continue
        ours, _, ratio = (cell.split(" / ") for cell in cells[:3])
        against = f", {ratio[0]} of torch's time" if len(ratio) == 2 else ""
        out.setdefault(name, []).append(f"{time(ours[0])}{f' ({label})' if label else ''}{against}")
    for name, ours, _, ratio in (row for row in rows("every_family.md") if len(row) == 4):
        against = f", {ratio} of torch's time" if ratio else ""
        if ours[0].isdigit():
            alone = ", drawing alone" if "draw" in ours else ""
            out.setdefault(name, []).append(f"{time(ours.split()[0])}{alone}{against}")
    return {
        name: [f"Time of a draw and its backward pass: {'; '.join(texts)}."] for name, texts in out.items()
    }


def sources() -> dict[str, str]:
    """Return the entries of the bibliography as sentences, by key."""
    out = {}
    for entry in re.split(r"^@\w+\{", (ROOT / "docs/references.bib").read_text(), flags=re.M)[1:]:
        key = entry.split(",")[0]
        fields = dict(re.findall(r"(\w+)\s*=\s*\{(.*?)\}(?:,\n|\n\})", entry, flags=re.S))
        place = next((fields[name] for name in PLACED if name in fields), "")
        authors = re.sub(r"\s+and\s+", "; ", fields["author"])
        parts = (authors, fields["title"], place, fields["year"])
        out[key] = ". ".join(plain(part).rstrip(".") for part in parts if part) + "."
    return out


def plain(text: str) -> str:
    """Return a field of the bibliography without its markup."""
    letters = re.sub(r"\\v\{(\w)\}", r"\1", text)
    return re.sub(r"\s+", " ", re.sub(r"[{}\\']", "", letters)).replace("--", "-")


def families() -> list[Any]:
    """Return every family, by name."""
    classes = [getattr(D, name) for name in sorted(D.__all__)]
    return [
        c for c in classes if inspect.isclass(c) and issubclass(c, D.Distribution) and c is not D.Distribution
    ]


def rule_of(family: Any) -> str:
    """Return how a draw depends on its parameters."""
    return family.rule if isinstance(family.rule, str) else "that of the base"


def page(family: Any, measured: list[str], known: dict[str, str]) -> str:
    """Return the page of one family."""
    name = family.__name__
    text = inspect.cleandoc(family.__doc__ or "").split("\nExample:")[0]
    text, _, cited = text.partition("\nSource: ")
    more = [part for part in re.split(r"\n\n", cited.partition(".")[2]) if part.strip()]
    signature = inspect.signature(family.__init__)
    arguments = ", ".join(list(signature.parameters)[1:])
    parts = [
        f"# {name}\n\n`reparam.distributions.{name}({arguments})`, rule: {rule_of(family)}. "
        f"Code: `{Path(inspect.getsourcefile(family)).relative_to(ROOT)}`.\n",
        f"```text\n{chr(10).join([text.strip(), *more]).strip()}\n```\n",
    ]
    if measured:
        parts.append("## Measured\n\n" + "\n".join(f"- {sentence}" for sentence in measured) + "\n")
    keys = re.findall(r"[a-z-]+\d{4}", cited.partition(".")[0])
    if keys:
        parts.append("## Source\n\n" + "\n".join(f"- {known[key]}" for key in keys) + "\n")
    parts.append("[All families](../families.md)\n")
    return "\n".join(parts)


def index() -> str:
    """Return the page that lists all families."""
    lines = []
    for family in families():
        law = (family.__doc__ or "").splitlines()[0].replace("|", "\\|")
        name = family.__name__
        lines.append(f"| [{name}](families/{name.lower()}.md) | {rule_of(family)} | {law} |")
    return "\n".join([HEAD, "| family | rule | law |", "| --- | --- | --- |", *lines, ""])


def pages() -> dict[str, str]:
    """Return every page by its path in docs."""
    precise, fast, known = accuracy() | accuracy_of_others(), speed(), sources()
    out = {"families.md": index()}
    for family in families():
        name = family.__name__
        measured = precise.get(name, []) + fast.get(name, [])
        out[f"families/{name.lower()}.md"] = page(family, measured, known)
    return out


if __name__ == "__main__":
    made = pages()
    (DOCS / "families").mkdir(exist_ok=True)
    for old in (DOCS / "families").glob("*.md"):
        if f"families/{old.name}" not in made:
            old.unlink()
    for path, text in made.items():
        (DOCS / path).write_text(text)
