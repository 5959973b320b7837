"""Tensors in, tensors out: the numerical kernels under everything else.

`reference` is the definition of every kernel, in plain torch. `cpu` (Numba) and `gpu` (Triton) hold faster
versions with the same names and signatures, tested against it; `select` picks one.
"""
