"""A pool of threads for kernels that release the GIL.

Numba's own layers abort under concurrent Python threads (`workqueue`) or in forked workers (`omp`); a plain pool
that is dropped at a fork does neither. The number of threads is the smallest of `torch.get_num_threads()` and
`NUMBA_NUM_THREADS`; a number never depends on it.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numba
import torch

SERIAL_BELOW = 1 << 17  # elements
CHUNK = 1 << 15  # elements

config: Any = numba.config
_lock = Lock()
_pool: ThreadPoolExecutor | None = None


def thread_count() -> int:
    """Return how many threads a kernel may use."""
    return max(1, min(torch.get_num_threads(), config.NUMBA_NUM_THREADS))


def run_chunks(work: Callable[[int], None], chunks: int, parallel: bool) -> None:
    """Call `work(k)` for k = 0 .. chunks - 1, on several threads when `parallel`; an exception is raised here."""
    threads = min(thread_count(), chunks) if parallel else 1
    if threads == 1:
        for k in range(chunks):
            work(k)
        return
    numbers = iter(range(chunks))  # next() on a range iterator is atomic

    def some() -> None:
        for k in numbers:
            work(k)

    others = [_executor().submit(some) for _ in range(threads - 1)]
    some()
    for other in others:
        other.result()


def _executor() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(config.NUMBA_NUM_THREADS, thread_name_prefix="reparam")
        return _pool


def _forget() -> None:
    """Drop the pool and its lock in a forked child, whose threads do not exist."""
    global _pool, _lock
    _pool, _lock = None, Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
