# mypy: allow-untyped-defs
"""Words of Philox4x32-10 by Triton: the same bits as `reference.philox`, one block of four words per lane."""

import triton
import triton.language as tl

from reparam.kernels.reference import philox as definition

M0, M1 = (tl.constexpr(m) for m in definition.MULTIPLIERS)
W0, W1 = (tl.constexpr(w) for w in definition.WEYL)
ROUNDS = tl.constexpr(definition.ROUNDS)
STEP_DOMAIN = tl.constexpr(definition.STEP_DOMAIN)
BLOCK_DOMAIN = tl.constexpr(definition.BLOCK_DOMAIN)


@triton.jit
def philox4x32(c0, c1, c2, c3, k0, k1):
    """Return the four words of Philox4x32-10, all arguments uint32."""
    for _ in tl.static_range(ROUNDS):
        high0, high1 = tl.umulhi(c0, M0), tl.umulhi(c2, M1)
        low0, low1 = tl.mul(c0, M0, sanitize_overflow=False), tl.mul(c2, M1, sanitize_overflow=False)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 = tl.add(k0, W0, sanitize_overflow=False)
        k1 = tl.add(k1, W1, sanitize_overflow=False)
    return c0, c1, c2, c3


@triton.jit
def low_half(value):
    """Return the low 32 bits of an int64 as uint32."""
    return (value & 0xFFFFFFFF).to(tl.uint32)


@triton.jit
def high_half(value):
    """Return the high 32 bits of an int64 as uint32."""
    return ((value >> 32) & 0xFFFFFFFF).to(tl.uint32)


@triton.jit
def folded(key, value, DOMAIN: tl.constexpr):
    """Return the key (int64) with what lies beyond 32 bits of the value folded in."""
    high = high_half(value)
    zero = tl.zeros_like(high)
    w0, w1, _w2, _w3 = philox4x32(
        high, zero, zero, zero + DOMAIN, low_half(key) + zero, high_half(key) + zero
    )
    made = (w1.to(tl.int64) << 32) | w0.to(tl.int64)
    return tl.where(high == 0, key, made)


@triton.jit
def words_at(key, step, row, block, FOLD: tl.constexpr):
    """Return the four words of each block (int64) of each row (int64) at a key that the step is folded into.

    FOLD: whether a block number may exceed 32 bits.
    """
    if FOLD:
        key = folded(key + tl.zeros_like(block), block, BLOCK_DOMAIN)
    zero = tl.zeros_like(low_half(block))
    return philox4x32(
        low_half(block),
        low_half(step) + zero,
        low_half(row) + zero,
        high_half(row) + zero,
        low_half(key) + zero,
        high_half(key) + zero,
    )


@triton.jit
def scalar(value, pointer):
    """Return an int64 that was passed as a number, or lies in memory of the device."""
    if pointer is None:
        return value.to(tl.int64)
    else:
        return tl.load(pointer)


@triton.jit
def four(w0, w1, w2, w3, SHAPE: tl.constexpr):
    """Return four words of each block as consecutive elements of an array of a shape."""
    return tl.reshape(tl.join(tl.join(w0, w2), tl.join(w1, w3)), SHAPE)
