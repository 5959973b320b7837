"""Run a kernel over flat arrays piece by piece, on several threads where there are many."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from reparam.kernels.cpu.threads import SERIAL_BELOW, run_chunks

PIECE = 16384


def run_pieces(kernel: Callable[..., None], inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> None:
    """Call `kernel(*inputs, *outputs)` on pieces of contiguous CPU tensors of one size and dtype."""
    arrays = [t.detach().view(-1).numpy() for t in (*inputs, *outputs)]
    count = len(arrays[0])

    def work(number: int) -> None:
        part = slice(number * PIECE, (number + 1) * PIECE)
        kernel(*(a[part] for a in arrays))

    run_chunks(work, -(-count // PIECE), count >= SERIAL_BELOW)
