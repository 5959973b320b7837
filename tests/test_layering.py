"""Imports go downward only, and randomness lives in noise.py and kernels/ alone."""

import ast
from pathlib import Path

import pytest

import reparam

ROOT = Path(reparam.__file__).parent
LEVELS = {
    "_version": -1,
    "kernels": 0,
    "noise": 1,
    "schemes": 1.5,
    "special": 1,
    "transforms": 2,
    "distributions": 3,
    "estimators": 4,
    "layers": 4,
    "objectives": 5,
    "check": 6,
    "models": 6,
    "data": 6,
    "train": 7,
    "cli_input": 7.1,
    "cli_check": 7.2,
    "cli": 8,
    "__main__": 9,
}
SOURCES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")
RANDOM = {
    "rand",
    "randn",
    "randint",
    "randperm",
    "rand_like",
    "randn_like",
    "randint_like",
    "normal",
    "bernoulli",
}
RANDOM |= {
    "multinomial",
    "poisson",
    "manual_seed",
    "normal_",
    "uniform_",
    "exponential_",
    "bernoulli_",
    "cauchy_",
}


def part(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            if module == "reparam":
                names |= {alias.name for alias in node.names}
            elif module.startswith("reparam."):
                names.add(module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("reparam.")}
    return names & set(LEVELS)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downward(path):
    own = part(path)
    assert own in LEVELS, f"{own} has no level: add it to the table"
    for name in imported(path) - {own}:
        assert LEVELS[name] < LEVELS[own], f"{path.name} of {own} imports {name}, which is not below it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_randomness_comes_from_noise(path):
    if part(path) in ("noise", "kernels"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RANDOM:
            owner = ast.unparse(node.func.value)
            drawn_by_noise = "noise" in owner or owner.startswith(("self.noise", "Noise"))
            allowed = node.func.attr == "randint" and drawn_by_noise
            assert allowed or drawn_by_noise or owner.endswith("init"), f"{path.name}: {ast.unparse(node)}"
