"""The float64 twin of a float32 loss: the same function at the same noise, with 29 more bits.

Along a random direction in d dimensions a slope is 1 / sqrt(d) of the gradient, so a difference of float32 values of a
large model is rounding and nothing else. The twin runs the caller's code with

    parameters and buffers   as float64 copies,
    other float32 tensors    promoted where they meet a float64 one,
    noise                    drawn in float32 and converted, so that both see the same numbers.

It is used only where it gives the values of the original, at the parameters and around them (`twin`); the gradients
that are judged are those of the original in any case.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from reparam.noise import Noise

FACTORIES = {"rand", "randn", "rand_like", "randn_like"}
FILLS = {"normal_", "uniform_", "exponential_"}


class SingleNoise(Noise):
    """Noise whose float64 draws are its float32 draws."""

    def _moved(self, seed: Any, path: tuple[str | int, ...], step: Any, index: Tensor | None) -> Noise:
        return SingleNoise(seed, path, step, index)

    def _draw(
        self,
        law: str,
        shape: Sequence[int] | int,
        dtype: torch.dtype | None,
        device: torch.device | str,
        sample_ndim: int = 0,
    ) -> Tensor:
        if dtype is not torch.float64:
            return super()._draw(law, shape, dtype, device, sample_ndim)
        return super()._draw(law, shape, torch.float32, device, sample_ndim).double()


class Promoting(TorchFunctionMode):
    """Inside, float32 tensors that meet float64 ones are converted, and torch's own draws are float32 ones."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one torch function."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in FACTORIES:
            return _made_in_float32(func, args, kwargs)
        if name in FILLS and args[0].dtype is torch.float64:
            return args[0].copy_(func(torch.empty_like(args[0], dtype=torch.float32), *args[1:], **kwargs))
        in_place = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
        if not in_place and "out" not in kwargs:
            found = {t.dtype for t in _tensors((*args, *kwargs.values()))}
            if torch.float32 in found and torch.float64 in found:
                args, kwargs = tree_map(_doubled, (args, kwargs))
        return func(*args, **kwargs)


def _made_in_float32(func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Tensor:
    like = args[0].dtype if args and isinstance(args[0], Tensor) else None
    dtype = kwargs.get("dtype") or like
    if dtype is not torch.float64:
        return func(*args, **kwargs)
    return func(*args, **{**kwargs, "dtype": torch.float32}).double()


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    """Yield the tensors among the arguments of a function and in their lists."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from (item for item in value if isinstance(item, Tensor))


def _doubled(x: Any) -> Any:
    return x.double() if isinstance(x, Tensor) and x.dtype is torch.float32 else x


class Twin:
    """Float64 copies that stand in for the data of tensors while a value is taken.

    Attributes:
        data: the copies of the parameters, which a caller may move.
        noise: the noise that the twin draws from.
    """

    def __init__(self, tensors: Sequence[Tensor], buffers: Sequence[Tensor], noise: Noise):
        self.data = [p.detach().double() for p in tensors]
        copies = [*self.data, *(b.detach().double() for b in buffers if b.dtype is torch.float32)]
        owners = [*tensors, *(b for b in buffers if b.dtype is torch.float32)]
        self.pairs = list(zip(owners, copies, [t.data for t in owners]))
        self.noise = SingleNoise(noise.seed, noise.path, noise.step, noise.index)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Put the copies in place, and the originals back."""
        try:
            for owner, copy, _ in self.pairs:
                owner.data = copy
            with Promoting():
                yield
        finally:
            for owner, _, original in self.pairs:
                owner.data = original
