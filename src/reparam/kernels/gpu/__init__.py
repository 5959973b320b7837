"""Triton kernels: noise and the fused Gaussian layer on a GPU, with the names and signatures of the other back ends.

Importing this package needs triton. With TRITON_INTERPRET=1 in the environment before that, the same code runs on
tensors of the CPU, slowly, which is how it is tested where there is no GPU.
"""

from reparam.kernels.gpu import gaussian
from reparam.kernels.gpu.draw import draw, draw_at

__all__ = ["draw", "draw_at", "gaussian"]
