# mypy: allow-untyped-defs
"""The product of a gradient and a slope or quotient, most of a backward pass: pieces that threads share."""

from torch import Tensor

from reparam.kernels.cpu.fill import PIECE, next_piece
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.threads import together


@jit(fastmath=False)
def times(gradient, slope, out):
    """out = gradient slope; a gradient of one number stands for all."""
    if len(gradient) == 1:
        g = gradient[0]
        for i in range(len(out)):
            out[i] = g * slope[i]
    else:
        for i in range(len(out)):
            out[i] = gradient[i] * slope[i]


@jit(fastmath=False)
def share(gradient, slope, out, taken):
    """Fill out a piece at a time; see `kernels.cpu.fill`."""
    n = len(out)
    while True:
        first = PIECE * next_piece(taken, (n + PIECE - 1) // PIECE)
        if first < 0:
            break
        last = min(first + PIECE, n)
        g = gradient if len(gradient) == 1 else gradient[first:last]
        times(g, slope[first:last], out[first:last])


@jit(fastmath=False)
def share_quotient(gradient, sign, x, y, out, taken):
    """out = gradient (sign x / y) a piece at a time; a gradient or y of one number stands for all."""
    n = len(out)
    while True:
        first = PIECE * next_piece(taken, (n + PIECE - 1) // PIECE)
        if first < 0:
            break
        last = min(first + PIECE, n)
        if len(y) == 1:
            for i in range(first, last):
                out[i] = sign * x[i] / y[0]
        else:
            for i in range(first, last):
                out[i] = sign * x[i] / y[i]
        g = gradient if len(gradient) == 1 else gradient[first:last]
        times(g, out[first:last], out[first:last])


def divide(gradient: Tensor, sign: int, x: Tensor, y: Tensor, out: Tensor) -> None:
    """Fill out with gradient (sign x / y); contiguous tensors as in `multiply`, y as large as x or of one number."""
    g, a, b, o = (t.detach().view(-1).numpy() for t in (gradient, x, y, out))
    together(share_quotient, g, o.dtype.type(sign), a, b, o, size=len(o))


def multiply(gradient: Tensor, slope: Tensor, out: Tensor) -> None:
    """Fill out; contiguous tensors of one dtype, the gradient as large as they are or of one number."""
    g, s, o = (t.detach().view(-1).numpy() for t in (gradient, slope, out))
    together(share, g, s, o, size=len(o))


def one_or_all(gradient: Tensor) -> Tensor:
    """Return a contiguous tensor; one number where all are the same one in memory, as behind a sum."""
    if gradient.numel() and not any(gradient.stride()):
        return gradient.as_strided((1,), (1,))
    return gradient.contiguous()
