"""The definition of every kernel, in plain torch: slow, on any device, traceable, obviously right."""

from reparam.kernels.reference.draw import draw
from reparam.kernels.reference.laws import UNIFORM_BITS
from reparam.kernels.reference.philox import path_key, philox4x32, words, words_at

__all__ = ["UNIFORM_BITS", "draw", "path_key", "philox4x32", "words", "words_at"]
