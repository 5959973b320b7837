"""Draws of the gamma families: values and derivatives against the reference, every mode and order, the same bits."""

import numpy as np
import pytest
import torch
from torch.func import grad, jacfwd, jacrev, vmap

from reparam.kernels import cpu, reference
from reparam.special import draw

F64 = torch.float64
FAMILIES = ("gamma", "inverse_gamma", "exp_gamma")


def arguments(requires_grad=False):
    values = [0.4, -1.2, 0.8, 0.3], [0.3, 2.0, 30.0, 1.4], [1.5, 0.2, 3.0, 1.0]
    return [torch.tensor(v, dtype=F64, requires_grad=requires_grad) for v in values]


def numbers(count, dtype, seed=1):
    """Shapes over eleven decades with a crowd about the borders of the fit, scores with heavy tails."""
    rng = np.random.default_rng(seed)
    alpha = np.exp(rng.uniform(np.log(1e-4), np.log(1e7), count))
    border = rng.choice([1.0, 2.5, 7.0, 12.0], count) * (1.0 + 1e-6 * rng.normal(size=count))
    alpha = np.where(np.arange(count) % 3 == 0, np.exp(rng.uniform(np.log(0.05), np.log(40.0), count)), alpha)
    alpha = np.where(np.arange(count) % 7 == 0, border, alpha)
    eps = np.where(np.arange(count) % 4 == 0, rng.uniform(-6.3, 6.3, count), rng.normal(size=count))
    rate = np.exp(rng.normal(size=count))
    return [torch.tensor(x).to(dtype) for x in (alpha, rate, eps)]


def ulps(got, right):
    """|got - right| in units of the last place of a float32 as large as `right`; 0 where both under- or overflow."""
    right = right.numpy()
    with np.errstate(over="ignore"):
        single = right.astype(np.float32)
    normal = np.isfinite(single) & (np.abs(single) > 1.2e-38)
    got, right = np.where(normal, got.double().numpy(), 0.0), np.where(normal, right, 0.0)
    return np.abs(got - right) / np.spacing(np.abs(np.where(normal, single, 1.0))).astype(np.float64)


@pytest.mark.parametrize("family", FAMILIES)
def test_single_precision_is_rounded_once(family):
    given = numbers(2000, torch.float32)
    got = getattr(cpu, f"{family}_draw")(*given, moving=True)
    right = getattr(reference, f"{family}_draw")(*(g.double() for g in given), moving=True)
    error = ulps(got[1], right[1])
    assert error.max() < 0.6, (error.max(), [g[error.argmax()].item() for g in given])
    error = ulps(got[0], right[0])
    if family == "exp_gamma":  # crosses zero: measured against 1, its natural scale
        error = np.minimum(error, (got[0].double() - right[0]).abs().numpy() / 6e-8)
    assert error.max() < 0.6, (error.max(), [g[error.argmax()].item() for g in given])


@pytest.mark.parametrize("family", FAMILIES)
def test_double_precision(family):
    given = numbers(1500, F64, seed=2)
    got = getattr(cpu, f"{family}_draw")(*given, moving=True)
    right = getattr(reference, f"{family}_draw")(*given, moving=True)
    scale = right[0].abs() if family != "exp_gamma" else right[0].abs().clamp(min=1.0)
    # a draw of a small shape is the exponential of a large number, whose rounding it carries
    size = 1.0 + reference.exp_gamma_draw(*given)[0].abs() * (0.01 if family != "exp_gamma" else 0.0)
    normal = (right[0].abs() > 1e-290) & right[0].isfinite()
    for value, correct, by in zip(got, right, (scale, right[1].abs())):
        error = ((value - correct).abs() / by / size)[normal]
        assert error.max() < 3e-12, error.max()


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("alpha", [1e-3, 0.05, 0.4, 0.99, 1.0, 1.7, 2.5, 5.0, 7.0, 9.0, 12.0, 40.0])
def test_draws_increase_with_eps_across_all_borders(alpha, dtype):
    eps = torch.linspace(-6.3, 6.3, 60_001, dtype=F64).to(dtype)
    eps = torch.cat((eps, torch.linspace(-1e-4, 1e-4, 2001).to(dtype))).sort().values
    y = cpu.exp_gamma_draw(torch.full_like(eps, alpha), torch.ones_like(eps), eps)[0]
    slack = 0.0 if dtype == torch.float32 else 1e-14 * (1.0 + y[1:].abs())
    assert (y[1:] - y[:-1] >= -slack).all()


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_the_same_bits_with_and_without_derivative_and_neighbours(dtype):
    given = numbers(5000, dtype, seed=3)
    x = cpu.gamma_draw(*given)[0]
    assert torch.equal(x, cpu.gamma_draw(*given, moving=True)[0])
    if dtype == torch.float32:
        parts = [cpu.gamma_draw(*(g[i : i + 7] for g in given))[0] for i in range(0, 700, 7)]
        assert torch.equal(x[:700], torch.cat(parts))


@pytest.mark.parametrize("family", FAMILIES)
def test_first_and_second_derivatives(family):
    args = arguments(requires_grad=True)

    def function(*a):
        return draw(family, *a)

    assert torch.autograd.gradcheck(function, args, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, args, check_fwd_over_rev=True, fast_mode=True)
    for n in range(3):  # each alone: the ways without a gradient in alpha
        alone = [a.detach().requires_grad_(k == n) for k, a in enumerate(args)]
        assert torch.autograd.gradcheck(function, alone, check_forward_ad=True, fast_mode=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_saved_derivative_is_the_composed_one(family):
    eps, alpha, rate = arguments()
    leaves = [alpha.requires_grad_(), rate.requires_grad_()]
    fast = torch.autograd.grad(draw(family, eps, *leaves).sum(), leaves)
    composed = torch.autograd.grad(draw(family, eps, *leaves).sum(), leaves, create_graph=True)
    for a, b in zip(fast, composed):
        assert torch.allclose(a, b, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_order_of_modes_gives_one_hessian(family):
    args = arguments()

    def loss(*a):
        return (draw(family, *a) ** 3).sum()

    for n in range(3):
        ways = [f(g(loss, argnums=n), argnums=n)(*args) for f in (jacfwd, jacrev) for g in (jacfwd, jacrev)]
        for other in ways[1:]:
            assert torch.allclose(ways[0], other, rtol=1e-11, atol=1e-13)
        assert ways[0].abs().max() > 0


def test_vmap_of_grad_and_third_derivatives():
    args = arguments()
    rows = vmap(grad(lambda *a: draw("gamma", *a) ** 2, argnums=1), randomness="error")(*args)
    assert torch.allclose(rows, grad(lambda *a: (draw("gamma", *a) ** 2).sum(), argnums=1)(*args))
    eps, alpha, rate = (a[0] for a in args)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        grad(grad(grad(lambda a: draw("gamma", eps, a, rate))))(alpha)


def test_compiled_forward_gradient_and_second_order():
    args = arguments()

    def loss(*a):
        return (draw("gamma", *a) ** 3).sum()

    def first(*a):
        return grad(loss, argnums=1)(*a)

    def second(*a):
        return grad(lambda *b: first(*b).sum(), argnums=1)(*a)

    leaves = [a.clone().requires_grad_() for a in args]
    outside = torch.autograd.grad(torch.compile(loss, fullgraph=True)(*leaves), leaves[1:])
    assert torch.allclose(outside[0], first(*args))
    inside = torch.compile(lambda *a: (first(*a), second(*a)), fullgraph=True)(*args)
    assert torch.allclose(inside[0], first(*args))
    assert torch.allclose(inside[1], second(*args))
    assert inside[1].abs().min() > 0
