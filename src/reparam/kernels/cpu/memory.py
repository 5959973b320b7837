"""Memory for results of kernels: blocks that released results leave behind, and NumPy's, on large pages where it can.

A fresh page costs more time than the numbers that are written to it: .3 to 2 ns a float32 on pages of 4 KiB, and two
threads that meet fresh pages wait for each other. So the memory of a large result goes back to a list when the last
tensor on it is gone, and the next result of that size takes it from there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

KINDS: dict[torch.dtype, Any] = {torch.float32: np.float32, torch.float64: np.float64}
LEAST = 1 << 19  # bytes of a result that is worth it
KEPT = 1 << 26  # bytes that wait for a new result, at most
LINE = 64  # bytes: vectors that lie across two lines of the cache are slow to write
STEPS = 8  # sizes of blocks between two powers of two


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return a contiguous CPU tensor with arbitrary contents."""
    kind = KINDS.get(dtype)
    if kind is None:
        return torch.empty(shape, dtype=dtype, device="cpu")
    size = math.prod(shape) * kind().itemsize
    if size < LEAST:
        return torch.from_numpy(np.empty(shape, kind))
    return torch.from_numpy(np.asarray(_Lent(_take(size), tuple(shape), kind)))


class _Lent:
    """A block under the numbers of a result; it is released when nothing refers to them any more."""

    def __init__(self, block: np.ndarray, shape: tuple[int, ...], kind: Any) -> None:
        self.block, self.release = block, _release
        first = -(-block.__array_interface__["data"][0] // LINE) * LINE
        text = np.dtype(kind).str
        self.__array_interface__ = {"data": (first, False), "shape": shape, "typestr": text, "version": 3}

    def __del__(self) -> None:
        self.release(self.block)


# Released blocks by identity, the oldest first. There is no lock, which a collection of garbage in the same thread or
# a fork could meet closed: each step is one operation of a dict, and a block belongs to whoever has popped it.
_blocks: dict[int, np.ndarray] = {}


def _take(size: int) -> np.ndarray:
    """Return a block of at least `size` bytes."""
    step = max(4096, (1 << (size - 1).bit_length()) // (2 * STEPS))
    room = -(-size // step) * step + LINE
    for block in reversed(list(_blocks.values())):  # the last one may be in the cache still
        if block.nbytes == room and _blocks.pop(id(block), None) is not None:
            return block
    return np.empty(room, np.uint8)


def _release(block: np.ndarray) -> None:
    """Keep a block for the next result, and let the oldest go where too much is kept."""
    _blocks[id(block)] = block
    kept = list(_blocks.values())
    excess = sum(b.nbytes for b in kept) - KEPT
    for old in kept:
        if excess <= 0:
            break
        excess -= old.nbytes
        _blocks.pop(id(old), None)
