"""The page docs/derivation.md runs and prints what it shows. Run this file to redraw its figures."""

import contextlib
import io
import os
import re
from pathlib import Path

import torch

PAGE = Path(__file__).parent.parent / "docs" / "derivation.md"
BLOCK = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)


def run(folder: Path) -> tuple[list[str], list[str]]:
    """Run every block in a folder; return what was printed and what the page shows."""
    (folder / "figures").mkdir(exist_ok=True)
    namespace: dict = {}
    printed, shown = [], []
    before, dtype = Path.cwd(), torch.get_default_dtype()
    os.chdir(folder)
    try:
        for kind, body in BLOCK.findall(PAGE.read_text()):
            if kind == "text":
                shown.append(body)
                continue
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(body, str(PAGE), "exec"), namespace)
            if out.getvalue():
                printed.append(out.getvalue())
    finally:
        os.chdir(before)
        torch.set_default_dtype(dtype)
    return printed, shown


def test_the_page_prints_what_it_shows(tmp_path):
    printed, shown = run(tmp_path)
    assert printed == shown
    figures = sorted(p.name for p in (tmp_path / "figures").iterdir())
    assert figures == sorted(p.name for p in (PAGE.parent / "figures").iterdir())


if __name__ == "__main__":
    for text in run(PAGE.parent)[0]:
        print(text)
