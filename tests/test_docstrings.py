"""The examples in the docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import reparam

# modules that need an optional dependency or another device, with the reason
SKIPPED = {"reparam.__main__": "runs the command line", "reparam.kernels.gpu": "needs triton"}
MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(reparam.__path__, "reparam.", onerror=lambda name: None)
    if not any(m.name.startswith(name) for name in SKIPPED)
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_every_cited_key_is_in_the_bibliography():
    import re
    from pathlib import Path

    root = Path(__file__).parent.parent
    known = set(re.findall(r"@[a-z]+\{([^,]+),", (root / "docs" / "references.bib").read_text()))
    key = re.compile(r"\b[a-z]{2,}(?:-[a-z]+)?(?:19|20)\d\d\b")
    cited = {k for path in (root / "src").rglob("*.py") for k in key.findall(path.read_text())}
    assert cited <= known
