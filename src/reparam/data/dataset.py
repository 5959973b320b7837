"""What every reader returns: examples in a compact dtype, what they are, and what was done to them.

A data set is one of four kinds; the kind decides the likelihood that a model uses by default:

=========== ============================================== =================== =======================
kind        values                                         stored as           ``batch`` gives
=========== ============================================== =================== =======================
pictures    grey levels 0 .. levels - 1, shape (C, H, W)   uint8               level / (levels - 1)
binary      0 and 1                                        uint8               0.0 and 1.0
counts      non-negative integers                          uint8, int16, int32 the integers as floats
real        any other finite numbers                       float32             the numbers
=========== ============================================== =================== =======================
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

KINDS = ("pictures", "binary", "counts", "real")

DEFAULT_LIKELIHOOD = {
    "pictures": "Gaussian with learned scale",
    "binary": "Bernoulli",
    "counts": "Gaussian with learned scale",
    "real": "Gaussian with learned scale",
}


class DataError(ValueError):
    """Say in one line why data cannot be used: who, what is needed, what was found, what to do."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Hold N examples of one event shape, with labels if there are any.

    Args:
        name: what people call it; a path's last part, or "digits".
        kind: one of "pictures", "binary", "counts", "real" (see the module's table).
        x: the examples, shape (N, C, H, W) or (N, D), in the kind's compact dtype.
        levels: number of grey levels; for pictures only (17 for the digits, 256 for 8-bit pictures).
        labels: class numbers 0 .. K - 1, shape (N,), int64; None where there are none.
        label_names: K names, where the classes have names.
        note: what the reader did and decided, one line each, for people.

    Raises:
        DataError: the fields contradict each other.

    Example:
        >>> from reparam.data import load
        >>> digits = load("digits")
        >>> len(digits), digits.shape, digits.kind, digits.levels
        (1797, (1, 8, 8), 'pictures', 17)
        >>> digits.batch(torch.tensor([0, 1])).shape
        torch.Size([2, 1, 8, 8])
    """

    name: str
    kind: str
    x: Tensor = field(repr=False)
    levels: int | None = None
    labels: Tensor | None = field(default=None, repr=False)
    label_names: tuple[str, ...] | None = None
    note: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(f"Dataset: kind must be one of {', '.join(KINDS)}; got {self.kind!r}")
        if self.x.ndim not in (2, 4) or self.x.numel() == 0:
            raise DataError(
                f"Dataset: x must have shape (N, D) or (N, C, H, W), none of them 0; "
                f"got {tuple(self.x.shape)}"
            )
        if (self.levels is not None) != (self.kind == "pictures"):
            raise DataError(
                f"Dataset: levels must be given for pictures and only for them; "
                f"got levels={self.levels} with kind={self.kind!r}"
            )
        if self.labels is not None and (
            self.labels.shape != self.x.shape[:1] or self.labels.dtype != torch.int64
        ):
            raise DataError(
                f"Dataset: labels must be int64 of shape ({len(self.x)},), one for each example; "
                f"got {self.labels.dtype} of shape {tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shape(self) -> tuple[int, ...]:
        """Give the event shape: (C, H, W) or (D,)."""
        return tuple(self.x.shape[1:])

    @property
    def classes(self) -> int:
        """Give the number of classes K (0 without labels)."""
        if self.labels is None:
            return 0
        return len(self.label_names) if self.label_names else int(self.labels.max()) + 1

    def batch(self, index: Tensor | None = None, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Give the examples at ``index`` (all without it) as floats; pictures in [0, 1].

        pictures: x / (levels - 1); every other kind: x itself.

        Args:
            index: int64 positions, shape (B,).
            dtype: a floating dtype.

        Shape:
            (B, C, H, W) or (B, D).
        """
        x = (self.x if index is None else self.x[index]).to(dtype)
        return x / (self.levels - 1) if self.levels is not None else x

    @cached_property
    def fingerprint(self) -> str:
        """Give 32 hexadecimal digits of BLAKE2b over kind, levels, shape, dtype and every byte.

        Two data sets with one fingerprint hold the same numbers; a resumed run compares it.
        """
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.kind, self.levels, tuple(self.x.shape), str(self.x.dtype))).encode())
        digest.update(self.x.contiguous().numpy().tobytes())
        if self.labels is not None:
            digest.update(self.labels.contiguous().numpy().tobytes())
        return digest.hexdigest()
