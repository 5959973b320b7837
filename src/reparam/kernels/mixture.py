"""The mixture-of-normals quantile as tensors in, tensors out, and as the operator `reparam::mixture_quantile`.

Shapes: eps (*S, *B), parameters (*B, K): S draws from each of B mixtures. Either all draws of one mixture stand side
by side in a block, or the mixtures do, whichever there are more of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reparam.kernels.cpu import mixture as kernel
from reparam.kernels.cpu.memory import empty
from reparam.kernels.cpu.threads import SERIAL_BELOW, run_chunks
from reparam.kernels.reference.mixture import mixture_quantile as reference

CHUNK = 16384

_library = torch.library.Library("reparam", "FRAGMENT")
_library.define("mixture_quantile(Tensor eps, Tensor log_weights, Tensor loc, Tensor scale) -> Tensor")


def parts(draws: int, rows: int) -> tuple[bool, list[tuple[slice, slice]]]:
    """Return whether a block holds draws of one mixture, and the pieces (draws, rows) of the work."""
    by_draws = draws >= rows
    if by_draws:
        pieces = [(slice(d, d + CHUNK), slice(r, r + 1)) for r in range(rows) for d in range(0, draws, CHUNK)]
    else:
        step = max(1, CHUNK // max(draws, 1))
        pieces = [(slice(0, draws), slice(r, r + step)) for r in range(0, rows, step)]
    return by_draws, pieces


def flat(eps: Tensor, *parameters: Tensor) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return eps as (S, B) and the parameters as (B, K) arrays."""
    rows, count = parameters[0].shape[:-1].numel(), parameters[0].shape[-1]
    arrays = [p.detach().contiguous().view(rows, count).numpy() for p in parameters]
    return eps.detach().contiguous().view(-1, rows).numpy(), arrays


def quantile(eps: Tensor, log_weights: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Return z with sum_k w_k Phi((z - m_k)/s_k) = Phi(eps), on the CPU, float32 or float64."""
    z = empty(eps.shape, eps.dtype)
    if not z.numel():
        return z
    e, parameters = flat(eps, log_weights, loc, scale)
    out = z.view(e.shape).numpy()
    by_draws, pieces = parts(*e.shape)

    def work(number: int) -> None:
        draws, rows = pieces[number]
        given = [p[rows] for p in parameters]
        if by_draws:
            kernel.quantile(e[draws, rows.start], *given, out[draws, rows.start], eps.dtype == torch.float64)
            return
        for one in range(e.shape[0]):
            kernel.quantile(e[one, rows], *given, out[one, rows], eps.dtype == torch.float64)

    run_chunks(work, len(pieces), z.numel() >= SERIAL_BELOW)
    return z


def derivatives(
    eps: Tensor, log_weights: Tensor, loc: Tensor, scale: Tensor, z: Tensor, gradient: Tensor
) -> tuple[Tensor, ...]:
    """Return the derivatives of sum(gradient z) in eps, log weights, loc and scale."""
    e, parameters = flat(eps, log_weights, loc, scale)
    of_eps = empty(eps.shape, eps.dtype)
    if not eps.numel():
        return of_eps, *(torch.zeros_like(p) for p in (log_weights, loc, scale))
    slope, g = of_eps.view(e.shape).numpy(), gradient.contiguous().view(e.shape).numpy()
    values = z.view(e.shape).numpy()
    by_draws, pieces = parts(*e.shape)
    rows_of_sums = len(pieces) if by_draws else e.shape[1]
    sums = empty((3, rows_of_sums, loc.shape[-1]), torch.float64 if by_draws else eps.dtype)
    if by_draws:
        sums.zero_()
    arrays, wide = sums.numpy(), eps.dtype == torch.float64

    def work(number: int) -> None:
        draws, rows = pieces[number]
        given = [p[rows] for p in parameters]
        into = slice(number, number + 1) if by_draws else rows
        lines: list[Any] = [(draws, rows.start)] if by_draws else [(one, rows) for one in range(e.shape[0])]
        for turn, line in enumerate(lines):  # the draws of one mixture add up
            targets = [slope[line], *(a[into] for a in arrays)]
            kernel.derivatives(e[line], values[line], g[line], *given, *targets, wide, turn > 0)

    run_chunks(work, len(pieces), eps.numel() >= SERIAL_BELOW)
    if by_draws:
        sums = sums.view(3, e.shape[1], -1, loc.shape[-1]).sum(2).to(eps.dtype)
    return of_eps, *(part.view(loc.shape) for part in sums)


def _run(eps: Tensor, *parameters: Tensor) -> Tensor:
    eps, *parameters = aligned(eps, *parameters)  # type: ignore[assignment]
    native = eps.device.type == "cpu" and eps.dtype in (torch.float32, torch.float64)
    return quantile(eps, *parameters) if native else reference(eps, *parameters)


def aligned(eps: Tensor, *parameters: Tensor) -> list[Tensor]:
    """Broadcast to eps (*S, *B) and parameters (*B, K) of one dtype."""
    shape = torch.broadcast_shapes(*(p.shape for p in parameters))
    eps = eps.expand(torch.broadcast_shapes(eps.shape, shape[:-1]))
    return [eps, *(p.expand(shape) for p in parameters)]


def _vmap(
    info: object, in_dims: tuple[int | None, ...], eps: Tensor, *parameters: Tensor
) -> tuple[Tensor, int]:
    rank = max(
        t.dim() - (d is not None) - (k > 0) for k, (t, d) in enumerate(zip((eps, *parameters), in_dims))
    )
    moved = []
    for k, (t, d) in enumerate(zip((eps, *parameters), in_dims)):
        if d is not None:
            t = t.movedim(d, 0)
            missing = rank + 1 + (k > 0) - t.dim()
            t = t.reshape(t.shape[0], *(1,) * missing, *t.shape[1:])
        moved.append(t)
    return torch.ops.reparam.mixture_quantile(*moved), 0


def _fake(eps: Tensor, *parameters: Tensor) -> Tensor:
    shape = torch.broadcast_shapes(eps.shape, *(p.shape[:-1] for p in parameters))
    return eps.new_empty(shape)


_library.impl("mixture_quantile", _run, "CompositeExplicitAutograd")
torch.library.register_fake("reparam::mixture_quantile", _fake, lib=_library)
torch.library.register_vmap("reparam::mixture_quantile", _vmap, lib=_library)
mixture_quantile: Callable[..., Any] = torch.ops.reparam.mixture_quantile
