"""Noise as operators of torch: one node in a compiled, exported or vmapped graph, whatever the address holds.

    reparam::path_key(seed, digest)          key of a path, elementwise in the seed
    reparam::derive(key, value, domain)      key derived from a key and a 64-bit value, elementwise
    reparam::draw(law, key, step, index, shape, dtype)

Keys, steps and row numbers are int64 tensors, so a graph is made once for all of them. `draw` is vectorised over
leading batch dimensions: key and step (*K), index none, (*K) or (*K, B), result (*K, *shape), which is what its
vmap rules use. None of them reads or moves a generator of torch.
"""

import math
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from types import ModuleType

import torch
from torch import Tensor

from reparam.kernels import reference
from reparam.kernels.cpu import draw as cpu
from reparam.kernels.cpu.philox import derive_all, path_keys
from reparam.kernels.reference import philox

_library = torch.library.Library("reparam", "DEF")
_library.define("path_key(Tensor seed, int[] digest) -> Tensor")
_library.define("derive(Tensor key, Tensor value, int domain) -> Tensor")
_library.define(
    "draw(str law, Tensor key, Tensor step, Tensor? index, SymInt[] shape, ScalarType dtype) -> Tensor"
)


@cache
def gpu() -> ModuleType | None:
    """Return the Triton kernels, or None where triton is not installed."""
    try:
        import_module("triton")
    except ImportError:
        return None
    return import_module("reparam.kernels.gpu")


def _path_key(seed: Tensor, digest: Sequence[int]) -> Tensor:
    if seed.device.type != "cpu":
        return philox.path_key(seed, tuple(digest))  # type: ignore[arg-type]
    keys = torch.empty(seed.shape, dtype=torch.int64, device="cpu")
    path_keys(seed.reshape(-1).numpy(), *digest, keys.view(-1).numpy())
    return keys


def _derive(key: Tensor, value: Tensor, domain: int) -> Tensor:
    if key.device.type != "cpu":
        return philox.derive(key, value, domain)
    key, value = torch.broadcast_tensors(key, value)
    keys = torch.empty(key.shape, dtype=torch.int64, device="cpu")
    derive_all(key.reshape(-1).numpy(), value.reshape(-1).numpy(), domain, keys.view(-1).numpy())
    return keys


def _draw_one(
    law: str, key: Tensor, step: Tensor, index: Tensor | None, shape: Sequence[int], dtype: torch.dtype
) -> Tensor:
    if key.device.type == "cpu":
        return cpu.draw(law, key, step, index, shape, 0, dtype)
    kernels = gpu() if key.device.type == "cuda" else None
    if kernels is not None:
        return kernels.draw(law, key, step, index, shape, 0, dtype)
    return reference.draw(law, key, step, index, shape, 0, dtype).contiguous()


def _draw(
    law: str, key: Tensor, step: Tensor, index: Tensor | None, shape: Sequence[int], dtype: torch.dtype
) -> Tensor:
    if key.ndim == 0:
        return _draw_one(law, key, step, index, shape, dtype)
    if key.device.type == "cpu":
        return cpu.draw_keys(law, key, step, index, shape, dtype)
    batch = key.shape
    out = torch.empty((math.prod(batch), *shape), dtype=dtype, device=key.device)
    rows = None if index is None else index.reshape(len(out), *index.shape[len(batch) :])
    for k, (one_key, one_step) in enumerate(zip(key.reshape(-1), step.reshape(-1))):
        out[k] = _draw_one(law, one_key, one_step, None if rows is None else rows[k], shape, dtype)
    return out.reshape(*batch, *shape)


for _name, _function in (("path_key", _path_key), ("derive", _derive), ("draw", _draw)):
    _library.impl(_name, _function, "CPU")
    _library.impl(_name, _function, "CUDA")


@torch.library.register_fake("reparam::path_key", lib=_library)
def _(seed: Tensor, digest: Sequence[int]) -> Tensor:
    return torch.empty_like(seed)


@torch.library.register_fake("reparam::derive", lib=_library)
def _(key: Tensor, value: Tensor, domain: int) -> Tensor:
    return torch.empty(torch.broadcast_shapes(key.shape, value.shape), dtype=torch.int64, device=key.device)


@torch.library.register_fake("reparam::draw", lib=_library)
def _(
    law: str, key: Tensor, step: Tensor, index: Tensor | None, shape: Sequence[int], dtype: torch.dtype
) -> Tensor:
    return torch.empty((*key.shape, *shape), dtype=dtype, device=key.device)


@torch.library.register_vmap("reparam::path_key", lib=_library)
def _(info, in_dims, seed, digest):  # type: ignore[no-untyped-def]
    return torch.ops.reparam.path_key(seed.movedim(in_dims[0], 0), digest), 0


@torch.library.register_vmap("reparam::derive", lib=_library)
def _(info, in_dims, key, value, domain):  # type: ignore[no-untyped-def]
    key, value = (_front(x, d, info.batch_size) for x, d in zip((key, value), in_dims))
    return torch.ops.reparam.derive(key, value, domain), 0


@torch.library.register_vmap("reparam::draw", lib=_library)
def _(info, in_dims, law, key, step, index, shape, dtype):  # type: ignore[no-untyped-def]
    _, key_dim, step_dim, index_dim, *_ = in_dims
    one_key = key_dim is None and step_dim is None and key.ndim == 0
    if one_key and index is not None and index.ndim == 1:  # rows mapped one by one: a draw with rows
        shape = (info.batch_size, *shape)
        return torch.ops.reparam.draw(law, key, step, index.movedim(index_dim, 0), shape, dtype), 0
    key, step = _front(key, key_dim, info.batch_size), _front(step, step_dim, info.batch_size)
    index = None if index is None else _front(index, index_dim, info.batch_size)
    return torch.ops.reparam.draw(law, key, step, index, shape, dtype), 0


def _front(x: Tensor, dim: int | None, size: int) -> Tensor:
    """Return x with its mapped dimension first; an unmapped x is repeated."""
    return x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
