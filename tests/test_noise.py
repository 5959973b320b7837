"""Laws of the address, as exact identities."""

import json
from pathlib import Path

import mpmath as mp
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import reparam as rp
from reparam.kernels.reference import philox4x32, words_at
from reparam.noise import LAWS, NoiseSpec

GOLDEN = Path(__file__).parent / "references" / "golden_noise.json"
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a, b)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(counter, key, expected):
    assert philox4x32(counter, key) == expected
    as_tensors = philox4x32([torch.tensor(c) for c in counter], [torch.tensor(k) for k in key])
    assert tuple(int(w) for w in as_tensors) == expected


def golden_draws() -> dict[str, list]:
    """Draws that pin every rule of the mapping from address to bits."""
    noise = rp.Noise(0)
    addresses = {
        "root": noise,
        "seed": rp.Noise(2**64 - 1),
        "child": noise.child("encoder"),
        "grandchild": noise.child("a").child("b"),
        "split": noise.split(3)[2],
        "at": noise.at(7),
        "at_large": noise.at(2**40 + 1),
        "nested": noise.child("t").at(3).at(5).child("x"),
        "rows": noise.child("z").at(2).rows(torch.tensor([0, 3, 2**40])),
    }
    draws: dict[str, list] = {name: n.bits((3, 3)).tolist() for name, n in addresses.items()}
    draws["uniform32"] = [x.hex() for x in noise.uniform((5,), dtype=torch.float32).tolist()]
    draws["uniform64"] = [x.hex() for x in noise.uniform((5,), dtype=torch.float64).tolist()]
    draws["permutation"] = noise.permutation(11).tolist()
    draws["randint"] = noise.randint(-3, 1000, (6,)).tolist()
    return draws


def test_golden_bits():
    """A change of these numbers is a change of the stream: a major version."""
    assert golden_draws() == json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("law", ["bits", *LAWS])
def test_rows_hold_the_same_numbers_in_any_batch(law):
    index = torch.tensor([5, 0, 2**40, 2**40 + 1, 7])
    noise = rp.Noise(3).child("x").at(1)
    whole = getattr(noise.rows(index), law)((5, 3, 2))
    for pick in ([2, 0], [4], [1, 1, 3], []):
        part = getattr(noise.rows(index[pick]), law)((len(pick), 3, 2))
        assert equal(part, whole[pick])
    one_row = getattr(noise.rows(torch.tensor(2**40)), law)((3, 2))
    assert equal(one_row, whole[2])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [None, torch.tensor([9, 4])])
def test_more_samples_keep_the_first_ones(dtype, rows):
    noise = rp.Noise(1) if rows is None else rp.Noise(1).rows(rows)
    few = noise.draw(NoiseSpec("normal", (3, 2, 5), 1, dtype))
    many = noise.draw(NoiseSpec("normal", (7, 2, 5), 1, dtype))
    assert equal(many[:3], few)


def test_rows_label_the_axis_after_the_sample_axes():
    noise, index = rp.Noise(1), torch.tensor([4, 8, 6])
    draw = noise.rows(index).draw(NoiseSpec("uniform", (2, 3, 5), 1))
    single = noise.rows(index[1:2]).draw(NoiseSpec("uniform", (2, 1, 5), 1))
    assert equal(draw[:, 1:2], single)
    # position within a row counts the sample axis first, then the event
    flat = noise.rows(index).uniform((3, 10))
    assert equal(draw.movedim(1, 0).reshape(3, 10), flat)


def test_order_of_drawing_does_not_matter():
    noise = rp.Noise(5)
    first, second = noise.child("a").normal((9,)), noise.child("b").normal((9,))
    again_second, again_first = noise.child("b").normal((9,)), noise.child("a").normal((9,))
    assert equal(first, again_first)
    assert equal(second, again_second)
    assert not torch.equal(first, second)


def test_every_bit_of_the_seed_matters():
    seeds = [0, *(1 << k for k in range(64))]
    draws = {tuple(rp.Noise(seed).bits((4,)).tolist()) for seed in seeds}
    assert len(draws) == 65
    as_tensor = rp.Noise(torch.tensor(-(1 << 63))).bits((4,))
    assert equal(as_tensor, rp.Noise(1 << 63).bits((4,)))


def test_addresses_differ():
    noise = rp.Noise(0)
    addresses = [
        noise,
        noise.at(0),
        noise.at(1),
        noise.at(2**32),
        noise.at(2**32 + 1),
        noise.at(0).at(0),
        noise.at(1).at(2),
        noise.at(2).at(1),
        noise.child(""),
        noise.child("a"),
        noise.child("ab"),
        noise.child("a").child("b"),
        noise.child("a").at(0),
        noise.at(0).child("a"),
        noise.child("0"),
        *noise.split(2),
        noise.child("-1"),
        rp.Noise(1),
        noise.rows(torch.tensor(1)),
        noise.rows(torch.tensor(1 << 32)),
    ]
    assert len({tuple(a.bits((4,)).tolist()) for a in addresses}) == len(addresses)
    assert noise.split(5)[:2] == noise.split(2)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
@settings(max_examples=40, deadline=None)
def test_ints_and_tensors_are_one_address(seed, step, inner):
    as_int = rp.Noise(seed).child("x").at(step).at(inner)
    as_tensor = rp.Noise(torch.tensor(seed)).child("x").at(torch.tensor(step)).at(torch.tensor(inner))
    assert equal(as_int.bits((5,)), as_tensor.bits((5,)))


def test_positions_beyond_32_bits_by_address_arithmetic():
    key, step, row = torch.tensor(11), torch.tensor(2), torch.tensor(0)
    start = torch.arange(8)
    near = words_at(key, row, step, start)
    far = words_at(key, row, step, start + (1 << 34))  # the block number passes 2^32
    edge = words_at(key, row, step, start + (1 << 34) - 4)
    assert not torch.equal(near, far)
    assert torch.equal(edge[4:], far[:4])
    assert torch.equal(words_at(key, row, step, start + (1 << 34) - 4)[:4], edge[:4])


def test_words_match_words_at():
    noise = rp.Noise(4).child("w").at(9)
    key = torch.tensor(noise._path_key() - (1 << 64 if noise._path_key() >> 63 else 0))
    direct = words_at(key, torch.tensor(0), torch.tensor(9), torch.arange(13))
    assert torch.equal(noise.bits((13,)), direct)


def test_uniform_is_open_and_on_an_exact_grid():
    from reparam.kernels.reference.laws import from_words

    ends = torch.tensor([[0, 0], [0xFFFFFFFF, 0xFFFFFFFF]])
    for dtype in DTYPES:
        words = ends if dtype == torch.float64 else ends[:, :1]
        low, high = from_words("uniform", words, dtype).tolist()
        assert 0 < low < 0.01
        assert 0.99 < high < 1
        assert low == 1 - high


def exact_normal(word: int, bits: int) -> mp.mpf:
    y = (mp.mpf(word) + 0.5) / mp.mpf(2) ** bits - mp.mpf(1) / 2
    p = mp.mpf(1) / 2 - abs(y)
    if p > 1e-8:
        z = mp.sqrt(2) * mp.erfinv(2 * abs(y))
    else:
        z = mp.findroot(lambda t: mp.log(mp.ncdf(-t)) - mp.log(p), mp.sqrt(-2 * mp.log(p)))
    return z if y > 0 else -z


def test_normal_is_within_2_ulp_of_the_exact_map():
    from reparam.kernels.reference.laws import from_words

    with mp.workdps(40):
        for dtype, bits, limit in ((torch.float64, 64, 2.0), (torch.float32, 32, 0.51)):
            words = [int(2**bits * k / 151) for k in range(151)]
            words += [
                int(mp.mpf(2) ** bits * mp.mpf(10) ** -(mp.mpf(k) / 8)) for k in range(1, int(bits * 2.4))
            ]
            words += [1 << k for k in range(bits)] + [(1 << bits) - 1 - (1 << k) for k in range(bits)]
            words += [(1 << bits - 1) + (1 << k) for k in range(bits - 1)] + [0, (1 << bits) - 1]
            table = torch.tensor([[w & 0xFFFFFFFF, w >> 32] for w in words])[:, : bits // 32]
            drawn = from_words("normal", table, dtype)
            ulp = (torch.nextafter(drawn.abs(), torch.tensor(torch.inf, dtype=dtype)) - drawn.abs()).double()
            errors = [
                abs(mp.mpf(z) - exact_normal(w, bits)) / u
                for z, w, u in zip(drawn.double().tolist(), words, ulp.tolist())
            ]
            assert max(errors) <= limit


@pytest.mark.parametrize(
    ("law", "quantile"),
    [
        ("exponential", lambda u: -mp.log1p(-u)),
        ("gumbel", lambda u: -mp.log(-mp.log(u))),
        ("logistic", lambda u: mp.log(u / (1 - u))),
        ("laplace", lambda u: mp.log(2 * u) if u < 0.5 else -mp.log(2 * (1 - u))),
        ("cauchy", lambda u: mp.tan(mp.pi * (u - mp.mpf(1) / 2))),
    ],
)
def test_other_laws_match_their_quantile_in_both_tails(law, quantile):
    from reparam.kernels.reference.laws import from_words

    words = [
        0,
        1,
        5,
        1 << 31,
        1 << 63,
        (1 << 63) - 1,
        (1 << 63) + 12345,
        (1 << 64) - 1,
        3 << 62,
        1 << 62,
        1 << 50,
    ]
    table = torch.tensor([[w & 0xFFFFFFFF, w >> 32] for w in words])
    with mp.workdps(40):
        for w, x in zip(words, from_words(law, table, torch.float64).tolist()):
            exact = quantile((mp.mpf(w) + 0.5) / mp.mpf(2) ** 64)
            assert abs(mp.mpf(x) / exact - 1) < 2e-15


def test_a_complemented_word_gives_the_mirrored_number():
    from reparam.kernels.reference.laws import from_words

    words = rp.Noise(0).bits((1000, 2))
    for law in ("normal", "logistic", "laplace", "cauchy", "rademacher"):
        for width in (1, 2):
            w = words[:, :width]
            there, back = (from_words(law, v, torch.float64) for v in (w, 0xFFFFFFFF - w))
            assert torch.equal(there, -back)


def test_permutation_and_randint():
    noise = rp.Noise(2)
    assert torch.equal(noise.permutation(1000).sort().values, torch.arange(1000))
    draws = noise.randint(-2, 5, (70_000,))
    counts = torch.bincount(draws + 2, minlength=7)
    # chi-square with 6 degrees of freedom: 38.0 is passed with probability 1e-6
    assert float(((counts - 1e4) ** 2 / 1e4).sum()) < 38.0
    wide = noise.randint(-(2**61), 2**61, (1000,))
    assert int(wide.min()) < -(2**60)
    assert int(wide.max()) > 2**60
    exact = [((w[1] << 32 | w[0]) * 1000 >> 64) for w in noise.bits((50, 2)).tolist()]
    assert noise.randint(0, 1000, (50,)).tolist() == exact


def test_torch_generator_state_does_not_move():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    rp.Noise(0).normal((5,))
    assert torch.equal(before, torch.get_rng_state())


def test_from_generator_takes_64_bits_and_moves_on():
    generator = torch.Generator().manual_seed(0)
    first, second = rp.Noise.from_generator(generator), rp.Noise.from_generator(generator)
    assert first != second
    assert first == rp.Noise.from_generator(torch.Generator().manual_seed(0))
    assert first.seed >> 32
    assert first.seed & 0xFFFFFFFF


def test_noise_is_a_value():
    assert rp.Noise(1).child("a").at(2) == rp.Noise(1).child("a").at(2)
    assert rp.Noise(1) != rp.Noise(2)
    assert len({rp.Noise(1).child("a"), rp.Noise(1).child("a")}) == 1
    assert repr(rp.Noise(1).child("a").at(2)) == "Noise(1).child('a').at(2)"
    with pytest.raises(AttributeError):
        rp.Noise(1).seed = 2


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (5,), (2, 3)])
@pytest.mark.parametrize("law", ["bits", *LAWS])
def test_shapes(law, shape):
    assert getattr(rp.Noise(0), law)(shape).shape == shape


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: rp.Noise(-1), ValueError, "seed must be in"),
        (lambda: rp.Noise(1 << 64), ValueError, "seed must be in"),
        (lambda: rp.Noise(1.5), TypeError, "seed must be an int"),
        (lambda: rp.Noise(True), TypeError, "got bool"),
        (lambda: rp.Noise(torch.tensor(1.0)), TypeError, "must be int64"),
        (lambda: rp.Noise(0).child(3), TypeError, "name must be a string"),
        (lambda: rp.Noise(0).at(-1), ValueError, "step must be in"),
        (lambda: rp.Noise(0).at(0.5), TypeError, "step must be an int"),
        (lambda: rp.Noise(0).rows([1]).rows([1]), ValueError, "rows already"),
        (lambda: rp.Noise(0).rows(torch.tensor([1.0])), TypeError, "int64"),
        (lambda: rp.Noise(0).rows([1, 2]).normal((3,)), ValueError, "one entry per row"),
        (lambda: rp.Noise(0).rows([1, 2]).normal(()), ValueError, "needs a batch axis"),
        (lambda: rp.Noise(0).rows([1]).permutation(3), ValueError, "no rows"),
        (lambda: rp.Noise(0).normal((2,), dtype=torch.int64), TypeError, "dtype must be"),
        (lambda: rp.Noise(0).bits((2,), dtype=torch.float32), TypeError, "dtype must be"),
        (lambda: rp.Noise(0).randint(3, 3, (2,)), ValueError, "low < high"),
        (lambda: rp.Noise(0).randint(0, 300, (2,), dtype=torch.uint8), TypeError, "integer type that holds"),
        (lambda: rp.Noise(0).split(-1), ValueError, "count"),
        (lambda: rp.Noise.from_generator(3), TypeError, "torch.Generator"),
        (lambda: rp.Noise(0).draw(NoiseSpec("beta", (2,))), ValueError, "law must be one of"),
    ],
)
def test_errors_teach(call, error, words):
    with pytest.raises(error, match=words):
        call()
