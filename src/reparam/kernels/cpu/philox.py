# mypy: allow-untyped-defs
"""Philox4x32-10 by Numba, a block at a time, and the keys of addresses: the same bits as `reference.philox`."""

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from reparam.kernels.cpu.jit import jit
from reparam.kernels.cpu.lanes import INT, WIDE, same
from reparam.kernels.reference.philox import MULTIPLIERS, ROUNDS, WEYL


def rounds(counter, keys):
    """Return the four words of Philox, in the low halves of 64-bit lanes: a widening product reads just these."""
    c0, c1, c2, c3 = counter
    for k0, k1 in keys:
        first, second = (c0 & 0xFFFFFFFF) * MULTIPLIERS[0], (c2 & 0xFFFFFFFF) * MULTIPLIERS[1]
        c0, c1 = (c1 ^ k0) ^ (second >> 32), second
        c2, c3 = (c3 ^ k1) ^ (first >> 32), first
    return c0, c1, c2, c3


def round_keys(builder, k0, k1, count):
    """Return the keys of the rounds as 64-bit lanes."""
    keys = []
    for _ in range(ROUNDS):
        keys.append(tuple(same(builder, builder.zext(k, WIDE), count) for k in (k0, k1)))
        k0, k1 = builder.add(k0, INT(WEYL[0])), builder.add(k1, INT(WEYL[1]))
    return keys


@intrinsic
def _philox(typing, c0, c1, c2, c3, k0, k1):
    """Return the four words of Philox4x32-10, all arguments uint32."""

    def build(context, builder, signature, arguments):
        counter = [same(builder, builder.zext(c, WIDE), 1) for c in arguments[:4]]
        made = rounds(counter, round_keys(builder, *arguments[4:], 1))
        words = [builder.trunc(builder.extract_element(c.value, INT(0)), INT) for c in made]
        return context.make_tuple(builder, signature.return_type, words)

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
def path_key(seed, d0, d1, d2, d3):
    """Return the key of a path whose digest has the words d0 .. d3 (int64)."""
    words = philox(
        np.uint32(d0),
        np.uint32(d1),
        np.uint32(d2),
        np.uint32(d3),
        np.uint32(seed),
        np.uint32(np.uint64(seed) >> np.uint64(32)),
    )
    return np.uint64(words[1]) << np.uint64(32) | np.uint64(words[0])


@jit(fastmath=False)
def fold(key, value, domain):
    """Return the key with what lies beyond 32 bits of the value folded in."""
    high = np.uint64(value) >> np.uint64(32)
    return derive(key, high, domain) if high else np.uint64(key)


@jit(fastmath=False)
def derive_all(keys, values, domain, derived):
    """Write `derive` of every key and value, arrays of one length."""
    for i in range(len(derived)):
        derived[i] = np.int64(derive(keys[i], values[i], domain))


@jit(fastmath=False)
def path_keys(seeds, d0, d1, d2, d3, keys):
    """Write `path_key` of every seed."""
    for i in range(len(keys)):
        keys[i] = np.int64(path_key(seeds[i], d0, d1, d2, d3))
