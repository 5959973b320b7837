"""The scalar kernels (velocities, tails, quantiles) as one torch operator, `reparam::scalar`.

As an operator they work under fake tensors (compile, export) and under vmap. They carry no derivative: the
functions of `reparam.special` add it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

# kernel name -> how many tensors it returns; a name ending in _2 is order 2 of the velocity before it, one ending in
# _moving is the draw before it with its derivative
OUTPUTS = {
    "gamma_velocity": 1,
    "gamma_velocity_2": 3,
    "gamma_tails": 2,
    "gamma_quantile": 1,
    "gamma_draw": 1,
    "gamma_draw_moving": 2,
    "inverse_gamma_draw": 1,
    "inverse_gamma_draw_moving": 2,
    "exp_gamma_draw": 1,
    "exp_gamma_draw_moving": 2,
    "dirichlet_draw": 1,
    "dirichlet_draw_moving": 3,
    "dirichlet_pull": 1,
    "beta_draw": 1,
    "beta_draw_moving": 3,
    "ratio_draw": 1,
    "ratio_draw_moving": 3,
    "student_draw": 1,
    "student_draw_moving": 3,
    "inverse_gaussian_draw": 1,
    "inverse_gaussian_draw_moving": 3,
    "inverse_gaussian_quantile": 1,
    "beta_velocity": 2,
    "beta_velocity_2": 8,
    "beta_tails": 2,
    "beta_hazards": 2,
    "beta_quantile": 1,
    "fisher_velocity": 2,
    "fisher_velocity_2": 8,
    "fisher_tails": 2,
    "fisher_quantile": 1,
    "poisson_quantile": 1,
    "binomial_quantile": 1,
    "negative_binomial_quantile": 1,
    "student_velocity": 1,
    "student_velocity_2": 3,
    "student_tails": 2,
    "student_quantile": 1,
    "vonmises_velocity": 1,
    "vonmises_velocity_2": 3,
    "vonmises_tails": 2,
    "vonmises_quantile": 1,
}

_library = torch.library.Library("reparam", "FRAGMENT")
_library.define("scalar(str name, Tensor[] tensors) -> Tensor[]")


@cache
def _kernel(name: str, device: str) -> Callable[..., tuple[Tensor, ...] | Tensor]:
    if device == "cpu":
        from reparam.kernels import cpu as backend
    else:
        from reparam.kernels import reference as backend  # type: ignore[no-redef]
    if name.endswith("_2"):
        velocity = getattr(backend, name[:-2])
        return lambda *tensors: velocity(*tensors, order=2)
    if name.endswith("_moving"):
        draw = getattr(backend, name.removesuffix("_moving"))
        return lambda *tensors: draw(*tensors, moving=True)
    return getattr(backend, name)


def _run(name: str, tensors: list[Tensor]) -> list[Tensor]:
    result = _kernel(name, tensors[0].device.type)(*tensors)
    return [result] if isinstance(result, Tensor) else list(result)


def _fake(name: str, tensors: list[Tensor]) -> list[Tensor]:
    shape = torch.broadcast_shapes(*(t.shape for t in tensors))
    dtype = tensors[0].dtype
    for t in tensors[1:]:
        dtype = torch.promote_types(dtype, t.dtype)
    return [tensors[0].new_empty(shape, dtype=dtype) for _ in range(OUTPUTS[name])]


def _vmap(
    info: object, in_dims: tuple[None, list[int | None]], name: str, tensors: list[Tensor]
) -> tuple[list[Tensor], list[int]]:
    dims = in_dims[1]
    rank = max(t.dim() - (d is not None) for t, d in zip(tensors, dims))
    moved = []
    for t, d in zip(tensors, dims):
        if d is not None:
            t = t.movedim(d, 0)
            t = t.reshape(t.shape[0], *(1,) * (rank - t.dim() + 1), *t.shape[1:])
        moved.append(t)
    return torch.ops.reparam.scalar(name, moved), [0] * OUTPUTS[name]


_library.impl("scalar", _run, "CompositeExplicitAutograd")
torch.library.register_fake("reparam::scalar", _fake, lib=_library)
torch.library.register_vmap("reparam::scalar", _vmap, lib=_library)


def scalar(name: str, *tensors: Tensor) -> list[Tensor]:
    """Run the kernel `name` on broadcast tensors of one device; the results carry no derivative."""
    return torch.ops.reparam.scalar(name, list(tensors))
