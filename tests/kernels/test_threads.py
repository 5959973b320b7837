"""The numbers and gradients of draws do not depend on how many threads made them."""

import pytest
import torch

import reparam as rp
from reparam import distributions as D
from reparam.kernels.cpu.threads import SERIAL_BELOW
from reparam.kernels.product import product, quotient

SIZE = SERIAL_BELOW + 12_345  # above the size from which threads share a draw; no whole number of pieces
NOISE = rp.Noise(20261130)


def parameters(*ranges):
    spread = [NOISE.child(str(k)).uniform((SIZE,)) for k in range(len(ranges))]
    return [(low + (high - low) * u).requires_grad_() for (low, high), u in zip(ranges, spread)]


FAMILIES = {
    "Gumbel": [(-1, 1), (0.5, 2)],
    "Exponential": [(0.5, 2)],
    "Weibull": [(0.5, 2), (0.3, 5)],
    "Kumaraswamy": [(0.3, 5), (0.3, 5)],
    "Gamma": [(0.1, 20), (0.5, 2)],
    "Beta": [(0.05, 5), (0.05, 5)],  # in part outside the fit
    "FisherSnedecor": [(0.5, 30), (0.5, 30)],
    "StudentT": [(0.1, 20), (-1, 1), (0.5, 2)],
}


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", FAMILIES)
def test_one_and_two_threads_give_the_same_bits(name, threads, monkeypatch):
    monkeypatch.setattr(rp.kernels.cpu.threads.config, "NUMBA_NUM_THREADS", 2)
    leaves, made = parameters(*FAMILIES[name]), []
    weights = NOISE.child("w").normal((SIZE,))
    for count in (1, 2):
        threads(count)
        z = getattr(D, name)(*leaves, validate_args=False).rsample(noise=NOISE)
        made.append([z.detach(), *torch.autograd.grad((weights * z).sum(), leaves)])
    for one, two in zip(*made):
        assert torch.equal(one, two)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_have_torch_s_bits(dtype, threads):
    slope, twice = (NOISE.child(k).normal((n,), dtype=dtype) for k, n in (("a", SIZE), ("b", 2 * SIZE)))
    for count in (1, 2):
        threads(count)
        for gradient in (twice[:SIZE], twice[0].expand(SIZE), twice[::2]):
            with torch.no_grad():
                assert torch.equal(product(gradient, slope), gradient * slope)
                for y in (1 + slope.square(), slope[:1], slope[0]):
                    ours, theirs = quotient(gradient, -1, slope, y), gradient * (-slope / y)
                    assert torch.equal(ours, theirs)
    moving = twice[:SIZE].clone().requires_grad_()
    assert product(moving, slope).requires_grad  # where somebody looks on, it is torch's product
