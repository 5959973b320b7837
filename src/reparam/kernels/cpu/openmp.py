"""Work on torch's own threads: a parallel region of the OpenMP library that torch has loaded.

After an operation of torch its threads stay awake for 3 to 10 ms to be there for the next one. Threads of our own share
the cores with them meanwhile; torch's take up our work at once. The library is the one whose symbols the process has:
GNU's, or another with GNU's interface. Where there is none (macOS, Windows), `region` is None.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@cache
def region() -> Callable[..., None] | None:
    """Return GOMP_parallel (body, its argument, number of threads or 0 for torch's, flags), or None."""
    try:
        function = ctypes.CDLL(None).GOMP_parallel
    except (AttributeError, OSError, TypeError):
        return None
    function.argtypes = [BODY, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    function.restype = None
    return function  # type: ignore[no-any-return]


def run(start: Callable[..., None], work: Callable[[], None], threads: int) -> None:
    """Call `work()` on up to `threads` of torch's threads, of which this is one; an exception of any is raised here.

    All of torch's threads enter, which is how many it keeps: a region of fewer would end the others.
    """
    seats, errors = iter(range(threads)), []

    def body(_: Any) -> None:
        if next(seats, None) is None:
            return
        try:
            work()
        except BaseException as error:  # raised again by the caller
            errors.append(error)

    start(BODY(body), None, 0, 0)
    if errors:
        raise errors[0]
