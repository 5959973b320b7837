"""The one way in which this package compiles a CPU kernel.

`jit` is Numba's `njit` with the project's settings: no GIL (so that threads can share the work), C-like
division, and only those fast-math rules that cannot change a sum (`contract`: fused multiply-add; `nsz`: the
sign of a zero). Compiled code is kept on disk between processes where a folder for it can be written; where
none can, the kernel is compiled anew in each process, with the same results.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

FASTMATH = {"contract", "nsz"}


@cache
def sources_digest() -> str:
    """Return a digest of every kernel source: a cached kernel is stale as soon as any of them changes.

    Numba itself looks only at the file of the cached function, not at the files of the functions it calls.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _stamp(kernel: Any) -> None:
    """Tie the cache entry of `kernel` to all kernel sources (where this Numba lets us)."""
    cache_file = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    if cache_file is not None and hasattr(cache_file, "_source_stamp"):
        cache_file._source_stamp = (cache_file._source_stamp, sources_digest())


def jit(
    function: Callable | None = None, *, fastmath: set[str] | bool = FASTMATH, forceinline: bool = False
) -> Any:
    """Compile `function` with the project's settings; use it bare (`@jit`) or with options (`@jit(...)`).

    Args:
        function: a function of numbers and NumPy arrays.
        fastmath: the fast-math rules allowed; anything beyond the default breaks error-free sums.
        forceinline: paste the function's machine code into its callers (for those called in inner loops).
    """
    if function is None:
        return lambda f: jit(f, fastmath=fastmath, forceinline=forceinline)
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": fastmath,
        "forceinline": forceinline,
    }
    try:
        kernel = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder can be written: "cannot cache function ...: no locator available"
        return numba.njit(**options)(function)
    _stamp(kernel)
    return kernel
