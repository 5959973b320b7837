"""The inverse Gaussian draw and its derivatives against many digits, against the reference, and in every transform."""

import mpmath as mp
import pytest
import torch

from reparam import special
from reparam.distributions.inverse_gaussian import LAW
from reparam.kernels import cpu, reference

F64 = torch.float64
SCORES = [-20.0, -9.0, -3.0, -0.5, 0.0, 0.4, 3.0, 9.0]


def tail(z, mu, lam, low):
    """F or S in 60 digits."""
    a, b = mp.sqrt(lam / z) * (z - mu) / mu, mp.sqrt(lam / z) * (z + mu) / mu
    rest = mp.exp(2 * lam / mu) * mp.ncdf(-b)
    return mp.ncdf(a) + rest if low else mp.ncdf(-a) - rest


@pytest.mark.parametrize(
    ("mu", "lam"), [(2.0, 2e-6), (1.0, 1e-3), (0.5, 0.2), (1.0, 1.0), (3.0, 50.0), (1.0, 1e4)]
)
def test_draw_and_derivatives_to_many_digits(mu, lam):
    """z to 1e-13, dz/dmu to 1e-12, dz/dlambda, which crosses zero, to 1e-12 of itself or of z/lambda; float32: 1 ulp.

    The error of z is (F(z) - Phi(eps))/f, of which the derivative in z is taken in 60 digits too.
    """
    eps = torch.tensor(SCORES, dtype=F64)
    wide = [torch.full_like(eps, mu), torch.full_like(eps, lam)]
    z, of_mu, of_lam = cpu.inverse_gaussian_draw(*wide, eps, moving=True)
    right = []
    with mp.workdps(60):
        h = mp.mpf(10) ** -20
        for e, x in zip(SCORES, z.tolist()):
            low, point = e < 0, (mp.mpf(x), mp.mpf(mu), mp.mpf(lam))
            slopes = []
            for i in range(3):
                up, down = ([v * (1 + s * h * (k == i)) for k, v in enumerate(point)] for s in (1, -1))
                slopes.append((tail(*up, low) - tail(*down, low)) / (2 * h * point[i]))
            miss = (tail(*point, low) - mp.ncdf(e if low else -mp.mpf(e))) / slopes[0]
            assert abs(float(miss / point[0])) < 1e-13, (e, x)
            right.append([float(-s / slopes[0]) for s in slopes[1:]])
    exact_mu, exact_lam = torch.tensor(right, dtype=F64).mT
    assert ((of_mu / exact_mu - 1).abs() < 1e-12).all()
    assert ((of_lam - exact_lam).abs() < 1e-12 * torch.maximum(exact_lam.abs(), z / lam)).all()
    singles = cpu.inverse_gaussian_draw(*(t.float() for t in wide), eps.float(), moving=True)
    doubles = cpu.inverse_gaussian_draw(
        *(t.float().double() for t in wide), eps.float().double(), moving=True
    )
    for single, double in zip(singles, doubles):
        assert ((single.double() - double).abs() <= 1.2e-7 * double.abs() + 1e-45).all()


def test_kernel_and_reference_agree():
    eps = torch.linspace(-3.5, 3.5, 15, dtype=F64)
    lam = torch.tensor([[0.3], [2.0], [30.0]], dtype=F64)
    mu = torch.full_like(lam, 1.7)
    ours = cpu.inverse_gaussian_draw(mu, lam, eps, moving=True)
    plain = reference.inverse_gaussian_draw(mu, lam, eps, moving=True)
    for a, b in zip(ours, plain):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


def test_ends_of_the_score():
    eps = torch.tensor([-torch.inf, torch.inf], dtype=F64)
    one = torch.ones_like(eps)
    assert cpu.inverse_gaussian_quantile(one, one, eps).tolist() == [0.0, torch.inf]


def test_every_mode_of_differentiation_agrees():
    """Reverse mode by the kernel's own derivatives, forward mode, vmap, and second derivatives by differences."""
    eps = torch.tensor([-2.0, -0.3, 0.6, 2.5], dtype=F64)
    mu, lam = (
        torch.tensor(v, dtype=F64, requires_grad=True) for v in ([0.7, 1.0, 2.0, 3.0], [1.5, 0.2, 9.0, 2.0])
    )

    def draw(eps, mu, lam):
        return special.draw(LAW, eps, mu, lam)

    reverse = torch.autograd.grad(draw(eps, mu, lam).sum(), (mu, lam))
    for k, expected in enumerate(reverse):
        tangents = [torch.ones_like(mu) * (k == i) for i in range(2)]
        forward = torch.func.jvp(lambda m, l: draw(eps, m, l), (mu.detach(), lam.detach()), tuple(tangents))[
            1
        ]
        torch.testing.assert_close(forward, expected, rtol=1e-12, atol=0)
        mapped = torch.func.vmap(torch.func.grad(draw, argnums=k + 1))(eps, mu.detach(), lam.detach())
        torch.testing.assert_close(mapped, expected, rtol=1e-12, atol=0)
    assert torch.autograd.gradgradcheck(draw, (eps.requires_grad_(), mu, lam), atol=1e-6)
