"""The one place where a back end is chosen."""

from collections.abc import Callable

import torch
from torch import Tensor

from reparam.kernels import reference


def draw_kernel(device: torch.device) -> Callable[..., Tensor]:
    """Return the kernel that draws noise on a device, with the signature of `reference.draw`."""
    return reference.draw


def describe() -> str:
    """Return the name of the back end that draws noise on the CPU."""
    return "reference"
