"""Draws x(eps; theta) as one differentiable function each, whose kernel returns first derivatives along with x.

    gamma          x = e^l, l = y - log rate   y = log of the Gamma quantile at Phi(eps)
    inverse_gamma  x = e^-l, y at -eps
    exp_gamma      x = l
    beta           x = sigmoid(xi)             xi = logit of the Beta quantile at Phi(eps)
    ratio          x = (n/m) e^xi              a = m/2, b = n/2: a Fisher-Snedecor variable
    inverse_gaussian  x = z                    F(z; mu, lambda) = Phi(eps)
    student        x = loc + scale t           t = Student's quantile at Phi(eps)

Where a parameter has a gradient, the kernel that draws x also gives dx/dtheta, and a first backward pass is one
multiplication. Wherever a derivative is differentiated again, and in forward mode, it is composed of `quantile` and
`velocity`: second derivatives are exact in every mode, a third one raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import _set_fwd_grad_enabled

from reparam.kernels.product import product, quotient
from reparam.kernels.scalar import OUTPUTS, scalar
from reparam.special.implicit import _dot, _fit, _primals, _spread, quantile, velocity

Weights = Callable[..., list[Tensor]]


def _outer_slope(name: str, x: Tensor) -> Tensor:
    """dx/dl of a gamma draw, in terms of x."""
    if name == "gamma":
        return x
    return -x if name == "inverse_gamma" else torch.ones_like(x)


def _gamma(name: str, x: Tensor, eps: Tensor, alpha: Tensor, rate: Tensor) -> list[Tensor]:
    sign = -1 if name == "inverse_gamma" else 1
    outer = _outer_slope(name, x)
    y = quantile("gamma", sign * eps, alpha)
    of_eps = sign * outer * _spread("gamma", y, eps, [alpha])
    return [of_eps, outer * velocity("gamma", y, alpha)[0], -outer / rate]


def _beta(x: Tensor, eps: Tensor, a: Tensor, b: Tensor) -> list[Tensor]:
    xi = quantile("beta", eps, a, b)
    slope = torch.sigmoid(xi) * torch.sigmoid(-xi)
    return [slope * w for w in (_spread("beta", xi, eps, [a, b]), *velocity("beta", xi, a, b))]


def _ratio(z: Tensor, eps: Tensor, m: Tensor, n: Tensor) -> list[Tensor]:
    a, b = m / 2, n / 2
    xi = quantile("beta", eps, a, b)
    of_a, of_b = velocity("beta", xi, a, b)
    return [z * w for w in (_spread("beta", xi, eps, [a, b]), of_a / 2 - 1 / m, of_b / 2 + 1 / n)]


def _student(z: Tensor, eps: Tensor, df: Tensor, scale: Tensor, loc: Tensor) -> list[Tensor]:
    t = quantile("student", eps, df)
    moves = _spread("student", t, eps, [df]), velocity("student", t, df)[0]
    return [*(scale * w for w in moves), t, torch.ones_like(t)]


def _inverse_gaussian(x: Tensor, eps: Tensor, mu: Tensor, lam: Tensor) -> list[Tensor]:
    z = quantile("inverse_gaussian", eps, mu, lam)
    return [_spread("inverse_gaussian", z, eps, [mu, lam]), *velocity("inverse_gaussian", z, mu, lam)]


GAMMAS = ("gamma", "inverse_gamma", "exp_gamma")
# draw -> dx/deps and dx/dtheta_j, each differentiable again
WEIGHTS: dict[str, Weights] = {"beta": _beta, "ratio": _ratio, "student": _student}
WEIGHTS["inverse_gaussian"] = _inverse_gaussian
WEIGHTS |= {name: partial(_gamma, name) for name in GAMMAS}


def _last_gradient(name: str, gradient: Tensor, x: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """The gradient of the last parameter, whose slope the kernel leaves out: the rate of a gamma draw, or loc."""
    last = parameters[-1]
    if name not in GAMMAS:
        return _fit(gradient, last)
    sign, size = (1, x) if name == "inverse_gamma" else (-1, _outer_slope(name, x))
    return _fit(quotient(gradient, sign, size, last), last)


def _slopes(name: str) -> int:
    """How many derivatives the kernel gives: those in the first parameters."""
    return OUTPUTS[f"{name}_draw_moving"] - 1


class _Draw(torch.autograd.Function):
    """x alone."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, eps: Tensor, *parameters: Tensor) -> Tensor:
        return scalar(f"{name}_draw", *parameters, eps)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.name = inputs[0]
        ctx.save_for_backward(output, *inputs[1:])
        ctx.save_for_forward(output, *inputs[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, _, *parameters = ctx.saved_tensors
        if any(ctx.needs_input_grad[1 : 2 + _slopes(ctx.name)]):
            return None, *_composed(ctx, gradient, ctx.saved_tensors)
        last = _last_gradient(ctx.name, gradient, x, parameters)
        return *(None for _ in ctx.needs_input_grad[1:]), last

    @staticmethod
    def jvp(ctx: Any, _: Any, *tangents: Tensor | None) -> Tensor:
        with _set_fwd_grad_enabled(True):
            return _dot(WEIGHTS[ctx.name](*_primals(ctx)), list(tangents))


class _MovingDraw(torch.autograd.Function):
    """x and its derivatives in the first parameters, which a first backward pass multiplies by."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, eps: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        return tuple(scalar(f"{name}_draw_moving", *parameters, eps))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, ...]) -> None:
        ctx.name, ctx.slopes = inputs[0], len(output) - 1
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        saved = (*output[1:], output[0], *inputs[1:])
        ctx.save_for_backward(*saved)
        ctx.save_for_forward(*saved)  # the same list: torch keeps one set of vmap dimensions for both

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, *_: Any) -> Any:
        slopes, rest = ctx.saved_tensors[: ctx.slopes], ctx.saved_tensors[ctx.slopes :]
        if gradient is None:
            return (None,) * len(rest)
        if torch.is_grad_enabled() or ctx.needs_input_grad[1]:
            return None, *_composed(ctx, gradient, rest)
        x, _, *parameters = rest
        needed = ctx.needs_input_grad[2:]
        out = [
            _fit(product(gradient, s), p) if need else None for s, p, need in zip(slopes, parameters, needed)
        ]
        if len(parameters) > ctx.slopes:
            out.append(_last_gradient(ctx.name, gradient, x, parameters) if needed[-1] else None)
        return None, None, *out

    @staticmethod
    def jvp(ctx: Any, _: Any, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        with _set_fwd_grad_enabled(True):
            moved = _dot(WEIGHTS[ctx.name](*_primals(ctx)[ctx.slopes :]), list(tangents))
            return moved, *(None for _ in range(ctx.slopes))


def _composed(ctx: Any, gradient: Tensor, saved: tuple[Tensor, ...]) -> list[Tensor | None]:
    """The gradients of eps and the parameters, each differentiable again."""
    weights = WEIGHTS[ctx.name](*saved)
    needed = ctx.needs_input_grad[1:]
    return [_fit(gradient * w, x) if need else None for w, x, need in zip(weights, saved[1:], needed)]


@torch.compiler.allow_in_graph
def draw(name: str, eps: Tensor, *parameters: Tensor) -> Tensor:
    """Return the draw `name` at eps, differentiable twice in eps and in every parameter.

    Args:
        name: "gamma", "inverse_gamma", "exp_gamma" (alpha, rate), "beta" (a, b), "ratio" (m, n), "student" (df,
            scale, loc), "inverse_gaussian" (mu, lambda), whose law `distributions` registers.
        eps: standard normal, broadcast against the parameters.

    **Gradient**: exact; a first derivative in the parameters costs one multiplication, a second one or one in eps a
    pass of the quantile and the velocity kernel.
    """
    if torch.is_grad_enabled() and any(p.requires_grad for p in parameters[: _slopes(name)]):
        return _MovingDraw.apply(name, eps, *parameters)[0]
    return _Draw.apply(name, eps, *parameters)
