"""Numba kernels: fast versions of `kernels.reference`, same names and signatures, tested against it.

Every function broadcasts its tensors, computes in double, and rounds once to the promoted dtype.

    gamma_velocity(alpha, y, order=1)   y = log z: (dy/dalpha,) at fixed noise; order 2 adds d/dalpha of it at fixed y
    gamma_tails(alpha, y)               (log P(alpha, z), log Q(alpha, z))
    gamma_quantile(alpha, eps)          y = log z with P(alpha, z) = Phi(eps)
"""

from reparam.kernels.cpu.elementwise import elementwise
from reparam.kernels.cpu.families import gamma_quantile, gamma_tails, gamma_velocity

__all__ = ["elementwise", "gamma_quantile", "gamma_tails", "gamma_velocity"]
