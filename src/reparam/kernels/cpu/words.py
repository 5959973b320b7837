# mypy: allow-untyped-defs
"""Words of Philox4x32-10 by Numba: the same bits as `reference.philox`, many blocks at a time."""

import numpy as np
from numba import types

from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.lanes import INT, WIDE, inline, load, numbered, same, store
from reparam.kernels.cpu.philox import fold, philox, round_keys, rounds
from reparam.kernels.reference.philox import BLOCK_DOMAIN, STEP_DOMAIN

MANY = 16  # blocks in lanes
SHORT = 128  # words: rows shorter than this share vectors with their neighbours
GROUP = 256  # blocks of short rows made at once


def write_blocks(words, address) -> None:
    """Write four lanes of words, in the low halves of 64 bits, block by block."""
    w0, w1, w2, w3 = words
    first, second = (w0 & 0xFFFFFFFF) | w1 << 32, (w2 & 0xFFFFFFFF) | w3 << 32
    store(first.interleaved(second), address)


@inline(types.none, types.uintp, *[types.uint32] * 6)
def row_blocks(builder, address, block, step, r0, r1, k0, k1):
    """Write the words of 16 blocks of one row, from number `block` on."""
    constants = (same(builder, builder.zext(c, WIDE), MANY) for c in (step, r0, r1))
    counter = numbered(builder, block, MANY).widened(), *constants
    write_blocks(rounds(counter, round_keys(builder, k0, k1, MANY)), address)


@inline(types.none, *[types.uintp] * 4, *[types.uint32] * 3)
def mixed_blocks(builder, address, blocks, rows0, rows1, step, k0, k1):
    """Write the words of 16 blocks, each of its own number and row, read from memory."""
    block, r0, r1 = (load(builder, x, INT, MANY).widened() for x in (blocks, rows0, rows1))
    counter = block, same(builder, builder.zext(step, WIDE), MANY), r0, r1
    write_blocks(rounds(counter, round_keys(builder, k0, k1, MANY)), address)


@inline(types.none, types.uintp, types.uint32)
def eight(builder, address, value):
    """Write a number eight times."""
    store(same(builder, value, 8), address)


@jit(fastmath=False)
def fill_row(key, step, row, start, values):
    """Fill memory with the words of one row from block `start` on; the blocks share their bits above 2^32."""
    out = values.view(np.uint32)
    key = fold(fold(key, step, STEP_DOMAIN), start, BLOCK_DOMAIN)
    k0, k1, s = np.uint32(key), np.uint32(key >> np.uint64(32)), np.uint32(step)
    r0, r1 = np.uint32(row), np.uint32(np.uint64(row) >> np.uint64(32))
    first, full = np.uint32(start), len(out) // 4
    many = full // MANY * MANY
    for b in range(0, many, MANY):
        row_blocks(out.ctypes.data + 16 * b, np.uint32(first + np.uint32(b)), s, r0, r1, k0, k1)
    for b in range(many, full):
        made = philox(np.uint32(first + np.uint32(b)), s, r0, r1, k0, k1)
        out[4 * b] = made[0]
        out[4 * b + 1] = made[1]
        out[4 * b + 2] = made[2]
        out[4 * b + 3] = made[3]
    if 4 * full < len(out):
        made = philox(np.uint32(first + np.uint32(full)), s, r0, r1, k0, k1)
        for p in range(4 * full, len(out)):
            out[p] = made[p - 4 * full]


@jit(fastmath=False)
def copy(source, first, out, n, count):
    """Append source[first : first + count] to out, which has n; return the new number."""
    for i in range(count):
        out[n + i] = source[first + i]
    return n + count


@jit(fastmath=False)
def fill_rows(key, step, rows, values):
    """Fill memory with the first words of each row, one row after the other."""
    out = values.view(np.uint32)
    count = len(out) // len(rows)
    if count >= SHORT:
        for i in range(len(rows)):
            for p in range(0, count, 4 << 20):
                fill_row(
                    key,
                    step,
                    rows[i],
                    p // 4,
                    out[i * count + p : min(i * count + p + (4 << 20), (i + 1) * count)],
                )
        return
    key = fold(key, step, STEP_DOMAIN)
    k0, k1, s = np.uint32(key), np.uint32(key >> np.uint64(32)), np.uint32(step)
    blocks = (count + 3) // 4
    per = GROUP // blocks  # rows at a time
    room = GROUP + 8  # `eight` writes beyond what is asked
    r0, r1, block = np.empty(room, np.uint32), np.empty(room, np.uint32), np.empty(room, np.uint32)
    made = np.empty(4 * GROUP, np.uint32)
    n = 0
    for _ in range(per):
        for b in range(blocks):
            block[n + b] = b
        n += blocks
    place = 0
    for begin in range(0, len(rows), per):
        some, n = rows[begin : begin + per], 0
        for row in some:
            for i in range(n, n + blocks, 8):
                eight(r0.ctypes.data + 4 * i, np.uint32(row))
                eight(r1.ctypes.data + 4 * i, np.uint32(row >> 32))
            n += blocks
        for i in range(0, n, MANY):
            addresses = block.ctypes.data + 4 * i, r0.ctypes.data + 4 * i, r1.ctypes.data + 4 * i
            mixed_blocks(made.ctypes.data + 16 * i, *addresses, s, k0, k1)
        if count == 4 * blocks:
            place = copy(made, 0, out, place, 4 * n)
        else:
            for i in range(len(some)):
                place = copy(made, 4 * i * blocks, out, place, count)
