"""Tensors in, tensors out: broadcast, convert to double chunk by chunk, run a kernel, round once.

A kernel sees flat float64 arrays only. Narrower dtypes are converted in chunks that stay in the cache, so that one
compiled signature serves all; the result is rounded once to the narrower dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from reparam.kernels.cpu.memory import empty
from reparam.kernels.cpu.threads import SERIAL_BELOW, run_chunks

CHUNK = 16384
Kernel = Callable[..., None]  # (inputs..., outputs...) -> None, flat float64 arrays


def promoted(*tensors: Tensor) -> tuple[torch.Size, torch.dtype]:
    """Return the broadcast shape and the promoted floating dtype of `tensors`."""
    dtype = reduce(torch.promote_types, (t.dtype for t in tensors))
    if not dtype.is_floating_point:
        raise TypeError(
            f"kernels: arguments must be floating point; got {dtype}; convert with .to(torch.float64)"
        )
    return torch.broadcast_shapes(*(t.shape for t in tensors)), dtype


def elementwise(kernels: tuple[Kernel, Kernel], outputs: int, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Apply a kernel to broadcast CPU tensors and return its outputs in the promoted dtype.

    Args:
        kernels: for double results, and for results of single precision or less (error below 1e-8).
        outputs: how many results the kernel fills.
    """
    shape, dtype = promoted(*tensors)
    wide = dtype == torch.float64
    kernel = kernels[0] if wide else kernels[1]
    middle = dtype if wide else torch.float32
    flat = [t.detach().to(middle).expand(shape).contiguous().view(-1).numpy() for t in tensors]
    results = [empty(shape, middle) for _ in range(outputs)]
    filled = [r.view(-1).numpy() for r in results]
    count = shape.numel()

    def work(chunk: int) -> None:
        part = slice(chunk * CHUNK, min((chunk + 1) * CHUNK, count))
        if wide:
            kernel(*(a[part] for a in flat), *(r[part] for r in filled))
            return
        outs = [np.empty(part.stop - part.start) for _ in range(outputs)]
        kernel(*(a[part].astype(np.float64) for a in flat), *outs)
        for r, out in zip(filled, outs):
            with np.errstate(over="ignore", under="ignore"):
                r[part] = out

    run_chunks(work, -(-count // CHUNK), count >= SERIAL_BELOW)
    return tuple(r.to(dtype) for r in results)
