"""Float32 Dirichlet draws by one kernel: rounding, the field, every mode against the composed derivative."""

import pytest
import torch
from torch.func import grad, jacfwd, jacrev, jvp, vmap

import reparam as rp
from reparam import distributions as D
from reparam.distributions.dirichlet import composed, draw
from reparam.kernels import cpu

F64 = torch.float64


def rows(K, count=400, seed=0, spread=1.0):
    g = torch.Generator().manual_seed(seed)
    low, high = torch.rand(count, K, generator=g), torch.rand(count, K, generator=g)
    alpha = torch.cat((0.1 * 20**low, 50**high, 10 ** (-3 + 9 * low)))
    return alpha, (spread * torch.randn(3 * count, K, generator=g)).clamp(-6.3, 6.3)


@pytest.mark.parametrize("spread", [1.0, 3.0])  # 3: to the ends of what float32 noise reaches
@pytest.mark.parametrize("K", [2, 3, 10, 40])
def test_draw_and_field_are_rounded_once(K, spread):
    alpha, eps = rows(K, spread=spread)
    x, rest, field = cpu.dirichlet_draw(alpha, eps, moving=True)
    p, v, _ = composed(eps, alpha)
    assert torch.equal(x, cpu.dirichlet_draw(alpha, eps)[0])
    for got, right in ((x, p), (field, p * v)):
        normal = right.abs() > 1e-37
        assert ((got - right).abs() / right.abs())[normal].max() < 7e-8
    assert (rest - (1 - p)).abs().max() < 7e-8


def test_first_derivative_of_every_pair():
    """dx_i/dalpha_j by backward passes against g_j (delta_ij - x_i) in float64, also where x_j is near 1."""
    alpha, eps = rows(4, 50, seed=1)
    leaf = alpha.clone().requires_grad_()
    p, v, _ = composed(eps, alpha)
    for i in range(4):
        (got,) = torch.autograd.grad(draw(eps, leaf)[:, i].sum(), leaf)
        right = p * v * (torch.eye(4, dtype=F64)[i] - p[:, i : i + 1])
        assert ((got - right).abs() <= 3e-7 * right.abs() + 1e-30).double().mean() > 0.99
        assert ((got - right).abs() <= 3e-7 * (p * v).abs() + 1e-30).all()


def test_every_mode_and_order_agrees():
    alpha = torch.tensor([0.4, 2.0, 15.0])
    eps = torch.tensor([0.3, -0.8, 0.5])
    weights = torch.tensor([1.0, -2.0, 0.5])

    def loss(a):
        return (draw(eps, a) ** 2 * weights).sum()

    def wide(a):
        return (composed(eps, a)[0] ** 2 * weights).sum()

    leaf = alpha.clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(leaf), leaf)
    assert torch.allclose(first, grad(loss)(alpha), rtol=1e-5, atol=1e-7)
    assert torch.allclose(first.double(), grad(wide)(alpha.double()), rtol=1e-5, atol=1e-7)
    assert torch.allclose(jvp(loss, (alpha,), (weights,))[1], (first * weights).sum(), rtol=1e-5)
    right = jacrev(grad(wide))(alpha.double())
    for outer in (jacfwd, jacrev):
        for inner in (jacfwd, jacrev):
            assert torch.allclose(outer(inner(loss))(alpha).double(), right, rtol=1e-4, atol=1e-6)
    many = vmap(grad(loss), randomness="error")(alpha.expand(2, 3))
    assert torch.allclose(many[1], first, rtol=1e-5, atol=1e-7)


def test_rsample_is_push_and_sample():
    q = D.Dirichlet(torch.tensor([[0.2, 3.0, 9.0], [1e-3, 1e-3, 1e5]], requires_grad=True))
    noise = rp.Noise(3)
    x = q.rsample((50,), noise=noise)
    assert torch.equal(x, q.sample((50,), noise=noise))
    assert x.isfinite().all()
    assert torch.autograd.grad((x * x).sum(), q.concentration)[0].isfinite().all()
