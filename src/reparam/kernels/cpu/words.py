# mypy: allow-untyped-defs
"""Words of Philox4x32-10 by Numba: the same bits as `reference.philox`, a vector of blocks at a time.

The ten rounds are written as LLVM instructions on 32-bit integers with one widening product each, so that the
loop over blocks becomes vector code.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from reparam.kernels.cpu.jit import jit
from reparam.kernels.reference.philox import BLOCK_DOMAIN, MULTIPLIERS, ROUNDS, STEP_DOMAIN, WEYL

SHORT = 128  # words: rows shorter than this share vectors with their neighbours
GROUP = 256  # blocks of short rows made at once


@intrinsic
def _philox(typing, c0, c1, c2, c3, k0, k1):
    """Return the four words of Philox4x32-10, all arguments uint32."""
    word, wide = ir.IntType(32), ir.IntType(64)
    low, shift = wide(0xFFFFFFFF), wide(32)

    def build(context, builder, signature, arguments):
        # 32-bit values in 64-bit lanes: the widening product of vector units reads just the low half of a lane
        c0, c1, c2, c3 = (builder.zext(c, wide) for c in arguments[:4])
        k0, k1 = arguments[4:]
        for _ in range(ROUNDS):
            first = builder.mul(builder.and_(c0, low), wide(MULTIPLIERS[0]))
            second = builder.mul(builder.and_(c2, low), wide(MULTIPLIERS[1]))
            c0 = builder.xor(builder.xor(c1, builder.zext(k0, wide)), builder.lshr(second, shift))
            c2 = builder.xor(builder.xor(c3, builder.zext(k1, wide)), builder.lshr(first, shift))
            c1, c3 = second, first
            k0, k1 = builder.add(k0, word(WEYL[0])), builder.add(k1, word(WEYL[1]))
        c0, c1, c2, c3 = (builder.trunc(c, word) for c in (c0, c1, c2, c3))
        return context.make_tuple(builder, signature.return_type, (c0, c1, c2, c3))

    return types.UniTuple(types.uint32, 4)(*([types.uint32] * 6)), build


philox: Any = _philox


@jit(fastmath=False)
def derive(key, value, domain):
    """Return the 64-bit key (uint64) that a key and a 64-bit value give in one domain."""
    words = philox(
        np.uint32(value),
        np.uint32(np.uint64(value) >> np.uint64(32)),
        np.uint32(0),
        np.uint32(domain),
        np.uint32(key),
        np.uint32(np.uint64(key) >> np.uint64(32)),
    )
    return np.uint64(words[1]) << np.uint64(32) | np.uint64(words[0])


@jit(fastmath=False)
def fold(key, value, domain):
    """Return the key with what lies beyond 32 bits of the value folded in."""
    high = np.uint64(value) >> np.uint64(32)
    return derive(key, high, domain) if high else np.uint64(key)


@jit(fastmath=False)
def fill_row(key, step, row, start, out):
    """Write the words of one row from block `start` on; the blocks share their bits above 2^32."""
    key = fold(fold(key, step, STEP_DOMAIN), start, BLOCK_DOMAIN)
    k0, k1, s = np.uint32(key), np.uint32(key >> np.uint64(32)), np.uint32(step)
    r0, r1 = np.uint32(row), np.uint32(np.uint64(row) >> np.uint64(32))
    first, full = np.uint32(start), len(out) // 4
    for b in range(full):
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
def fill_rows(key, step, rows, count, out):
    """Write the first `count` words of each row, one row after the other."""
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
    blocks, r, b, place = (count + 3) // 4, 0, 0, 0
    r0, r1, block = np.empty(GROUP, np.uint32), np.empty(GROUP, np.uint32), np.empty(GROUP, np.uint32)
    made = np.empty(4 * GROUP, np.uint32)
    total = blocks * len(rows)
    for begin in range(0, total, GROUP):
        m = min(GROUP, total - begin)
        first = b
        for i in range(m):
            r0[i], r1[i], block[i] = np.uint32(rows[r]), np.uint32(rows[r] >> 32), np.uint32(b)
            b += 1
            if b == blocks:
                b, r = 0, r + 1
        for i in range(m):
            words = philox(block[i], s, r0[i], r1[i], k0, k1)
            made[4 * i] = words[0]
            made[4 * i + 1] = words[1]
            made[4 * i + 2] = words[2]
            made[4 * i + 3] = words[3]
        place = _copy(made, m, first, blocks, count, place, out)


@jit(fastmath=False)
def _copy(made, m, block, blocks, count, place, out):
    """Copy m blocks, the first being number `block` of its row, to `out` from `place` on; drop what rows lack."""
    if 4 * blocks == count:
        out[place : place + 4 * m] = made[: 4 * m]
        return place + 4 * m
    for i in range(m):
        keep = min(4, count - 4 * block)
        for j in range(keep):
            out[place + j] = made[4 * i + j]
        place += keep
        block += 1
        if block == blocks:
            block = 0
    return place
