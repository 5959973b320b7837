"""The compiler wrapper: caching where it can, the same results where it cannot."""

import os
import subprocess
import sys
from pathlib import Path

from reparam.kernels.cpu import jit as module


@module.jit
def _square(x):
    return x * x


@module.jit(fastmath=False)
def _two_sum_error(a, b):
    s = a + b
    t = s - a
    return (a - (s - t)) + (b - t)


def test_compiles_and_keeps_error_free_sums():
    assert _square(3.0) == 9.0
    assert _two_sum_error(1.0, 1e-17) == 1e-17


def test_default_rules_do_not_reassociate():
    kernel = module.jit(_two_sum_error.py_func)
    assert kernel(1.0, 1e-17) == 1e-17


def test_without_a_writable_cache_the_kernel_still_compiles(monkeypatch):
    real = module.numba.njit

    def refuse(*args, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function 'f': no locator available for file 'f.py'")
        return real(*args, **options)

    monkeypatch.setattr(module.numba, "njit", refuse)
    assert module.jit(lambda x: x + 1.0)(1.0) == 2.0


def test_read_only_install_imports(tmp_path):
    """Neither beside the source nor at home can a folder be made: below a plain file not even root makes one."""
    package = tmp_path / "frozen"
    package.mkdir()
    (package / "jit_copy.py").write_text(Path(module.__file__).read_text())
    (package / "kernel.py").write_text("from jit_copy import jit\n@jit\ndef f(x):\n    return x + 1.0\n")
    (package / "__pycache__").write_text("")
    code = f"import sys; sys.path.insert(0, {str(package)!r}); import kernel; print(kernel.f(1.0), kernel.f._cache)"
    environment = {
        **{name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ},
        **{name: str(package / "kernel.py" / "x") for name in ("HOME", "LOCALAPPDATA", "XDG_CACHE_HOME")},
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2.0 <numba.core.caching.NullCache")


def test_cache_is_tied_to_every_kernel_source():
    stamp = _square._cache._cache_file._source_stamp
    assert stamp[1] == module.sources_digest()
