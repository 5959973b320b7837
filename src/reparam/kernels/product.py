"""Gradient times slope, in memory that is used again and on our threads, where nothing but eager torch looks on."""

import torch
from torch import Tensor

from reparam.kernels import select
from reparam.kernels.cpu.memory import empty
from reparam.kernels.cpu.product import multiply, one_or_all

LEAST = 1 << 16  # elements: fewer are multiplied sooner by torch
KINDS = (torch.float32, torch.float64)


def product(gradient: Tensor, slope: Tensor) -> Tensor:
    """Return gradient * slope, of one shape, with torch's bits."""
    if slope.numel() < LEAST or slope.device.type != "cpu":
        return gradient * slope
    alike = gradient.dtype == slope.dtype in KINDS and gradient.shape == slope.shape
    if not alike or torch.is_grad_enabled() or not select.plain():
        return gradient * slope
    out = empty(slope.shape, slope.dtype)
    multiply(one_or_all(gradient), slope.contiguous(), out)
    return out
