"""Scalar implicit maps and their derivatives: one law F(y; theta), four differentiable functions.

A family is known by two things: its velocity v = dy/dtheta at fixed noise, v_j = -F_j/f, computed by a kernel, and
its log density log f(y; theta) in plain torch. From these follow

    quantile   y(eps; theta), F(y; theta) = Phi(eps):   dy = sum_j v_j dtheta_j + phi(eps)/f deps
    attach     a given y:                               dy = dy_0 + sum_j v_j dtheta_j
    tails      (log F, log(1 - F)):                     d log F = f/F (dy - sum_j v_j dtheta_j)
    velocity   v(y; theta):                             dv from the second-order kernel

Each is differentiable again, because every derivative is made of these same functions: second derivatives of
samples, tails and quantiles are exact. A third derivative raises.

Every function works in reverse and forward mode, under vmap and torch.func, and inside torch.compile. Results of
single precision or less come from sums in double and are rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import _unwrap_for_grad, maybe_current_level
from torch.autograd.forward_ad import _set_fwd_grad_enabled, unpack_dual

from reparam.kernels.scalar import scalar

HALF_LOG_2PI = 0.91893853320467274178
ROOT_HALF_PI, ROOT_HALF = math.sqrt(math.pi / 2), math.sqrt(0.5)


@dataclass(frozen=True)
class Family:
    """A scalar law on an unbounded coordinate y.

    Args:
        kernel: prefix of its kernels: {kernel}_velocity, {kernel}_tails, {kernel}_quantile.
        log_density: log f(y, *parameters) in torch, differentiable, evaluated in double.
        velocity: (y, *parameters) -> v in torch, differentiable, where a formula takes the place of the kernel.
        slope: d log f/dy in torch, for a law whose kernel {kernel}_hazards gives f/F and f/(1 - F) without the density,
            which has the rounding of y in units of the law's width.
    """

    kernel: str
    log_density: Callable[..., Tensor]
    velocity: Callable[..., tuple[Tensor, ...]] | None = None
    slope: Callable[..., Tensor] | None = None


FAMILIES: dict[str, Family] = {}


def register(family: Family) -> str:
    """Make a family known by the name of its kernels, and return the name."""
    FAMILIES[family.kernel] = family
    return family.kernel


def _density(name: str, y: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
    return FAMILIES[name].log_density(y.double(), *(p.double() for p in parameters))


def _fit(gradient: Tensor, like: Tensor) -> Tensor:
    """Sum a gradient of the broadcast shape down to the shape of its argument."""
    return gradient.sum_to_size(like.shape).to(like.dtype)


def _total(terms: list[Tensor]) -> Tensor:
    out = terms[0]
    for term in terms[1:]:
        out = out + term
    return out


def _dot(weights: tuple[Tensor, ...] | list[Tensor], tangents: list[Tensor | None]) -> Tensor:
    return _total([w * t for w, t in zip(weights, tangents) if t is not None])


def _primals(ctx: Any) -> list[Tensor]:
    """The saved tensors without the tangents of the level that is being differentiated.

    A jvp runs with forward mode off, which would also cut an outer level of it: inside `_set_fwd_grad_enabled(True)`
    the outer level goes on, and the inner tangents have to be taken off by hand. `unpack_dual` leaves them where a
    compiler looks on; there they come off with the wrapper of the level.
    """
    level = maybe_current_level()
    held = ctx.saved_tensors if level is None else [_unwrap_for_grad(t, level) for t in ctx.saved_tensors]
    return [unpack_dual(t).primal for t in held]


class _VelocitySlopes(torch.autograd.Function):
    """v_j's derivatives in y and every parameter, j by j."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, y: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        return tuple(scalar(f"{name}_velocity_2", *parameters, y)[len(parameters) :])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise RuntimeError(
            "reparam: third derivatives of implicit samples are not defined; differentiate twice"
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise RuntimeError(
            "reparam: third derivatives of implicit samples are not defined; differentiate twice"
        )


class _Velocity(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, y: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        return tuple(scalar(f"{name}_velocity", *parameters, y))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, ...]) -> None:
        ctx.name = inputs[0]
        ctx.save_for_backward(*inputs[1:])
        ctx.save_for_forward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        arguments = ctx.saved_tensors
        count = len(arguments)
        slopes = _slopes(ctx.name, *arguments)
        out = []
        for k, argument in enumerate(arguments):
            out.append(_fit(_total([g * s for g, s in zip(gradients, slopes[k::count])]), argument))
        return None, *out

    @staticmethod
    def jvp(ctx: Any, _: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        with _set_fwd_grad_enabled(True):
            arguments = _primals(ctx)
            count = len(arguments)
            slopes = _slopes(ctx.name, *arguments)
            rows = [slopes[j : j + count] for j in range(0, len(slopes), count)]
            return tuple(_dot(row, list(tangents)) for row in rows)


class _Attach(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, y: Tensor, *parameters: Tensor) -> Tensor:
        shape = torch.broadcast_shapes(y.shape, *(p.shape for p in parameters))
        return y.expand(shape).clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.name = inputs[0]
        ctx.save_for_backward(output, *inputs[1:])
        ctx.save_for_forward(output, *inputs[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        y, given, *parameters = ctx.saved_tensors
        v = velocity(ctx.name, y, *parameters)
        return None, _fit(gradient, given), *(_fit(gradient * vj, p) for vj, p in zip(v, parameters))

    @staticmethod
    def jvp(ctx: Any, _: Any, dy: Tensor | None, *tangents: Tensor | None) -> Tensor:
        with _set_fwd_grad_enabled(True):
            y, _given, *parameters = _primals(ctx)
            v = velocity(ctx.name, y, *parameters)
            return _dot([torch.ones_like(y), *v], [dy, *tangents])


class _Quantile(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, eps: Tensor, *parameters: Tensor) -> Tensor:
        return scalar(f"{name}_quantile", *parameters, eps)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.name = inputs[0]
        ctx.save_for_backward(output, *inputs[1:])
        ctx.save_for_forward(output, *inputs[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        y, eps, *parameters = ctx.saved_tensors
        of_eps = None
        if ctx.needs_input_grad[1]:
            of_eps = _fit(gradient * _spread(ctx.name, y, eps, parameters), eps)
        if not any(ctx.needs_input_grad[2:]):
            return None, of_eps, *(None for _ in parameters)
        v = velocity(ctx.name, y, *parameters)
        return None, of_eps, *(_fit(gradient * vj, p) for vj, p in zip(v, parameters))

    @staticmethod
    def jvp(ctx: Any, _: Any, deps: Tensor | None, *tangents: Tensor | None) -> Tensor:
        with _set_fwd_grad_enabled(True):
            y, eps, *parameters = _primals(ctx)
            weights = list(velocity(ctx.name, y, *parameters))
            first = _spread(ctx.name, y, eps, parameters) if deps is not None else y
            return _dot([first, *weights], [deps, *tangents])


class _Constant(torch.autograd.Function):
    """f/F and f/(1 - F) by their kernel, as constants."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, y: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        return tuple(scalar(f"{name}_hazards", *parameters, y))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return (None,) * len(ctx.needs_input_grad)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return None, None


@torch.compiler.allow_in_graph
def hazards(name: str, y: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Return f/F and f/(1 - F) by their kernel, without derivatives."""
    return _Constant.apply(name, y.detach().double(), *(p.detach().double() for p in parameters))


def _exactly(composed: Tensor, exact: Tensor) -> Tensor:
    """The number `exact` with the relative derivatives of `composed`, which is the same but for rounding."""
    ratio = exact / composed.detach()
    return composed * torch.where((ratio - 1).abs() < 1e-6, ratio, 1.0)


class _ExactSpread(torch.autograd.Function):
    """dy/deps at y(eps; theta), by the hazard: its derivatives in theta are v_j,y dy/deps, without cancellation."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, y: Tensor, eps: Tensor, *parameters: Tensor) -> Tensor:
        lower, upper = scalar(f"{name}_hazards", *parameters, y)
        mills = ROOT_HALF_PI * torch.special.erfcx(eps.abs() * ROOT_HALF)  # Phi(-|eps|)/phi(eps)
        return 1 / (mills * torch.where(eps < 0, lower, upper))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.name = inputs[0]
        ctx.save_for_backward(output, *inputs[1:])
        ctx.save_for_forward(output, *inputs[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        _, y, eps, *parameters = ctx.saved_tensors
        weights = _spread_slopes(ctx.name, *ctx.saved_tensors)
        slopes = [_fit(gradient * w, t) for w, t in zip(weights, (eps, *parameters))]
        return None, torch.zeros_like(y), *slopes

    @staticmethod
    def jvp(ctx: Any, _: Any, __: Tensor | None, *tangents: Tensor | None) -> Tensor:
        with _set_fwd_grad_enabled(True):
            return _dot(_spread_slopes(ctx.name, *_primals(ctx)), list(tangents))


def _spread_slopes(name: str, spread: Tensor, y: Tensor, eps: Tensor, *parameters: Tensor) -> list[Tensor]:
    """The total derivatives of dy/deps in eps, -(eps + dy/deps d log f/dy) dy/deps, and in each parameter."""
    count = len(parameters) + 1
    along = FAMILIES[name].slope(y, *parameters)  # type: ignore[misc]
    return [-spread * (eps + spread * along), *(spread * s for s in _slopes(name, y, *parameters)[::count])]


def _spread(name: str, y: Tensor, eps: Tensor, parameters: list[Tensor]) -> Tensor:
    """dy/deps = phi(eps)/f(y)."""
    wide = eps.double()
    if FAMILIES[name].slope is not None:
        return _ExactSpread.apply(name, y.double(), wide, *(p.double() for p in parameters)).to(y.dtype)
    return torch.exp(-0.5 * wide * wide - HALF_LOG_2PI - _density(name, y, tuple(parameters))).to(y.dtype)


class _Tails(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(name: str, y: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        return tuple(scalar(f"{name}_tails", *parameters, y))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, ...]) -> None:
        ctx.name = inputs[0]
        ctx.save_for_backward(*output, *inputs[1:])
        ctx.save_for_forward(*output, *inputs[1:])

    @staticmethod
    def backward(ctx: Any, lower: Tensor, upper: Tensor) -> Any:
        arguments = ctx.saved_tensors[2:]
        hazards = _hazards(ctx.name, *ctx.saved_tensors)
        pull = lower * hazards[0] - upper * hazards[1]
        v = velocity(ctx.name, *arguments)
        slopes = [_fit(-pull * vj, p) for vj, p in zip(v, arguments[1:])]
        return None, _fit(pull, arguments[0]), *slopes

    @staticmethod
    def jvp(ctx: Any, _: Any, dy: Tensor | None, *tangents: Tensor | None) -> tuple[Tensor, Tensor]:
        with _set_fwd_grad_enabled(True):
            arguments = _primals(ctx)[2:]
            hazards = _hazards(ctx.name, *_primals(ctx))
            v = velocity(ctx.name, *arguments)
            moved = _dot([torch.ones_like(hazards[0]), *(-vj for vj in v)], [dy, *tangents])
            return hazards[0] * moved, -hazards[1] * moved


def _hazards(
    name: str, lower: Tensor, upper: Tensor, y: Tensor, *parameters: Tensor
) -> tuple[Tensor, Tensor]:
    """f/F and f/(1 - F)."""
    density = _density(name, y, parameters)
    both = [torch.exp(density - side.double()) for side in (lower, upper)]
    if FAMILIES[name].slope is not None:
        both = [_exactly(h, exact) for h, exact in zip(both, hazards(name, y, *parameters))]
    return both[0].to(lower.dtype), both[1].to(lower.dtype)


@torch.compiler.allow_in_graph
def _slopes(name: str, y: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
    return _VelocitySlopes.apply(name, y, *parameters)


@torch.compiler.allow_in_graph
def velocity(name: str, y: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
    """Return dy/dtheta_j at fixed noise for every parameter, differentiable once more in y and theta."""
    own = FAMILIES[name].velocity
    return _Velocity.apply(name, y, *parameters) if own is None else own(y, *parameters)


@torch.compiler.allow_in_graph
def attach(name: str, y: Tensor, *parameters: Tensor) -> Tensor:
    """Return the given y, moving with the parameters at fixed noise: dy = dy_0 + sum_j v_j dtheta_j."""
    return _Attach.apply(name, y, *parameters)


@torch.compiler.allow_in_graph
def quantile(name: str, eps: Tensor, *parameters: Tensor) -> Tensor:
    """Return y(eps; theta) with F(y; theta) = Phi(eps), differentiable twice in eps and theta."""
    return _Quantile.apply(name, eps, *parameters)


@torch.compiler.allow_in_graph
def tails(name: str, y: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Return log F(y; theta) and log(1 - F(y; theta)), differentiable twice in y and theta."""
    return _Tails.apply(name, y, *parameters)
