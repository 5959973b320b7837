"""log P(b) of Bernoulli laws by their logits, in one kernel each way where nothing but eager reverse mode looks on.

**Gradient**: dlog P/dl = b - sigmoid(l), exact; every higher derivative goes through plain torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from reparam.kernels import select
from reparam.kernels.cpu import logits as kernel
from reparam.kernels.cpu.pieces import run_pieces

LEAST = 1 << 12  # elements: fewer are served sooner by torch


def bernoulli_log_prob(value: Tensor, logits: Tensor) -> Tensor | None:
    """Return log P(value) in nats, of the broadcast shape; None where no kernel serves.

    Args:
        value: b, as many as there are logits, and without a derivative.
        logits: l, float32.
    """
    fits = logits.dtype == value.dtype == torch.float32 and logits.numel() == value.numel() >= LEAST
    fits = fits and logits.device.type == "cpu" == value.device.type and not value.requires_grad
    if not fits or not select.plain():
        return None
    shape = logits.shape
    if shape != value.shape:
        shape = torch.broadcast_shapes(shape, value.shape)
    return _LogProb.apply(logits, value, shape) if shape.numel() == logits.numel() else None


class _LogProb(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, value: Tensor, shape: torch.Size) -> Tensor:
        l, b = logits.contiguous(), value.contiguous()
        ctx.save_for_backward(l, b)
        out = torch.empty(shape, device="cpu")
        run_pieces(kernel.log_prob, (l, b), (out,))
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        l, b = ctx.saved_tensors
        if torch.is_grad_enabled() or not select.plain():
            b = b.view(l.shape)
            slope = torch.where(l > 0, (b - 1) + torch.sigmoid(-l), b - torch.sigmoid(l))
            return gradient.reshape(l.shape) * slope, None, None
        dl = torch.empty_like(l)
        run_pieces(kernel.slope, (l, b, gradient.contiguous()), (dl,))
        return dl, None, None
