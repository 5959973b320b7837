"""Memory for results of kernels: NumPy's, whose large arrays lie on large pages where the system has them.

A fresh page costs more time than the numbers that are written to it: 0.3 to 2 ns a float32 on pages of 4 KiB.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

KINDS = {torch.float32: np.float32, torch.float64: np.float64}


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return a contiguous CPU tensor with arbitrary contents."""
    kind = KINDS.get(dtype)
    return (
        torch.empty(shape, dtype=dtype, device="cpu")
        if kind is None
        else torch.from_numpy(np.empty(shape, kind))
    )
