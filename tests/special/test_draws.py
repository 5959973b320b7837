"""Draws of Beta, the F ratio and Student's t: right, increasing in eps, with exact derivatives in every mode."""

import numpy as np
import pytest
import torch
from torch.func import grad, jacfwd, jacrev, vmap

from reparam.kernels import cpu
from reparam.special import draw

F64 = torch.float64
DRAWS = ("beta", "ratio", "student")


def numbers(name, count, seed, low=0.1, high=300.0):
    rng = np.random.default_rng(seed)
    spread = [torch.tensor(np.exp(rng.uniform(np.log(low), np.log(high), count))) for _ in range(2)]
    spread = [2 * s for s in spread] if name == "ratio" else spread  # degrees of freedom
    first = spread if name != "student" else [spread[0], spread[1], torch.tensor(rng.normal(size=count))]
    return [*first, torch.tensor(np.clip(rng.normal(size=count), -5, 5))]


def kernel(name, *given, moving=False):
    return getattr(cpu, f"{name}_draw")(*given, moving=moving)


@pytest.mark.parametrize("name", DRAWS)
def test_single_precision_is_double_rounded(name):
    """The fits are within 3e-8 of the double kernel, whose errors the reference tests bound; then one rounding."""
    given = [t.float() for t in numbers(name, 4000, seed=1)]
    right = kernel(name, *(t.double() for t in given), moving=True)
    for k, (value, correct) in enumerate(zip(kernel(name, *given, moving=True), right)):
        size = correct.abs()
        if name == "student" and k == 0:
            size = given[2].abs() + given[1] * ((correct - given[2]) / given[1]).abs()
        if name == "ratio" and k > 0:  # crosses zero: against the spread of a draw, z / parameter
            size = torch.maximum(size, right[0] / given[k - 1])
        if k == 0 and name != "student":  # the logit carries its own rounding into a small draw
            size = size * (1.0 + right[0].log().abs() * 0.3)
        error = ((value.double() - correct).abs() / size)[correct.abs() > 1e-35]
        assert error.max() < 1.5 * 2**-23, (name, k, error.max())


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("a", [0.05, 0.1, 0.3, 1.0, 2.5, 6.0, 10.0, 15.5, 40.0])
def test_draws_increase_with_eps_across_all_borders(a, dtype):
    eps = torch.linspace(-6.3, 6.3, 20_001, dtype=F64).to(dtype)
    for other in (0.07, 0.6, 3.0, 80.0):
        b = torch.full_like(eps, other)
        xi = cpu.beta_quantile(torch.full_like(eps, a), b, eps)
        slack = 0.0 if dtype == torch.float32 else 1e-13 * (1.0 + xi[1:].abs())
        assert (xi[1:] - xi[:-1] >= -slack).all(), (a, other)
    t = cpu.student_quantile(torch.full_like(eps, 2 * a), eps)
    slack = (
        0.0 if dtype == torch.float32 else 1e-13 * (1.0 + t[1:].abs())
    )  # of +-inf where the number overflows
    assert (t[1:] >= t[:-1] - slack).all()


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_the_same_bits_with_and_without_derivative(name, dtype):
    given = [t.to(dtype) for t in numbers(name, 3000, seed=3)]
    assert torch.equal(kernel(name, *given)[0], kernel(name, *given, moving=True)[0])


def test_neighbours_do_not_matter_in_the_fit():
    given = [t.float() for t in numbers("beta", 700, seed=4, low=0.3, high=100.0)]
    parts = [kernel("beta", *(g[i : i + 7] for g in given))[0] for i in range(0, 700, 7)]
    assert torch.equal(kernel("beta", *given)[0], torch.cat(parts))


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_extreme_draws_stay_in_the_support(dtype):
    rng = np.random.default_rng(5)
    size = 4000 if dtype == torch.float32 else 1000
    for low, high in ((1e-3, 1e-1), (1e-3, 1e5)):
        a, b = (
            torch.tensor(np.exp(rng.uniform(np.log(low), np.log(high), size))).to(dtype) for _ in range(2)
        )
        x, da, db = cpu.beta_draw(a, b, torch.tensor(rng.normal(size=size)).to(dtype), moving=True)
        assert ((x >= 0) & (x <= 1)).all()
        for slope in (da, -db):
            assert slope.isfinite().all()
            assert (slope >= 0).all()
    huge = torch.full((500,), 1e12, dtype=torch.float32)
    x, da, db = cpu.beta_draw(huge, huge, torch.linspace(-4, 4, 500), moving=True)
    assert ((x - 0.5).abs() < 1e-5).all()
    assert torch.stack((da, db)).isfinite().all()
    df = torch.tensor(np.exp(rng.uniform(np.log(1e-2), np.log(1e6), size))).to(dtype)
    t = cpu.student_quantile(df, torch.tensor(rng.normal(size=size)).to(dtype))
    assert not t.isnan().any()


def test_a_far_number_does_not_spoil_its_block():
    """The series of one far member once overflowed the products of the others, whose velocity was nan."""
    a = torch.tensor([6.59, 1172.1], dtype=F64)
    b = torch.tensor([21.58, 936.06], dtype=F64)
    xi = torch.tensor([0.3363, -1.4367], dtype=F64)
    for both, alone in zip(cpu.beta_velocity(a, b, xi), cpu.beta_velocity(a[:1], b[:1], xi[:1])):
        assert both.isfinite().all()
        assert torch.allclose(both[:1], alone, rtol=1e-12, atol=0.0)


def arguments(name):
    eps = torch.tensor([-1.3, 0.2, 0.9], dtype=F64)
    first = [torch.tensor([0.7, 3.0, 30.0], dtype=F64), torch.tensor([2.5, 0.4, 18.0], dtype=F64)]
    return [eps, *first, *([torch.tensor([0.1, -2.0, 1.0], dtype=F64)] if name == "student" else [])]


@pytest.mark.parametrize("name", DRAWS)
def test_derivatives_of_both_orders(name):
    args = [a.requires_grad_() for a in arguments(name)]
    assert torch.autograd.gradcheck(lambda *a: draw(name, *a), args, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(
        lambda *a: draw(name, *a), args, check_fwd_over_rev=True, fast_mode=True
    )
    last = [a.detach().requires_grad_(k == len(args) - 1) for k, a in enumerate(args)]
    assert torch.autograd.gradcheck(lambda *a: draw(name, *a), last, check_forward_ad=True, fast_mode=True)


@pytest.mark.parametrize("name", DRAWS)
def test_the_saved_derivative_is_the_composed_one(name):
    eps, *leaves = arguments(name)
    leaves = [leaf.requires_grad_() for leaf in leaves]
    fast = torch.autograd.grad(draw(name, eps, *leaves).sum(), leaves)
    for a, b in zip(fast, torch.autograd.grad(draw(name, eps, *leaves).sum(), leaves, create_graph=True)):
        assert torch.allclose(a, b, rtol=1e-11, atol=0.0)


@pytest.mark.parametrize("name", DRAWS)
def test_every_order_of_modes_gives_one_hessian(name):
    args = arguments(name)

    def loss(*a):
        return (draw(name, *a) ** 3).sum()

    ways = [f(g(loss, argnums=1), argnums=1)(*args) for f in (jacfwd, jacrev) for g in (jacfwd, jacrev)]
    for other in ways[1:]:
        assert torch.allclose(ways[0], other, rtol=1e-9, atol=1e-12)
    rows = vmap(grad(lambda *a: draw(name, *a) ** 2, argnums=1), randomness="error")(*args)
    assert torch.allclose(rows, grad(lambda *a: (draw(name, *a) ** 2).sum(), argnums=1)(*args))
    compiled = torch.compile(lambda *a: grad(loss, argnums=1)(*a), fullgraph=True)(*args)
    assert torch.allclose(compiled, grad(loss, argnums=1)(*args))
