"""Triton's kernels on the CPU, by Triton's interpreter, against the reference: test_gpu.py runs this file.

TRITON_INTERPRET=1 python -m pytest tests/kernels/gpu_interpreted.py
"""

import pytest
import torch

import reparam as rp
from reparam.kernels import reference
from reparam.kernels.cpu import gaussian as cpu_gaussian
from reparam.kernels.gpu import draw, draw_at, gaussian
from reparam.kernels.gpu.draw import launch
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
    (torch.arange(5).flip(0), (2, 5, 133), 1),
]
FLOATS = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


@pytest.mark.parametrize(
    ("law", "dtype"),
    [("bits", torch.int64), ("bits", torch.uint32), ("bits64", torch.int64), ("rademacher", torch.float32)]
    + [("uniform", d) for d in FLOATS],
)
def test_same_bits_as_the_reference_at_every_address(law, dtype):
    for index, shape, sample_ndim in FORMS:
        made = draw(law, KEY, STEP, index, shape, sample_ndim, dtype)
        wanted = reference.draw(law, KEY, STEP, index, shape, sample_ndim, dtype)
        assert made.dtype == dtype
        assert made.shape == wanted.shape
        assert made.tolist() == wanted.tolist()


@pytest.mark.parametrize("law", [law for law in LAWS if law not in ("uniform", "rademacher")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_same_numbers_to_2_ulp(law, dtype):
    """The float64 reference of a law is itself right to 2 ulp of its dtype, or, near a zero of the law, to 1e-15."""
    for index, shape in ((None, (1001,)), (torch.tensor([3, 1 << 40]), (2, 5))):
        made, wanted = (f(law, KEY, STEP, index, shape, 0, dtype) for f in (draw, reference.draw))
        size = wanted.abs()
        ulp = (torch.nextafter(size, torch.tensor(torch.inf, dtype=dtype)) - size).double()
        assert bool(((made.double() - wanted.double()).abs() <= 2 * ulp + 1e-15).all())
        if law == "normal":  # +, -, * and / alone: every bit
            assert made.tolist() == wanted.tolist()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_numbers_are_rounded_float32_ones(dtype):
    made, wanted = (f("gumbel", KEY, STEP, None, (333,), 0, dtype) for f in (draw, reference.draw))
    assert made.tolist() == wanted.tolist()


def test_keys_and_steps_as_numbers():
    made = draw_at("uniform", KEY.item(), STEP.item(), None, (9,), 0, torch.float32, torch.device("cpu"))
    assert torch.equal(made, draw("uniform", KEY, STEP, None, (9,), 0, torch.float32))
    # from 2^31 to 2^32 the interpreter (not the compiler, which takes the annotation) reads a number as 32 bits
    for step in (0, 1, -1, 1 << 40):
        made = draw_at("bits", KEY.item(), step, None, (9,), 0, torch.int64, torch.device("cpu"))
        assert torch.equal(made, draw("bits", KEY, torch.tensor(step), None, (9,), 0, torch.int64))


def test_blocks_beyond_32_bits():
    """The block number folds into the key: checked by arithmetic on the address, not by filling memory."""
    for block in ((1 << 32) - 8, 1 << 32, (5 << 32) + 16):
        out = torch.empty(64, dtype=torch.int64)
        launch("bits", out, KEY, STEP, torch.tensor(9), 1, 64, start=block)
        wanted = reference.words_at(KEY, torch.tensor(9), STEP, 4 * block + torch.arange(64))
        assert out.tolist() == wanted.tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("shape", "index", "n"),
    [
        ((37, 20), None, 20),
        ((5, 3, 7), torch.arange(5), 7),
        ((5, 3, 7), torch.tensor([9, 1 << 40, 2, 3, 4]), 21),
        ((5, 3, 7), None, 1),
        ((3, 1030), torch.arange(3), 1030),
    ],
)
def test_the_fused_gaussian_layer_is_the_one_of_the_cpu(shape, index, n, dtype):
    loc, log_scale, grad_z = (rp.Noise(1).child(k).normal(shape, dtype=dtype) for k in "abc")
    grad_kl = rp.Noise(2).normal((loc.numel() // n,), dtype=dtype)
    key, step = KEY.item(), STEP.item()
    made = gaussian.forward(loc, log_scale, n, (KEY, step, index))
    made += gaussian.backward(loc, log_scale, n, (key, STEP, index), grad_z, grad_kl)
    address = (key, step, None if index is None else index.numpy())
    wanted = cpu_gaussian.forward(loc, log_scale, n, address)
    wanted += cpu_gaussian.backward(loc, log_scale, n, address, grad_z, grad_kl)
    tight = 2e-6 if dtype == torch.float32 else 1e-14
    torch.testing.assert_close(made, wanted, rtol=tight, atol=10 * tight)


@pytest.mark.filterwarnings("ignore:(overflow|invalid value|divide by zero):RuntimeWarning")
def test_extreme_scales():
    log_scale = torch.tensor([[-200.0, -95.0, -30.0, 0.0, 30.0, 80.0, 1000.0, torch.nan, -torch.inf]])
    z, _ = gaussian.forward(torch.zeros(1, 9), log_scale, 9, (KEY, STEP, None))
    wanted = log_scale.exp() * draw("normal", KEY, STEP, None, (1, 9), 0, torch.float32)
    torch.testing.assert_close(z, wanted, rtol=1e-6, atol=1e-43, equal_nan=True)
