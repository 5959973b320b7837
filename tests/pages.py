"""Pages of the documentation that run: every python block, in order, printing the text block under it."""

import contextlib
import io
import os
import re
from pathlib import Path

import torch

BLOCK = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)


def run(page: Path, folder: Path) -> tuple[list[str], list[str]]:
    """Run every block in a folder; return what was printed and what the page shows."""
    namespace: dict = {}
    printed, shown = [], []
    before, dtype = Path.cwd(), torch.get_default_dtype()
    os.chdir(folder)
    try:
        for kind, body in BLOCK.findall(page.read_text()):
            if kind == "text":
                shown.append(body)
                continue
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(body, str(page), "exec"), namespace)
            if out.getvalue():
                printed.append(out.getvalue())
    finally:
        os.chdir(before)
        torch.set_default_dtype(dtype)
    return printed, shown
