"""Say in a few lines what a data set holds and how it will be modelled."""

from __future__ import annotations

import os

import torch

from reparam.data.dataset import DEFAULT_LIKELIHOOD, Dataset
from reparam.data.readers import load


def summarize(data: Dataset) -> dict[str, object]:
    """Give the facts that ``reparam data inspect`` prints, as values fit for JSON.

    Keys: name, examples, shape, kind, levels, dtype, minimum, maximum, mean, standard_deviation (of the
    stored numbers), classes, examples_per_class, label_names, likelihood, fingerprint, note.

    Example:
        >>> facts = summarize(load("digits"))
        >>> facts["examples"], facts["shape"], facts["maximum"], facts["classes"]
        (1797, [1, 8, 8], 16, 10)
    """
    low, high = data.x.min().item(), data.x.max().item()
    deviation, mean = torch.std_mean(data.x.to(torch.float64), correction=0)
    counts = torch.bincount(data.labels, minlength=data.classes).tolist() if data.labels is not None else None
    return {
        "name": data.name,
        "examples": len(data),
        "shape": list(data.shape),
        "kind": data.kind,
        "levels": data.levels,
        "dtype": str(data.x.dtype).removeprefix("torch."),
        "minimum": low,
        "maximum": high,
        "mean": mean.item(),
        "standard_deviation": deviation.item(),
        "classes": data.classes,
        "examples_per_class": counts,
        "label_names": list(data.label_names) if data.label_names else None,
        "likelihood": DEFAULT_LIKELIHOOD[data.kind],
        "fingerprint": data.fingerprint,
        "note": list(data.note),
    }


def inspect(
    path_or_name: str | os.PathLike[str],
    *,
    key: str | None = None,
    size: int | None = None,
    kind: str | None = None,
) -> str:
    """Describe what ``load`` makes of a path, for people; arguments and errors are those of ``load``.

    Example:
        >>> print(inspect("digits").splitlines()[0])
        digits: 1,797 examples of shape (1, 8, 8)
    """
    data = load(path_or_name, key=key, size=size, kind=kind)
    facts = summarize(data)
    axes = ", ".join(map(str, data.shape)) + ("," if len(data.shape) == 1 else "")
    rows = [
        ("kind", data.kind + (f", {data.levels} grey levels" if data.levels else "")),
        ("stored as", facts["dtype"]),
        ("values", f"{_number(facts['minimum'])} .. {_number(facts['maximum'])}"),
        ("mean", f"{facts['mean']:.6g}, standard deviation {facts['standard_deviation']:.6g}"),
        ("labels", _say_labels(facts)),
        ("likelihood", f"{facts['likelihood']} (default for this kind)"),
        ("fingerprint", facts["fingerprint"]),
        *[("note", line) for line in data.note],
    ]
    head = f"{data.name}: {len(data):,} examples of shape ({axes})"
    return "\n".join([head, *(f"  {word:<12} {value}" for word, value in rows)])


def _say_labels(facts: dict[str, object]) -> str:
    counts = facts["examples_per_class"]
    if not isinstance(counts, list):
        return "none"
    names = facts["label_names"]
    words = names if isinstance(names, list) else range(len(counts))
    shown = ", ".join(f"{word}: {count}" for word, count in list(zip(words, counts))[:12])
    return f"{len(counts)} classes ({shown}{', ...' if len(counts) > 12 else ''})"


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
