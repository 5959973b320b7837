"""Maps with a kernel each way: a fast path in plain eager mode, plain torch everywhere else.

A map z = g(inputs) is given three times: `forward` computes z and what the backward pass wants to keep, `backward`
turns the gradient of z into those of the inputs, and `plain` is g in differentiable torch. The kernels run where
nothing but eager reverse mode looks on; under torch.func, forward mode, compile and export the plain map is traced;
and a backward pass that is itself differentiated goes through the plain map, so that derivatives of any order that
the plain map has are those of the fast one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from reparam.kernels import select

Tensors = tuple[Tensor | None, ...]


@dataclass(frozen=True)
class Fused:
    """A map of tensors with kernels.

    Args:
        forward: (*inputs) -> (z, kept).
        backward: (inputs, z, kept, gradient of z, which inputs need it) -> gradients, None where not needed.
        plain: (*inputs) -> z, in torch.
    """

    forward: Callable[..., tuple[Tensor, Sequence[Tensor]]]
    backward: Callable[..., Tensors]
    plain: Callable[..., Tensor]

    def __call__(self, *inputs: Tensor) -> Tensor:
        if not native(*inputs):
            return self.plain(*inputs)
        if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
            return _Apply.apply(self, *inputs)
        return self.forward(*inputs)[0]


def native(*inputs: Tensor) -> bool:
    """Return whether kernels may run: eager reverse mode, on the CPU, all float32 or all float64."""
    dtype = inputs[0].dtype
    fits = dtype in (torch.float32, torch.float64)
    fits = fits and all(x.dtype == dtype and x.device.type == "cpu" for x in inputs)
    return fits and select.plain() and forward_ad._current_level < 0


class _Apply(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rule: Fused, *inputs: Tensor) -> Tensor:
        z, kept = rule.forward(*inputs)
        ctx.rule, ctx.count = rule, len(inputs)
        ctx.save_for_backward(*inputs, z, *kept)
        return z

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        inputs, (z, *kept) = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        needed = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled() or not select.plain():
            return None, *partials(ctx.rule.plain, inputs, gradient, needed)
        return None, *ctx.rule.backward(inputs, z, kept, gradient, needed)


def partials(
    plain: Callable[..., Tensor], inputs: Sequence[Tensor], gradient: Tensor, needed: Sequence[bool]
) -> list[Tensor | None]:
    """Return the gradients of a map in each input by itself, differentiable again."""
    with torch.enable_grad():
        # views: an input that depends on another one is still moved alone
        fresh = [x.view_as(x) if need else x for x, need in zip(inputs, needed)]
        moved = [x for x, need in zip(fresh, needed) if need]
        slopes = iter(torch.autograd.grad(plain(*fresh), moved, gradient, create_graph=True))
    return [next(slopes) if need else None for need in needed]
