"""The definition of every kernel, in plain torch: slow, on any device, traceable, obviously right."""

from reparam.kernels.reference.beta import (
    beta_draw,
    beta_hazards,
    beta_quantile,
    beta_tails,
    beta_velocity,
    ratio_draw,
)
from reparam.kernels.reference.draw import draw
from reparam.kernels.reference.gamma import (
    exp_gamma_draw,
    gamma_draw,
    gamma_quantile,
    gamma_tails,
    gamma_velocity,
    inverse_gamma_draw,
)
from reparam.kernels.reference.inverse_gaussian import inverse_gaussian_draw, inverse_gaussian_quantile
from reparam.kernels.reference.laws import UNIFORM_BITS
from reparam.kernels.reference.philox import path_key, philox4x32, words, words_at
from reparam.kernels.reference.student import student_draw, student_quantile, student_tails, student_velocity
from reparam.kernels.reference.vonmises import vonmises_quantile, vonmises_tails, vonmises_velocity

__all__ = [
    "UNIFORM_BITS",
    "draw",
    "path_key",
    "philox4x32",
    "words",
    "words_at",
    "beta_draw",
    "beta_hazards",
    "beta_quantile",
    "beta_tails",
    "beta_velocity",
    "exp_gamma_draw",
    "gamma_draw",
    "gamma_quantile",
    "gamma_tails",
    "gamma_velocity",
    "inverse_gamma_draw",
    "inverse_gaussian_draw",
    "inverse_gaussian_quantile",
    "ratio_draw",
    "student_draw",
    "student_quantile",
    "student_tails",
    "student_velocity",
    "vonmises_quantile",
    "vonmises_tails",
    "vonmises_velocity",
]
