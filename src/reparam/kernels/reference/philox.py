"""The counter-based generator Philox4x32-10 and the address of every word it makes.

A 32-bit word lives in an int64 tensor, as a value in [0, 2^32). A 64-bit key, seed, step or row is an int64
tensor whose bit pattern is meant (two's complement).

    counter = (block, step, row low, row high)          key = (key low, key high)
    word p of a row = output p mod 4 of block p // 4

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011), `salmon2011`.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10

# Counters of derived keys have their highest row bit set: no row number, which is below 2^63, meets them.
STEP_DOMAIN = 0x80000001
BLOCK_DOMAIN = 0x80000002
NEST_DOMAIN = 0x80000003

Word = Any  # a Tensor, or an int: every function here serves both
Address = tuple[Word, Word, Word, Word]


def philox4x32(counter: Address, key: tuple[Word, Word]) -> Address:
    """Return the four words of Philox4x32-10, elementwise over broadcast int64 tensors or ints."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        product0, product1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (product1 >> 32 & MASK) ^ c1 ^ k0,
            product1 & MASK,
            (product0 >> 32 & MASK) ^ c3 ^ k1,
            product0 & MASK,
        )
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return c0, c1, c2, c3


def halves(value: Word) -> tuple[Word, Word]:
    """Return the low and the high 32 bits of a 64-bit value."""
    return value & MASK, value >> 32 & MASK


def join(low: Word, high: Word) -> Word:
    """Return the 64-bit value with the given halves; an int64 tensor takes the sign of bit 63."""
    return high << 32 | low


def derive(key: Word, value: Word, domain: int) -> Word:
    """Return the 64-bit key that a key and a 64-bit value give in one domain."""
    low, high = halves(value)
    words = philox4x32((low, high, 0, domain), halves(key))
    return join(words[0], words[1])


def path_key(seed: Word, digest: tuple[int, int, int, int]) -> Word:
    """Return the key of a path: the first 64 bits of Philox(key = seed, counter = digest of the path)."""
    words = philox4x32(digest, halves(seed))
    return join(words[0], words[1])


def fold(key: Word, value: Word, domain: int) -> tuple[Word, Word]:
    """Return (key, value mod 2^32); what lies beyond 32 bits of the value goes into the key."""
    low, high = halves(value)
    if isinstance(value, int):
        return (derive(key, high, domain), low) if high else (key, low)
    key = torch.as_tensor(key, device=value.device) if isinstance(key, Tensor) else int64(key, value.device)
    return torch.where(high == 0, key, derive(key, high, domain)), low


def int64(value: int, device: torch.device | str = "cpu") -> Tensor:
    """Return a 64-bit pattern as a 0-d int64 tensor."""
    return torch.tensor(value - (1 << 64) if value >> 63 else value, dtype=torch.int64, device=device)


def words_at(key: Word, row: Word, step: Word, position: Tensor) -> Tensor:
    """Return the word at each position (int64, of any size) of each row, elementwise."""
    key, step = fold(key, step, STEP_DOMAIN)
    key, block = fold(key, position >> 2, BLOCK_DOMAIN)
    outputs = philox4x32((block, step, *halves(row)), halves(key))
    lane = position & 3
    word = outputs[0]
    for number in (1, 2, 3):
        word = torch.where(lane == number, outputs[number], word)
    return word


def words(
    key: Tensor, step: Tensor, index: Tensor | None, shape: Sequence[int], sample_ndim: int, per_number: int
) -> Tensor:
    """Return the words of a draw, shape (*shape, per_number).

    Without `index` the draw is row 0 and positions count in C order. With `index` (int64, (B,) or ()), rows
    are the axis `sample_ndim` of `shape` (or the whole draw, for a 0-d index), and positions count the other
    axes in C order.
    """
    shape = tuple(shape)
    if index is None or index.ndim == 0:
        rows, row_shape = (
            torch.zeros((), dtype=torch.int64, device=key.device) if index is None else index,
            shape,
        )
    else:
        rows, row_shape = index[:, None, None], shape[:sample_ndim] + shape[sample_ndim + 1 :]
    count = math.prod(row_shape) * per_number
    rows = rows.to(key.device)
    if 0 in shape:
        return torch.zeros((*shape, per_number), dtype=torch.int64, device=key.device)
    if count >= 1 << 34:
        made = words_at(key, rows.reshape(-1, 1), step, torch.arange(count, device=key.device))
    else:
        key, step = fold(key, step, STEP_DOMAIN)
        blocks = torch.arange((count + 3) // 4, device=key.device)[:, None]
        outputs = philox4x32((blocks, step, *halves(rows)), halves(key))
        made = torch.cat(torch.broadcast_tensors(*outputs), -1).reshape(*rows.shape[:1], -1)[..., :count]
    if index is None or index.ndim == 0:
        return made.reshape(*shape, per_number)
    return made.reshape(-1, *row_shape, per_number).movedim(0, sample_ndim)


def multiply_high(words: Tensor, factor: Word) -> Tensor:
    """Return floor(w factor / 2^64) for words w read as unsigned 64-bit integers, 0 < factor < 2^63."""
    low, high = words & MASK, words >> 32 & MASK
    factor_low, factor_high = factor & MASK, factor >> 32
    carry = (low * factor_low) >> 32 & MASK
    middle = high * factor_low
    cross = low * factor_high
    carry = (carry + (middle & MASK) + (cross & MASK)) >> 32
    return high * factor_high + (middle >> 32 & MASK) + (cross >> 32 & MASK) + carry
