"""The implicit maps differentiate twice in every mode, the silent traps included."""

import pytest
import torch
from torch.func import grad, jacfwd, jacrev, vmap

from reparam import special
from reparam.special import attach, quantile, tails, velocity

F64 = torch.float64
CASES = {
    "gamma": [[0.3, 2.0, 30.0]],
    "beta": [[0.5, 2.0, 30.0], [1.5, 0.7, 50.0]],
    "student": [[0.8, 4.0, 30.0]],
    "vonmises": [[0.5, 4.0, 50.0]],
}


def arguments(name, requires_grad=True):
    values = [[0.4, -1.2, 0.8], *CASES[name]]
    return [torch.tensor(v, dtype=F64, requires_grad=requires_grad) for v in values]


@pytest.mark.parametrize("name", CASES)
def test_quantile_derivatives(name):
    args = arguments(name)

    def function(*a):
        return quantile(name, *a)

    assert torch.autograd.gradcheck(function, args, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, args, check_fwd_over_rev=True, fast_mode=True)


@pytest.mark.parametrize("name", CASES)
def test_tails_derivatives(name):
    eps, *parameters = arguments(name)
    y = quantile(name, eps, *parameters).detach().requires_grad_()

    def function(*a):
        return tails(name, *a)

    assert torch.autograd.gradcheck(function, [y, *parameters], check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, [y, *parameters], fast_mode=True)


@pytest.mark.parametrize("name", CASES)
def test_every_order_of_modes_gives_one_hessian(name):
    args = arguments(name, requires_grad=False)

    def loss(*a):
        return (quantile(name, *a) ** 3).sum()

    for n in range(len(args)):
        hessians = [
            f(g(loss, argnums=n), argnums=n)(*args) for f in (jacfwd, jacrev) for g in (jacfwd, jacrev)
        ]
        for other in hessians[1:]:
            assert torch.allclose(hessians[0], other, rtol=1e-12, atol=1e-14)
        assert hessians[0].abs().max() > 0


@pytest.mark.parametrize("name", CASES)
def test_vmap_of_grad(name):
    args = arguments(name, requires_grad=False)
    rows = vmap(grad(lambda *a: quantile(name, *a) ** 2, argnums=1))(*args)
    assert torch.allclose(rows, grad(lambda *a: (quantile(name, *a) ** 2).sum(), argnums=1)(*args))


def test_compiled_forward_gradient_and_second_order():
    args = arguments("gamma", requires_grad=False)

    def loss(*a):
        return (quantile("gamma", *a) ** 3).sum()

    def first(*a):
        return grad(loss, argnums=1)(*a)

    def second(*a):
        return grad(lambda *b: first(*b).sum(), argnums=1)(*a)

    leaves = [a.clone().requires_grad_() for a in args]
    outside = torch.autograd.grad(torch.compile(loss, fullgraph=True)(*leaves), leaves)
    assert torch.allclose(outside[1], first(*args))
    inside = torch.compile(lambda *a: (first(*a), second(*a)), fullgraph=True)(*args)
    assert torch.allclose(inside[0], first(*args))
    assert torch.allclose(inside[1], second(*args))
    assert inside[0].abs().min() > 0
    assert inside[1].abs().min() > 0


def test_third_derivatives_raise():
    alpha = torch.tensor(2.0, dtype=F64)
    eps = torch.tensor(0.3, dtype=F64)

    def f(a):
        return quantile("gamma", eps, a)

    with pytest.raises(RuntimeError, match="differentiate twice"):
        grad(grad(grad(f)))(alpha)


def test_attach_moves_a_given_sample():
    alpha = torch.tensor([0.7, 5.0], dtype=F64, requires_grad=True)
    y = quantile("gamma", torch.tensor([0.3, -1.0], dtype=F64), alpha.detach())
    moving = attach("gamma", y, alpha)
    assert torch.equal(moving, y)
    (slope,) = torch.autograd.grad(moving.sum(), alpha)
    assert torch.allclose(slope, velocity("gamma", y, alpha.detach())[0])


def test_single_precision_gradients_and_broadcasting():
    a = torch.tensor([[0.5], [3.0]], requires_grad=True)
    b = torch.tensor([2.0, 7.0, 0.1], requires_grad=True)
    xi = quantile("beta", torch.zeros(2, 3), a, b)
    xi.sum().backward()
    assert xi.dtype == torch.float32
    assert a.grad.shape == a.shape
    assert b.grad.shape == b.shape


def test_export_carries_the_operator():
    class Module(torch.nn.Module):
        def forward(self, alpha, eps):
            return quantile("gamma", eps, alpha)

    args = (torch.tensor([0.3, 4.0]), torch.tensor([1.0, -1.0]))
    program = torch.export.export(Module(), args)
    assert torch.equal(program.module()(*args), Module()(*args))
    assert special.GAMMA == "gamma"
