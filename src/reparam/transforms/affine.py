"""Draws z = loc + scale eps with the noise drawn on the way, where nothing but eager reverse mode looks on.

**Gradient**: dz/dloc = 1, dz/dscale = eps, which is kept: exact, and linear, so that every higher derivative is right.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from reparam.kernels import select
from reparam.kernels.cpu.affine import draw_affine
from reparam.kernels.cpu.memory import empty
from reparam.kernels.product import product
from reparam.noise import Noise

LEAST = 1 << 14  # elements: fewer are drawn sooner by the draw and one torch operation


def location_scale_draw(
    law: str, noise: Noise, shape: torch.Size, loc: Tensor, scale: Tensor
) -> Tensor | None:
    """Return loc + scale eps, eps = noise.draw of the law in that shape, bit for bit; None where no kernel serves.

    Args:
        law: a law of `Noise`.
        noise: an address without rows and schemes.
        shape: of the draw; that of loc and scale, or these hold one number.
    """
    fits = type(noise) is Noise and noise.index is None and shape.numel() >= LEAST and select.plain()
    fits = fits and loc.dtype == scale.dtype and loc.dtype in (torch.float32, torch.float64)
    fits = fits and loc.device.type == "cpu" == scale.device.type and loc.shape == scale.shape
    if not fits or not (loc.shape == shape or loc.numel() == 1):
        return None
    key, step = select.signed(noise._path_key()), select.signed(noise.step)
    if torch.is_grad_enabled() and (loc.requires_grad or scale.requires_grad):
        return _Draw.apply(law, key, step, shape, loc, scale)
    z = empty(shape, loc.dtype)
    draw_affine(law, key, step, loc.contiguous(), scale.contiguous(), z, z.new_empty(0))
    return z


class _Draw(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, law: str, key: int, step: int, shape: Any, loc: Tensor, scale: Tensor) -> Tensor:
        z = empty(shape, loc.dtype)
        eps = empty(shape if ctx.needs_input_grad[5] else (0,), loc.dtype)
        draw_affine(law, key, step, loc.contiguous(), scale.contiguous(), z, eps)
        ctx.one = loc.shape if loc.shape != shape else None
        if ctx.needs_input_grad[5]:
            ctx.save_for_backward(eps)
        return z

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        of_scale = product(gradient, ctx.saved_tensors[0]) if ctx.needs_input_grad[5] else None
        of_loc = gradient if ctx.needs_input_grad[4] else None
        if ctx.one is not None:
            of_loc, of_scale = (None if g is None else g.sum().reshape(ctx.one) for g in (of_loc, of_scale))
        return None, None, None, None, of_loc, of_scale
