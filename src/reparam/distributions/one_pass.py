"""Explicit families whose noise is drawn in the pass of their map, where a kernel serves."""

from typing import ClassVar

import torch
from torch import Tensor

from reparam.distributions.explicit import Explicit
from reparam.kernels import select
from reparam.noise import Noise, given
from reparam.transforms.noise_maps import Map

WORKING = (torch.float32, torch.float64)  # dtypes that a map works in; narrower ones are rounded from float32


class OnePass(Explicit):
    """An explicit family with a draw in one pass, `one_pass`: the bits of `push` at the noise of the address."""

    def one_pass(self, noise: Noise, shape: torch.Size) -> Tensor | None:
        """Return the draw, or None where no kernel serves."""
        raise TypeError(f"{type(self).__name__}.one_pass: this family has no draw in one pass")

    def rsample(
        self, sample_shape: torch.Size | tuple[int, ...] = (), *, noise: Noise | None = None
    ) -> Tensor:
        """Draw z = g(eps; phi); the noise is drawn in the same pass where a kernel serves."""
        if isinstance(sample_shape, int):
            return super().rsample(sample_shape, noise=noise)  # which raises
        noise, shape = given(noise, type(self).__name__), self._extended_shape(torch.Size(sample_shape))
        z = self.one_pass(noise, shape)
        if z is not None:
            return z
        like = self.like()
        if type(noise) is Noise and noise.index is None and like.dtype in WORKING:  # small: without forms
            address = noise._path_key(), noise.step, None
            eps = select.draw(self.base_law, *address, shape, len(sample_shape), like.dtype, like.device)
            return self.push(eps)
        return super().rsample(sample_shape, noise=noise)

    def sample(
        self, sample_shape: torch.Size | tuple[int, ...] = (), *, noise: Noise | None = None
    ) -> Tensor:
        """Draw the same numbers without a graph."""
        with torch.no_grad():
            return self.rsample(sample_shape, noise=noise).detach()


class OfNoise(OnePass):
    """A family whose map of one number of noise, `map`, has kernels."""

    base_law = "exponential"
    map: ClassVar[Map]

    def arguments(self) -> tuple[Tensor, ...]:
        """Return what the map takes besides the noise: the parameters."""
        return tuple(self.parameters().values())

    def push(self, eps: Tensor) -> Tensor:
        """Return g(eps; phi)."""
        return self.map.push(eps, *self.arguments())

    def one_pass(self, noise: Noise, shape: torch.Size) -> Tensor | None:
        """Return the draw in one pass."""
        return self.map.draw(noise, shape, *self.arguments())
