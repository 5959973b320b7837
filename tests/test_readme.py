"""The README's commands and its Python example run."""

import re
import shlex
from pathlib import Path

from reparam.cli import main

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_commands_and_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = [
        line[2:] for block in re.findall(r"```console\n(.*?)```", README, re.S) for line in block.splitlines()
    ]
    assert len(commands) >= 8
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "reparam"
        assert main(words[1:]) == 0, command
    for name in ("samples.png", "pairs.png", "z.npy"):
        assert (tmp_path / name).is_file()
    example, checked = re.findall(r"```python\n(.*?)```", README, re.S)
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["new"].shape == (64, 1, 8, 8)
    assert names["codes"].shape == (1797, 16)
    (tmp_path / "losses.py").write_text(checked)
    assert main(["check", "losses.py:elbo_with_a_detached_draw"]) == 1


def test_links_lead_somewhere():
    root = Path(__file__).parent.parent
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (root / target).exists(), target
