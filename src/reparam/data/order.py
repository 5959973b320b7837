"""Which examples are used when: the split and the order of the batches, as pure functions of a seed.

split:  permutation(n) at the address (seed, "split"), cut 80 / 10 / 10
order:  permutation(n) at the address (seed, "order", epoch), cut into batches

Nothing is remembered between calls, so that a run that starts again in the middle sees what it would have
seen.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from reparam.data.dataset import DataError
from reparam.noise import Noise


def split(n: int, seed: int | Noise) -> tuple[Tensor, Tensor, Tensor]:
    """Part n examples into train, validation and test: 80, 10 and 10 per cent, at least one each.

    Validation and test get max(1, round(n / 10)) examples each, training the rest. The parts do not
    overlap, cover all examples, and are sorted.

    Args:
        n: number of examples, at least 3.
        seed: an int, or the noise whose child "split" is used.

    Shape:
        three int64 tensors.

    Raises:
        DataError: fewer than 3 examples.

    Example:
        >>> train, validation, test = split(1797, 0)
        >>> len(train), len(validation), len(test)
        (1437, 180, 180)
    """
    if n < 3:
        raise DataError(
            f"split: the data must have at least 3 examples, one for each part; got {n}; add some"
        )
    held_out = max(1, round(n / 10))
    order = _noise(seed).child("split").permutation(n).to("cpu", torch.int64)
    parts = order.split([n - 2 * held_out, held_out, held_out])
    train, validation, test = (part.sort().values for part in parts)
    return train, validation, test


def epoch_order(n: int, seed: int | Noise, epoch: int) -> Tensor:
    """Give the order of n examples in one epoch (counted from 0): an int64 permutation, shape (n,)."""
    if epoch < 0:
        raise DataError(f"epoch_order: epoch must be 0 or more; got {epoch}")
    return _noise(seed).child("order").at(epoch).permutation(n).to("cpu", torch.int64)


def batches_per_epoch(n: int, batch_size: int) -> int:
    """Count the batches of an epoch, the last smaller one included: ceil(n / batch_size)."""
    if n < 1 or batch_size < 1:
        raise DataError(
            f"batches: n and batch_size must be at least 1; got n={n} and batch_size={batch_size}"
        )
    return -(-n // batch_size)


def batch_indices(
    n: int, batch_size: int, seed: int | Noise, epoch: int, *, first: int = 0
) -> Iterator[Tensor]:
    """Yield the int64 positions of every batch of one epoch; the last batch may be smaller.

    Args:
        n: number of examples.
        batch_size: examples in a batch.
        seed: an int, or the noise whose child "order" is used.
        epoch: counted from 0.
        first: the batch to begin with; the batches from there on are what they always are.

    Shape:
        (B,) each, B <= batch_size.

    Example:
        >>> [len(index) for index in batch_indices(10, 4, 0, 0)]
        [4, 4, 2]
    """
    count = batches_per_epoch(n, batch_size)
    if not 0 <= first <= count:
        raise DataError(
            f"batch_indices: first must be one of the {count} batches (0 to {count}); got {first}"
        )
    return iter(epoch_order(n, seed, epoch).split(batch_size)[first:])


def locate(step: int, n: int, batch_size: int) -> tuple[int, int]:
    """Give (epoch, batch) of a global step counted from 0: divmod(step, batches in an epoch).

    Example:
        >>> locate(7, 10, 4)
        (2, 1)
    """
    if step < 0:
        raise DataError(f"locate: step must be 0 or more; got {step}")
    return divmod(step, batches_per_epoch(n, batch_size))


def _noise(seed: int | Noise) -> Noise:
    return seed if isinstance(seed, Noise) else Noise(seed)
