"""The one place where a back end is chosen.

Noise is drawn by Numba on the CPU, by Triton on CUDA devices where it is installed, by the reference elsewhere. In
plain eager mode the kernel is called directly; under torch.compile, export, torch.func or a dispatch mode it is called
as an operator (`kernels.operators`), with the same numbers.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from reparam.kernels.cpu import gaussian, philox
from reparam.kernels.cpu.draw import draw_at, numbers
from reparam.kernels.operators import gpu  # and registers the operators
from reparam.kernels.reference.philox import int64


def describe(device: torch.device | str = "cpu") -> str:
    """Return the name of the back end that draws noise on a device: "numba", "triton" or "reference"."""
    kind = torch.device(device).type
    if kind == "cpu":
        return "numba"
    return "triton" if kind == "cuda" and gpu() is not None else "reference"


def fused(device: torch.device) -> ModuleType | None:
    """Return the module of the fused Gaussian layer for a device, or None if it has none."""
    served = {"numba": lambda: gaussian, "triton": lambda: gpu().gaussian}  # type: ignore[union-attr]
    return served.get(describe(device), lambda: None)()


def address(
    key: int | Tensor, step: int | Tensor, index: Tensor | None, device: torch.device
) -> tuple[Any, Any, Any]:
    """Return key, step and row numbers as the kernels of a device take them, without waiting for a GPU."""
    if device.type == "cpu":
        return signed(key), signed(step), None if index is None else index.numpy()
    key, step = (x if isinstance(x, Tensor) and x.device.type != "cpu" else signed(x) for x in (key, step))
    return key, step, None if index is None else index.to(device, non_blocking=True).contiguous()


def plain() -> bool:
    """Return whether nothing but eager torch would see a call."""
    return not (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
        or forward_ad._current_level >= 0
    )


def draw(
    law: str,
    key: int | Tensor,
    step: int | Tensor,
    index: Tensor | None,
    shape: Sequence[int],
    sample_ndim: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Return numbers of one law at an address: `reference.draw`, with ints or 0-d int64 tensors as key and step."""
    if device.type == "cpu" and plain():
        if index is None:
            return numbers(law, signed(key), signed(step), 0, shape, dtype)
        return draw_at(law, *address(key, step, index, device), shape, sample_ndim, dtype)
    kernels = gpu() if device.type == "cuda" else None
    if kernels is not None and plain():
        return kernels.draw_at(law, *address(key, step, index, device), shape, sample_ndim, dtype, device)
    key, step = _tensor(key, device), _tensor(step, device)
    index = None if index is None else index.to(device)
    if index is None or index.ndim == 0 or sample_ndim == 0:
        return torch.ops.reparam.draw(law, key, step, index, shape, dtype)
    moved = (shape[sample_ndim], *shape[:sample_ndim], *shape[sample_ndim + 1 :])
    return torch.ops.reparam.draw(law, key, step, index, moved, dtype).movedim(0, sample_ndim)


def integer_key(seed: int, digest: tuple[int, int, int, int]) -> int:
    """Return the key of a path for an integer seed."""
    return int(philox.path_key(signed(seed), *digest))


def path_key(seed: Tensor, digest: tuple[int, int, int, int]) -> Tensor:
    """Return the key of a path for a tensor seed."""
    return torch.ops.reparam.path_key(seed, digest)


def derive(key: int | Tensor, value: int | Tensor, domain: int) -> int | Tensor:
    """Return the 64-bit key that a key and a 64-bit value give in one domain; a tensor if one of them is."""
    if isinstance(key, int) and isinstance(value, int):
        return int(philox.derive(signed(key), signed(value), domain))
    device = next(x.device for x in (key, value) if isinstance(x, Tensor))
    return torch.ops.reparam.derive(_tensor(key, device), _tensor(value, device), domain)


def _tensor(value: int | Tensor, device: torch.device) -> Tensor:
    if isinstance(value, Tensor):
        return value.to(device)
    if device.type == "cpu":
        return int64(value)
    return torch.full((), signed(value), dtype=torch.int64, device=device)  # filled there: nothing waits


def signed(value: int | Tensor) -> int:
    """Return a 64-bit pattern as a signed int."""
    if isinstance(value, Tensor):
        return int(value.item())
    return value - (1 << 64) if value >> 63 else value
