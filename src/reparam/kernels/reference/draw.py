"""One draw: from an address, a law and a shape to numbers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from reparam.kernels.reference.laws import from_words, words_per_number
from reparam.kernels.reference.philox import words


def draw(
    law: str,
    key: Tensor,
    step: Tensor,
    index: Tensor | None,
    shape: Sequence[int],
    sample_ndim: int,
    dtype: torch.dtype,
) -> Tensor:
    """Return numbers of one law at an address, on the device of the key.

    Args:
        law: "bits" (32-bit words), "bits64", "uniform", "normal", "exponential", "gumbel", "logistic",
            "laplace", "cauchy" or "rademacher".
        key: int64, 0-d: the key of the path.
        step: int64, 0-d.
        index: int64 row numbers of the axis `sample_ndim`, (B,); () when the draw is one row; None for row 0.
        shape: of the result.
        sample_ndim: how many leading axes are sample axes.
        dtype: of the result.
    """
    made = words(key, step, index, shape, sample_ndim, words_per_number(law, dtype))
    return from_words(law, made, dtype)
