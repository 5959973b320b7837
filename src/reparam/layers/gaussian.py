"""The Gaussian latent layer in one kernel each way, with its noise drawn again instead of kept."""

import math
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from reparam.kernels import select
from reparam.kernels.cpu import gaussian as kernel
from reparam.noise import Noise, NoiseSpec, check_rows, given


def gaussian(
    loc: Tensor, log_scale: Tensor, *, noise: Noise | None = None, event_ndim: int = 1
) -> tuple[Tensor, Tensor]:
    """Draw z ~ N(mu, sigma^2) and return it with its KL divergence from N(0, I), in nats.

        z = mu + sigma eps        kl = sum_event (mu^2 + sigma^2 - 1) / 2 - log sigma

    Args:
        loc: mu, (*B, *E), floating.
        log_scale: log sigma, the log of the standard deviation; of the shape and dtype of `loc`.
        noise: the address of eps; its rows label axis 0. The numbers are those of `D.Normal.rsample((), noise=noise)`.
        event_ndim: how many trailing axes the KL sums over.

    Shape: z as `loc`, kl (*B).

    **Gradient**: exact for both results at fixed noise (the pathwise gradient: unbiased, one evaluation). In float32
    and float64 on the CPU, and on CUDA where triton is installed, one kernel each way, which keeps nothing but its
    inputs; elsewhere, and under torch.compile and torch.func, plain torch. Second derivatives go through plain torch.

    Raises:
        TypeError: unlike dtypes, or not floating.
        ValueError: unlike shapes, or fewer axes than `event_ndim`.

    Example:
        >>> z, kl = gaussian(torch.zeros(2, 3), torch.zeros(2, 3), noise=Noise(0))
        >>> z.shape, kl.tolist()
        (torch.Size([2, 3]), [0.0, 0.0])
    """
    _check(loc, log_scale, event_ndim)
    noise = given(noise, "layers.gaussian")
    native = loc.dtype in (torch.float32, torch.float64) and loc.device == log_scale.device
    kernels = select.fused(loc.device) if native and loc.numel() and select.plain() else None
    if kernels is not None and (type(noise) is Noise or loc.device.type == "cpu"):
        n = math.prod(loc.shape[loc.ndim - event_ndim :])
        if type(noise) is not Noise:  # a scheme, or noise that is given as a tensor
            eps = noise.draw(NoiseSpec("normal", tuple(loc.shape), 0, loc.dtype))
            z, kl = _Pushed.apply(loc, log_scale, n, eps)
            return z, kl.view(loc.shape[: loc.ndim - event_ndim])
        if noise.index is not None:
            check_rows("normal", tuple(loc.shape), 0, noise.index)
        index = None if noise.index is None else noise.index.reshape(-1)
        address = select.address(noise._path_key(), noise.step, index, loc.device)
        z, kl = _Gaussian.apply(loc, log_scale, n, address, noise, kernels)
        return z, kl.view(loc.shape[: loc.ndim - event_ndim])
    return _plain(loc, log_scale, noise, event_ndim)


def _plain(loc: Tensor, log_scale: Tensor, noise: Noise, event_ndim: int) -> tuple[Tensor, Tensor]:
    """Return the same in plain torch."""
    eps = noise.draw(NoiseSpec("normal", tuple(loc.shape), 0, loc.dtype, loc.device))
    sigma = log_scale.exp()
    kl = (loc * loc + sigma * sigma) / 2 - (log_scale + 0.5)
    return loc + sigma * eps, kl.sum(tuple(range(-event_ndim, 0))) if event_ndim else kl


class _Gaussian(torch.autograd.Function):
    """z and kl by one kernel each way; the backward pass of a backward pass is plain torch."""

    @staticmethod
    def forward(
        ctx: Any,
        loc: Tensor,
        log_scale: Tensor,
        n: int,
        address: tuple[Any, Any, Any],
        noise: Noise,
        kernels: ModuleType,
    ) -> tuple[Tensor, Tensor]:
        loc, log_scale = loc.contiguous(), log_scale.contiguous()
        ctx.save_for_backward(loc, log_scale)
        ctx.n, ctx.address, ctx.noise, ctx.kernels = n, address, noise, kernels
        return kernels.forward(loc, log_scale, n, address)

    @staticmethod
    def backward(ctx: Any, grad_z: Tensor, grad_kl: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        loc, log_scale = ctx.saved_tensors
        if torch.is_grad_enabled() or not select.plain():
            eps = ctx.noise.draw(NoiseSpec("normal", tuple(loc.shape), 0, loc.dtype, loc.device))
            return *_derivatives(loc, log_scale, ctx.n, eps, grad_z, grad_kl)[:2], *(None,) * 4
        gradients = grad_z.contiguous(), grad_kl.contiguous()
        return *ctx.kernels.backward(loc, log_scale, ctx.n, ctx.address, *gradients), *(None,) * 4


class _Pushed(torch.autograd.Function):
    """z and kl for noise that is given, by the same kernel; the backward pass is plain torch."""

    @staticmethod
    def forward(ctx: Any, loc: Tensor, log_scale: Tensor, n: int, eps: Tensor) -> tuple[Tensor, Tensor]:
        loc, log_scale = loc.contiguous(), log_scale.contiguous()
        ctx.save_for_backward(loc, log_scale, eps)
        ctx.n = n
        return kernel.push(loc, log_scale, n, eps)

    @staticmethod
    def backward(ctx: Any, grad_z: Tensor, grad_kl: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        loc, log_scale, eps = ctx.saved_tensors
        by_loc, by_scale, by_eps = _derivatives(loc, log_scale, ctx.n, eps, grad_z, grad_kl)
        return by_loc, by_scale, None, by_eps


def _derivatives(
    loc: Tensor, log_scale: Tensor, n: int, eps: Tensor, grad_z: Tensor, grad_kl: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return dmu = dz + dkl mu, ds = dz sigma eps + dkl (sigma^2 - 1) and deps = dz sigma, in plain torch."""
    each_kl = grad_kl.reshape(-1, 1).expand(-1, n).reshape(loc.shape)
    sigma = log_scale.exp()
    by_scale = grad_z * sigma * eps + each_kl * (sigma * sigma - 1)
    return grad_z + each_kl * loc, by_scale, grad_z * sigma


def _check(loc: Tensor, log_scale: Tensor, event_ndim: int) -> None:
    if loc.dtype != log_scale.dtype or not loc.is_floating_point():
        raise TypeError(
            f"layers.gaussian: loc and log_scale must have one floating dtype; got {loc.dtype} and "
            f"{log_scale.dtype}; convert one of them"
        )
    if loc.shape != log_scale.shape:
        raise ValueError(
            f"layers.gaussian: loc and log_scale must have one shape; got {tuple(loc.shape)} and "
            f"{tuple(log_scale.shape)}; expand one of them"
        )
    if not 0 <= event_ndim <= loc.ndim:
        raise ValueError(
            f"layers.gaussian: event_ndim must be in [0, loc.ndim]; got {event_ndim} for shape {tuple(loc.shape)}"
        )
