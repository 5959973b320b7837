# mypy: allow-untyped-defs
"""Memory filled with the numbers of one law: words, then their map, a piece at a time so that it stays in the cache.

A kernel whose last argument is `taken`, a counter in memory, may be called by several threads at once with the same
arguments: each takes one piece after another, from both ends in turn, until none is left. A number never depends on
who made it.
"""

from numba import types
from numba.extending import overload

from reparam.kernels.cpu import laws, laws32, normal
from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.lanes import WIDE, inline
from reparam.kernels.cpu.words import SHORT, fill_row, fill_rows

PIECE = 8192  # numbers, a whole number of blocks of words
CODES = {"bits": 0, "bits64": 0}
NAMES = "normal", "uniform", "exponential", "gumbel", "logistic", "laplace", "cauchy", "rademacher"
CODES |= {name: code for code, name in enumerate(NAMES, 1)}


def mapped(law, values):
    """Replace the words in the memory of `values` by numbers of the law with that code."""


@overload(mapped)
def _mapped(law, values):
    narrow = values.dtype == types.float32
    to_normal, to_uniform = (normal.map32, laws.uniform32) if narrow else (normal.map64, laws.uniform64)
    by = laws32 if narrow else laws
    to_exponential, to_gumbel, to_laplace = by.exponential, by.gumbel, by.laplace
    to_logistic, to_cauchy = by.logistic, by.cauchy

    def choose(law, values):
        if law == 1:
            to_normal(values)
        elif law == 2:
            to_uniform(values)
        elif law == 3:
            to_exponential(values)
        elif law == 4:
            to_gumbel(values)
        elif law == 5:
            to_logistic(values)
        elif law == 6:
            to_laplace(values)
        elif law == 7:
            to_cauchy(values)
        elif law == 8:
            laws.rademacher(values)

    return choose


@inline(types.int64, types.uintp)
def take(builder, address):
    """Return the number in memory and add one to it, as one step that threads cannot share."""
    pointer = builder.inttoptr(address, WIDE.as_pointer())
    return builder.atomic_rmw("add", pointer, WIDE(1), "monotonic")


@jit(fastmath=False)
def next_piece(taken, pieces):
    """The next piece of 0 .. pieces - 1, from both ends in turn, or -1: two threads meet fresh pages far apart."""
    k = take(taken.ctypes.data)
    if k >= pieces:
        return -1
    return pieces - 1 - k // 2 if k % 2 else k // 2


@jit(fastmath=False)
def one_row(law, key, step, row, first, values):
    """Fill `values` with the numbers first, first + 1, ... of one row; `first` is a multiple of 4."""
    fill_row(key, step, row, first * (values.itemsize // 4) // 4, values)
    mapped(law, values)


@jit(fastmath=False)
def many_rows(law, key, step, rows, values):
    """Fill `values` with the first numbers of each row, one row after the other."""
    fill_rows(key, step, rows, values)
    mapped(law, values)


@jit(fastmath=False)
def share_row(law, key, step, row, values, taken):
    """Fill `values` with the numbers of one row."""
    while True:
        first = PIECE * next_piece(taken, (len(values) + PIECE - 1) // PIECE)
        if first < 0:
            break
        one_row(law, key, step, row, first, values[first : first + PIECE])


@jit(fastmath=False)
def share_rows(law, key, step, rows, values, taken):
    """Fill `values` with the first numbers of each row; a piece is some rows, or a part of one."""
    count = len(values) // len(rows)
    parts = (count + PIECE - 1) // PIECE
    some = max(1, PIECE // count)
    pieces = len(rows) * parts if parts > 1 else (len(rows) + some - 1) // some
    while True:
        piece = next_piece(taken, pieces)
        if piece < 0:
            break
        i = piece // parts if parts > 1 else piece * some
        if parts > 1:
            first = piece % parts * PIECE
            last = min(first + PIECE, count)
            one_row(law, key, step, rows[i], first, values[i * count + first : i * count + last])
        else:
            many_rows(law, key, step, rows[i : i + some], values[i * count : (i + some) * count])


@jit(fastmath=False)
def share_keys(law, keys, steps, rows, values, taken):
    """Fill `values` with the draws of many keys, each with a step and row numbers of its own: rows (keys, B)."""
    count = len(values) // len(keys)
    some = max(1, PIECE // count)
    while True:
        first = some * next_piece(taken, (len(keys) + some - 1) // some)
        if first < 0:
            break
        last = min(first + some, len(keys))
        for k in range(first, last):
            part = values[k * count : (k + 1) * count]
            if rows.shape[1] == 1 and count < SHORT:
                fill_row(keys[k], steps[k], rows[k, 0], 0, part)
            else:
                fill_rows(keys[k], steps[k], rows[k], part)
        for start in range(first * count, last * count, PIECE):
            mapped(law, values[start : min(start + PIECE, last * count)])
