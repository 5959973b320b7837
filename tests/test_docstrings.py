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
