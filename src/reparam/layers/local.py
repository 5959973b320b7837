"""Linear layers and KLs of weights with a normal law, in few passes over the weights.

In plain eager float32 on the CPU these run as one autograd node each, around kernels of `kernels.cpu.weights`;
elsewhere (other dtypes and devices, torch.compile, torch.func, autocast) as the plain torch that defines them.
Second derivatives always go through plain torch.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from reparam.kernels import select
from reparam.kernels.cpu import weights as kernel


def native(*tensors: Tensor | None) -> bool:
    """Return whether the kernels take these tensors."""
    return (
        select.plain()
        and not torch.is_autocast_enabled("cpu")
        and all(
            t is None or (t.dtype == torch.float32 and t.device.type == "cpu" and t.is_contiguous())
            for t in tensors
        )
    )


def root(variance: Tensor) -> Tensor:
    """Return sqrt(variance), with slope 0 where the variance is exactly 0 (no input, so no noise)."""
    some = variance > 0
    return torch.where(some, torch.where(some, variance, 1.0).sqrt(), 0.0)


def local_linear(
    x: Tensor,
    loc: Tensor,
    log_scale: Tensor,
    bias_loc: Tensor | None,
    bias_log_scale: Tensor | None,
    eps: Tensor,
) -> Tensor:
    """Return y = x loc' + b + sqrt(x^2 exp(2 log_scale)' + exp(2 b_log_scale)) eps.

    Shape: x (*B, in), loc and log_scale (out, in), the bias (out,), eps (*B, out) -> (*B, out).

    **Gradient**: exact for the noise drawn, to any order.
    """
    if native(x, loc, log_scale, bias_loc, bias_log_scale, eps):
        return _LocalLinear.apply(x, loc, log_scale, bias_loc, bias_log_scale, eps)
    return _local_linear(x, loc, log_scale, bias_loc, bias_log_scale, eps)


def _local_linear(
    x: Tensor,
    loc: Tensor,
    log_scale: Tensor,
    bias_loc: Tensor | None,
    bias_log_scale: Tensor | None,
    eps: Tensor,
) -> Tensor:
    bias_variance = None if bias_log_scale is None else torch.exp(2 * bias_log_scale)
    variance = linear(x.square(), torch.exp(2 * log_scale), bias_variance)
    mean = linear(x, loc, bias_loc)
    return mean + root(variance) * eps.to(mean.dtype)  # narrower under autocast


class _LocalLinear(torch.autograd.Function):
    """With v = exp(2 log_scale), std = sqrt(x^2 v'), given g = dy, and h = g eps / std:

    dloc = g' x     dlog_scale = (h' x^2) v     dx = g loc + x (h v)
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        loc: Tensor,
        log_scale: Tensor,
        b: Tensor | None,
        bs: Tensor | None,
        eps: Tensor,
    ) -> Tensor:
        rows, v = x.reshape(-1, x.shape[-1]), kernel.variance(log_scale)
        bv = None if bs is None else torch.exp(2 * bs)
        std = linear(rows * rows, v, bv).sqrt_()
        ctx.save_for_backward(x, loc, log_scale, b, bs, eps, v, bv, std)
        return linear(rows, loc, b).addcmul_(std, eps.reshape(std.shape)).reshape(eps.shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        *inputs, v, bv, std = ctx.saved_tensors
        if torch.is_grad_enabled() or not select.plain():
            return _again(_local_linear, inputs, ctx.needs_input_grad, grad)
        x, loc, *_, eps = inputs
        rows, g = x.reshape(-1, x.shape[-1]), grad.reshape(std.shape)
        h = kernel.noise_slope(g.contiguous(), eps, std)
        need = ctx.needs_input_grad
        return (
            (g @ loc + rows * (h @ v)).reshape(x.shape) if need[0] else None,
            g.T @ rows if need[1] else None,
            (h.T @ (rows * rows)).mul_(v) if need[2] else None,
            g.sum(0) if need[3] else None,
            h.sum(0) * bv if need[4] else None,
            (grad * std.reshape(grad.shape)) if need[5] else None,
        )


def _again(
    f: Any, inputs: list[Tensor | None], needed: tuple[bool, ...], grad: Tensor
) -> tuple[Tensor | None, ...]:
    """Return the derivatives of f at its inputs by plain torch, with a graph of their own."""
    with torch.enable_grad():
        wanted = [t for t, need in zip(inputs, needed) if need and t is not None]
        found = iter(torch.autograd.grad(f(*inputs), wanted, grad, create_graph=True))
    return tuple(next(found) if need and t is not None else None for t, need in zip(inputs, needed))


def normal_kl(m: Tensor, s: Tensor, *laws: Tensor) -> Tensor:
    """Return the sum of KL(N(loc, exp(log_scale)^2) || N(m, s^2)) in nats, for 0-d m and s.

        sum [ (loc - m)^2 / s^2 + r2 - 1 ] / 2 - log r,   r2 = r^2 = exp(2 log_scale) / s^2

    Args:
        m, s: mean and standard deviation of the prior.
        laws: loc, log_scale, and so on in pairs, each pair of one shape.

    **Gradient**: exact, to any order.
    """
    if native(*laws) and not (m.requires_grad or s.requires_grad):
        return _NormalKL.apply(m, s, *laws)
    return _normal_kl(m, s, *laws)


def _normal_kl(m: Tensor, s: Tensor, *laws: Tensor) -> Tensor:
    total = torch.zeros((), dtype=laws[0].dtype, device=laws[0].device)
    for loc, log_scale in zip(laws[::2], laws[1::2]):
        d, r2 = (loc - m).square().sum() / s**2, torch.exp(2 * log_scale).sum() / s**2
        total = total + (d + r2 - loc.numel()) / 2 - log_scale.sum() + loc.numel() * torch.log(s)
    return total


class _NormalKL(torch.autograd.Function):
    """One pass over the weights each way."""

    @staticmethod
    def forward(ctx: Any, m: Tensor, s: Tensor, *laws: Tensor) -> Tensor:
        ctx.save_for_backward(m, s, *laws)
        m_, s_, total = m.item(), s.item(), 0.0
        for loc, log_scale in zip(laws[::2], laws[1::2]):
            square, variance, logs = kernel.kl_sums(loc, log_scale, m_).tolist()
            total += (square + variance) / s_**2 / 2 - logs + loc.numel() * (math.log(s_) - 0.5)
        return torch.tensor(total, dtype=laws[0].dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        m, s, *laws = ctx.saved_tensors
        if torch.is_grad_enabled() or not select.plain():
            return _again(_normal_kl, [m, s, *laws], ctx.needs_input_grad, grad)
        g, m_ = grad.item(), m.item()
        k = g / s.item() ** 2
        pairs = (kernel.kl_slopes(a, b, m_, k, g) for a, b in zip(laws[::2], laws[1::2]))
        return None, None, *(slope for pair in pairs for slope in pair)
