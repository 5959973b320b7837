"""Gradient times slope or quotient, in memory used again and on our threads, where only eager torch looks on."""

import torch
from torch import Tensor

from reparam.kernels import select
from reparam.kernels.cpu.memory import empty
from reparam.kernels.cpu.product import divide, multiply, one_or_all

LEAST = 1 << 16  # elements: fewer are multiplied sooner by torch
KINDS = (torch.float32, torch.float64)


def product(gradient: Tensor, slope: Tensor) -> Tensor:
    """Return gradient * slope, of one shape, with torch's bits."""
    if not _ours(gradient, slope):
        return gradient * slope
    out = empty(slope.shape, slope.dtype)
    multiply(one_or_all(gradient), slope.contiguous(), out)
    return out


def quotient(gradient: Tensor, sign: int, x: Tensor, y: Tensor) -> Tensor:
    """Return gradient * (sign * x / y), y as large as x or of one number, with torch's bits."""
    fits = y.dtype == x.dtype and (y.shape == x.shape or y.numel() == 1)
    if not fits or not _ours(gradient, x):
        return gradient * (sign * x / y)
    out = empty(x.shape, x.dtype)
    divide(one_or_all(gradient), sign, x.contiguous(), one_or_all(y), out)
    return out


def _ours(gradient: Tensor, slope: Tensor) -> bool:
    """Return whether the kernels serve."""
    alike = gradient.dtype == slope.dtype in KINDS and gradient.shape == slope.shape
    alike = alike and slope.numel() >= LEAST and slope.device.type == "cpu"
    return alike and not torch.is_grad_enabled() and select.plain()
