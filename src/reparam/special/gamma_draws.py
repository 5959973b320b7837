"""Draws of the gamma families as one differentiable function: x = T(y - log rate), P(alpha, e^y) = Phi(eps).

    gamma          T(l) = e^l          dx/dalpha = x v      dx/drate = -x/rate    dx/deps = x dy/deps
    inverse_gamma  T(l) = e^-l, y at -eps         = -x v              = x/rate             = x dy/deps
    exp_gamma      T(l) = l                       = v                 = -1/rate            = dy/deps

with v = dy/dalpha at fixed eps. Where alpha has a gradient, the kernel that draws x also gives dx/dalpha, and a
backward pass is one multiplication. Wherever a derivative is differentiated again it is composed of `quantile` and
`velocity`, so that second derivatives are exact in every mode and a third one raises.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import _set_fwd_grad_enabled

from reparam.kernels.scalar import scalar
from reparam.special.implicit import _dot, _fit, _primals, _spread, quantile, velocity


def _outer_slope(family: str, x: Tensor) -> Tensor:
    """T'(l) in terms of x = T(l)."""
    return {"gamma": x, "inverse_gamma": -x}.get(family, torch.ones_like(x))


def _weights(family: str, x: Tensor, eps: Tensor, alpha: Tensor, rate: Tensor) -> list[Tensor]:
    """dx/deps, dx/dalpha, dx/drate, each differentiable again."""
    sign = -1 if family == "inverse_gamma" else 1
    outer = _outer_slope(family, x)
    y = quantile("gamma", sign * eps, alpha)
    return [
        sign * outer * _spread("gamma", y, eps, [alpha]),
        outer * velocity("gamma", y, alpha)[0],
        -outer / rate,
    ]


class _Draw(torch.autograd.Function):
    """x alone."""

    generate_vmap_rule = True

    @staticmethod
    def forward(family: str, eps: Tensor, alpha: Tensor, rate: Tensor) -> Tensor:
        return scalar(f"{family}_draw", alpha, rate, eps)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.family = inputs[0]
        ctx.save_for_backward(output, *inputs[1:])
        ctx.save_for_forward(output, *inputs[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, *arguments = ctx.saved_tensors
        if not any(ctx.needs_input_grad[1:3]):
            rate = arguments[2]
            return None, None, None, _fit(gradient * (-_outer_slope(ctx.family, x) / rate), rate)
        weights = _weights(ctx.family, x, *arguments)
        return None, *(_fit(gradient * w, argument) for w, argument in zip(weights, arguments))

    @staticmethod
    def jvp(ctx: Any, _: Any, *tangents: Tensor | None) -> Tensor:
        with _set_fwd_grad_enabled(True):
            x, *arguments = _primals(ctx)
            return _dot(_weights(ctx.family, x, *arguments), list(tangents))


class _MovingDraw(torch.autograd.Function):
    """x and dx/dalpha, which a first backward pass multiplies by."""

    generate_vmap_rule = True

    @staticmethod
    def forward(family: str, eps: Tensor, alpha: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
        x, slope = scalar(f"{family}_draw_moving", alpha, rate, eps)
        return x, slope

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        ctx.family = inputs[0]
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*output, *inputs[1:])
        ctx.save_for_forward(
            *output, *inputs[1:]
        )  # the same list: torch keeps one set of vmap dimensions for both

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Any) -> Any:
        x, slope, *arguments = ctx.saved_tensors
        if torch.is_grad_enabled() or ctx.needs_input_grad[1]:
            weights = _weights(ctx.family, x, *arguments)
            return None, *(_fit(gradient * w, argument) for w, argument in zip(weights, arguments))
        _, alpha, rate = arguments
        of_rate = None
        if ctx.needs_input_grad[3]:
            of_rate = _fit(gradient * (-_outer_slope(ctx.family, x) / rate), rate)
        return None, None, _fit(gradient * slope, alpha), of_rate

    @staticmethod
    def jvp(ctx: Any, _: Any, *tangents: Tensor | None) -> tuple[Tensor, None]:
        with _set_fwd_grad_enabled(True):
            x, _, *arguments = _primals(ctx)
            return _dot(_weights(ctx.family, x, *arguments), list(tangents)), None


@torch.compiler.allow_in_graph
def gamma_draw(family: str, eps: Tensor, alpha: Tensor, rate: Tensor) -> Tensor:
    """Return the draw of "gamma", "inverse_gamma" or "exp_gamma" at eps; two derivatives in eps, alpha and rate."""
    if torch.is_grad_enabled() and alpha.requires_grad:
        return _MovingDraw.apply(family, eps, alpha, rate)[0]
    return _Draw.apply(family, eps, alpha, rate)
