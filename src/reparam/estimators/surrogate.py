"""Ways to give a value a gradient: the magic box, which is right to every order, and a slope, right to the first."""

from typing import Any

import torch
from torch import Tensor


def box(log_p: Tensor) -> Tensor:
    """Return exp(log p - log p held fixed): 1 in value, and d^n box = (d^n p) / p to every order n.

    E over the law held fixed of f box equals E f for every phi, so every derivative of a sum of such terms is
    unbiased. References: foerster2018.
    """
    return torch.exp(log_p - log_p.detach())


class _FirstOrder(torch.autograd.Function):
    """The identity on a slope; asking for its derivative in the parameter raises, since it is not known."""

    generate_vmap_rule = True

    @staticmethod
    def forward(slope: Tensor, parameter: Tensor) -> Tensor:
        return slope.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        raise RuntimeError(
            "iwae: gradient='dreg' has first derivatives only; got a request for a second one; write "
            "gradient='total'"
        )


class _Slope(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, parameter: Tensor, slope: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1], inputs[2])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        parameter, slope = ctx.saved_tensors
        fixed = _FirstOrder.apply(slope, parameter)
        return grad, grad.reshape(grad.shape + (1,) * (slope.ndim - grad.ndim)) * fixed, None


@torch.compiler.allow_in_graph
def with_slope(value: Tensor, parameter: Tensor, slope: Tensor) -> Tensor:
    """Return `value` (*B) with d value / d parameter = slope added to its gradient, both of shape (*B, *P).

    Gradient: of first order. A second derivative raises: it would be wrong.
    """
    return _Slope.apply(value, parameter, slope.detach())


def per_event(values: Tensor, like: Tensor) -> Tensor:
    """Return values (S, *B) with trailing axes of size 1, to multiply `like` (S, *B, *E)."""
    return values.reshape(values.shape + (1,) * (like.ndim - values.ndim))
