"""Numba kernels: fast versions of `kernels.reference`, same names and signatures, tested against it."""
