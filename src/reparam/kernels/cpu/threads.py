"""Threads for kernels that release the GIL: torch's own where they can be had, or a plain pool.

Numba's own layers abort under concurrent Python threads (`workqueue`) or in forked workers (`omp`). Torch's threads do
not outlive a fork, so that a child gets the pool, which is dropped at one. The number of threads is the smallest of
`torch.get_num_threads()` and `NUMBA_NUM_THREADS`; a number never depends on it.
"""

import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

import numba
import numpy as np
import torch

from reparam.kernels.cpu import openmp

SERIAL_BELOW = 1 << 17  # elements
CHUNK = 1 << 15  # elements

config: Any = numba.config
_lock = Lock()
_jobs: SimpleQueue[Callable[[], None]] | None = None
_forked = False


def thread_count() -> int:
    """Return how many threads a kernel may use."""
    return max(1, min(torch.get_num_threads(), config.NUMBA_NUM_THREADS))


def together(kernel: Callable[..., None], *arguments: Any, size: int) -> None:
    """Call a kernel that takes its share of the work by a counter, its last argument, on every thread at once."""
    taken = np.zeros(1, np.int64)
    everywhere(lambda: kernel(*arguments, taken), thread_count() if size >= SERIAL_BELOW else 1)


def run_chunks(work: Callable[[int], None], chunks: int, parallel: bool) -> None:
    """Call `work(k)` for k = 0 .. chunks - 1, on several threads when `parallel`; an exception is raised here."""
    numbers = iter(range(chunks))  # next() on a range iterator is atomic

    def some() -> None:
        for k in numbers:
            work(k)

    everywhere(some, min(thread_count(), chunks) if parallel else 1)


def everywhere(work: Callable[[], None], threads: int) -> None:
    """Call `work()` here and on up to `threads - 1` others at once; an exception of any is raised here."""
    if threads <= 1:
        work()
        return
    start = None if _forked else openmp.region()
    if start is None:
        pooled(work, threads)
    else:
        openmp.run(start, work, threads)


def pooled(work: Callable[[], None], threads: int) -> None:
    """`everywhere` on the pool. A thread that wakes up only when the work is done is not waited for."""
    job, jobs = _Job(work), _pool()
    for _ in range(threads - 1):
        jobs.put(job.join)
    job.join()
    job.close()


class _Job:
    """Work that threads may join until it is closed."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work: Callable[[], None] | None = work
        self.joined, self.lock = 0, Lock()
        self.done: SimpleQueue[BaseException | None] = SimpleQueue()

    def join(self) -> None:
        with self.lock:
            work = self.work
            if work is None:
                return
            self.joined += 1
        try:
            work()
        except BaseException as error:  # raised again by the caller
            self.done.put(error)
        else:
            self.done.put(None)

    def close(self) -> None:
        with self.lock:
            self.work = None
        errors = [self.done.get() for _ in range(self.joined)]  # all, so that none writes after the return
        for error in errors:
            if error is not None:
                raise error


def _pool() -> "SimpleQueue[Callable[[], None]]":
    """Return the queue that the threads of the pool serve; they are started when first asked for."""
    global _jobs
    with _lock:
        if _jobs is None:
            _jobs = SimpleQueue()
            for k in range(config.NUMBA_NUM_THREADS):
                Thread(target=_serve, args=(_jobs,), name=f"reparam-{k}", daemon=True).start()
        return _jobs


def _serve(jobs: "SimpleQueue[Callable[[], None]]") -> None:
    while True:
        jobs.get()()


def _forget() -> None:
    """Drop the pool and its lock in a forked child, whose threads do not exist, and leave torch's alone."""
    global _jobs, _lock, _forked
    _jobs, _lock, _forked = None, Lock(), True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
