"""Numba's draws are the reference's draws: same words, same uniforms, every address form, law and dtype."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from reparam.kernels import reference
from reparam.kernels.cpu import draw, fill, normal, philox, words
from reparam.noise import LAWS

KEY, STEP = torch.tensor(-12345678901234567), torch.tensor((7 << 32) + 5)
FORMS = [
    (None, (1001,), 0),
    (None, (), 0),
    (None, (3, 0, 2), 0),
    (torch.tensor(1 << 40), (5, 3), 0),
    (torch.tensor([3, 1 << 40, 5]), (3, 5), 0),
    (torch.tensor([3, 1 << 40, 5]), (2, 3, 4), 1),
    (torch.arange(300), (300,), 0),
    (torch.arange(300), (300, 33), 0),
    (torch.arange(5).flip(0), (2, 5, 133), 1),
    (None, (fill.PIECE + 1001,), 0),
    (torch.tensor([3, 1 << 40]), (2, fill.PIECE + 1001), 0),  # pieces of a row
]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def pairs(law, dtype):
    for index, shape, sample_ndim in FORMS:
        made = draw.draw(law, KEY, STEP, index, shape, sample_ndim, dtype)
        wanted = reference.draw(law, KEY, STEP, index, shape, sample_ndim, dtype)
        assert made.shape == wanted.shape
        assert made.dtype == dtype
        yield made, wanted


@pytest.mark.parametrize(
    ("law", "dtype"),
    [("bits", d) for d in (torch.int64, torch.int32, torch.uint32)]
    + [("bits64", torch.int64)]
    + [(law, d) for law in ("uniform", "rademacher") for d in DTYPES]
    + [("normal", torch.float64)],
)
def test_same_bits_as_the_reference(law, dtype):
    for made, wanted in pairs(law, dtype):
        assert made.tolist() == wanted.tolist()


@pytest.mark.parametrize("law", [law for law in LAWS if law not in ("uniform", "rademacher")])
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_numbers_to_2_ulp(law, dtype):
    """The float64 reference of a law is itself right to 2 ulp of its dtype, or, near a zero of the law, to 1e-15."""
    for made, wanted in pairs(law, dtype):
        size = wanted.abs()
        ulp = (torch.nextafter(size, torch.tensor(torch.inf, dtype=dtype)) - size).double()
        error = (made.double() - wanted.double()).abs()
        both_infinite = size.isinf() & (made == wanted)  # Cauchy numbers beyond the range of float16
        assert bool((both_infinite | (error <= 2 * ulp + 1e-15)).all())


KEYS = torch.tensor([[KEY.item(), 7, -1], [1 << 40, 0, 3]])
STEPS = torch.tensor([[STEP.item(), 0, 1], [-5, 1 << 32, 9]])


@pytest.mark.parametrize(
    ("law", "dtype"),
    [("bits", torch.int64), ("bits", torch.uint32), ("bits64", torch.int64)]
    + [(law, d) for law in ("uniform", "normal", "cauchy") for d in DTYPES],
)
@pytest.mark.parametrize(
    ("index", "shape"),
    [
        (None, (5, 3)),
        (None, (fill.PIECE + 3,)),
        (None, (0, 3)),
        (torch.arange(6).view(2, 3) << 30, (4,)),
        (torch.arange(12).view(2, 3, 2) << 30, (2, 131)),
        (torch.arange(3 * 3000 * 2).view(2, 3, 3000), (3000, 3)),
    ],
)
def test_draws_of_many_keys_are_the_draws_of_each(law, dtype, index, shape):
    made = draw.draw_keys(law, KEYS, STEPS, index, shape, dtype)
    assert made.shape == (2, 3, *shape)
    for i in range(2):
        for j in range(3):
            rows = None if index is None else index[i, j]
            wanted = draw.draw(law, KEYS[i, j], STEPS[i, j], rows, shape, 0, dtype)
            assert made[i, j].tolist() == wanted.tolist()


def test_keys_of_many_seeds_and_values_are_the_reference_s():
    seeds, values = KEYS.view(-1), STEPS.view(-1)
    made = np.empty((2, 6), np.int64)
    philox.path_keys(seeds.numpy(), 1, 1 << 31, 3, (1 << 32) - 1, made[0])
    philox.derive_all(seeds.numpy(), values.numpy(), 0x80000003, made[1])
    assert made[0].tolist() == reference.philox.path_key(seeds, (1, 1 << 31, 3, (1 << 32) - 1)).tolist()
    assert made[1].tolist() == reference.philox.derive(seeds, values, 0x80000003).tolist()


def test_blocks_beyond_32_bits():
    """The block number folds into the key: checked by arithmetic on the address, not by filling memory."""
    for block in ((1 << 32) - 8, 1 << 32, (5 << 32) + 16):
        out = np.empty(32, np.uint32)
        words.fill_row(KEY.item(), STEP.item(), 9, block, out)
        wanted = reference.words_at(KEY, torch.tensor(9), STEP, 4 * block + torch.arange(32))
        assert out.tolist() == wanted.tolist()


def test_threads_do_not_change_a_number():
    count = torch.get_num_threads()
    try:
        for index, shape in ((None, (300_001,)), (torch.arange(3001), (3001, 101))):
            made = []
            for threads in (1, 2):
                torch.set_num_threads(threads)
                made.append(draw.draw("normal", KEY, STEP, index, shape, 0, torch.float32))
            assert torch.equal(*made)
    finally:
        torch.set_num_threads(count)


def normal_errors(word):
    """Return the errors, in ulp of float32, of the float32 normals of an array of 32-bit words."""
    made = word.astype(np.uint32).view(np.float32).copy()
    normal.map32(made)
    # half a unit of the 32-bit word, the rest being far below an ulp of float32
    wide = ((word.astype(np.uint64) << np.uint64(32)) + np.uint64(1 << 31)).view(np.float64).copy()
    normal.map64(wide)
    return np.abs(made - wide) / np.spacing(np.abs(wide).astype(np.float32)), made


def test_float32_normals_are_within_2_ulp_and_odd():
    step = 2**32 // 200_003
    near = np.arange(2**12)
    for word in (np.arange(0, 2**32, step), near, 2**31 - 2**11 + near, 2**32 - 1 - near, 102_004_000 + near):
        errors, made = normal_errors(word)
        assert errors.max() <= 2.0
        assert np.array_equal(made, -normal_errors(2**32 - 1 - word)[1])


@pytest.mark.stats
@pytest.mark.timeout(1800)
def test_every_float32_normal_is_within_2_ulp():
    """All 2^32 words, once: the largest error is below 2 ulp."""
    worst = 0.0
    for start in range(0, 2**31, 1 << 24):  # the other half is the mirror image, exactly
        errors, made = normal_errors(np.arange(start, start + (1 << 24), dtype=np.uint64))
        worst = max(worst, float(errors.max()))
        mirrored = (2**32 - 1 - np.arange(start, start + (1 << 24), dtype=np.uint64)).astype(np.uint32)
        other = mirrored.view(np.float32).copy()
        normal.map32(other)
        assert np.array_equal(made, -other)
    assert worst <= 2.0


PRINT_BITS = """
import hashlib, torch, reparam as rp
from reparam.noise import LAWS
n = rp.Noise(0)
for noise, shape in ((n, (9999,)), (n.rows(torch.arange(333)), (333, 7))):
    for law in LAWS:
        for dtype in (torch.float32, torch.float64):
            made = getattr(noise, law)(shape, dtype=dtype)
            print(law, dtype, hashlib.sha256(made.numpy().tobytes()).hexdigest())
print(hashlib.sha256(n.bits((999,)).numpy().tobytes()).hexdigest())
"""


def test_a_cpu_without_vector_units_gives_the_same_bits(tmp_path):
    base = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    generic = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    made = {
        subprocess.run(
            [sys.executable, "-c", PRINT_BITS],
            env={**base, **extra},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for extra in ({}, generic)
    }
    assert len(made) == 1
