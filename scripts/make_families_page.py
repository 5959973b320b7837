"""Write docs/families.md from the docstrings of the distributions and the measured accuracy.

PYTHONPATH=src python scripts/make_families_page.py
"""

import inspect
import re
from pathlib import Path

from reparam import distributions as D

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs/families.md"
KEYS = (
    "cdf",
    "survival",
    "log_prob",
    "quantile",
    "pathwise",
    "must",
    "float32 pathwise in ulp",
    "must in ulp",
)


def accuracy() -> dict[str, str]:
    """Return one sentence per family of benchmarks/results/accuracy.md."""
    out = {}
    for line in (ROOT / "benchmarks/results/accuracy.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == len(KEYS) + 1 and re.match(r"\d", cells[1]):
            out[cells[0]] = ", ".join(f"{key} {value}" for key, value in zip(KEYS, cells[1:]))
    return out


def page() -> str:
    """Return the page."""
    measured = accuracy()
    families = [
        getattr(D, name)
        for name in D.__all__
        if inspect.isclass(getattr(D, name)) and issubclass(getattr(D, name), D.Distribution)
    ]
    parts = [
        "# Families\n\nMade from the docstrings by `scripts/make_families_page.py`. Accuracy: the worst error at the "
        "references, see `benchmarks/results/accuracy.md`.\n"
    ]
    for family in families:
        if family is D.Distribution:
            continue
        rule = family.rule if isinstance(family.rule, str) else "that of the base"
        text = inspect.cleandoc(family.__doc__ or "").split("\nExample:")[0].strip()
        parts.append(f"## {family.__name__}\n\nRule: {rule}.\n\n```text\n{text}\n```\n")
        for name, errors in measured.items():
            if re.split(r"[ (]", name)[0] == family.__name__:
                parts.append(f"Accuracy of {name}: {errors}.\n")
    return "\n".join(parts)


if __name__ == "__main__":
    OUT.write_text(page())
