"""Run a kernel over flat arrays piece by piece, on several threads where there are many."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from reparam.kernels.cpu.threads import SERIAL_BELOW, run_chunks

PIECE = 16384


def run_pieces(
    kernel: Callable[..., None],
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    row: int | None = None,
) -> None:
    """Call `kernel(*inputs, *outputs)` on pieces of contiguous CPU tensors: flat, or (n, row) in whole rows."""
    arrays = [t.detach().numpy() if row else t.detach().view(-1).numpy() for t in (*inputs, *outputs)]
    count, step = len(arrays[0]), max(1, PIECE // (row or 1))

    def work(number: int) -> None:
        part = slice(number * step, (number + 1) * step)
        kernel(*(a[part] for a in arrays))

    run_chunks(work, -(-count // step), count * (row or 1) >= SERIAL_BELOW)
