"""Tables as text."""


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines) + "\n"


def yes(flag: bool) -> str:
    """Return "yes" or "no"."""
    return "yes" if flag else "no"
