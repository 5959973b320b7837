"""Laws on the sphere: values to many digits, the exact gradient in every dimension, both poles."""

import math

import mpmath
import pytest
import torch

import reparam as rp
from reparam import distributions as D
from reparam.kernels import cpu
from reparam.special.spherical import log_sphere_integral, one_minus_ratio

NOISE = rp.Noise(20260804)
F64 = torch.float64
FAMILIES = pytest.mark.parametrize("family", [D.VonMisesFisher, D.PowerSpherical])


def direction(d, dtype=F64):
    mu = torch.arange(1.0, d + 1, dtype=dtype)
    return mu / mu.norm()


def ratio(d, kappa):
    """1 - A to 40 digits."""
    with mpmath.workdps(40):
        k = mpmath.mpf(kappa)
        return 1 - mpmath.besseli(mpmath.mpf(d) / 2, k) / mpmath.besseli(mpmath.mpf(d) / 2 - 1, k)


@pytest.mark.parametrize("d", [2, 3, 5, 64, 768])
def test_normaliser_and_its_derivatives(d):
    for kappa in (1e-3, 0.5, 20.0, 1e3):
        k = torch.tensor(kappa, dtype=F64, requires_grad=True)
        dim = torch.tensor(float(d), dtype=F64)
        value = log_sphere_integral(k, dim)
        with mpmath.workdps(40):
            m, kk = mpmath.mpf(d), mpmath.mpf(kappa)
            order = m / 2 - 1
            exact = mpmath.log(mpmath.besseli(order, kk) * mpmath.sqrt(mpmath.pi) * mpmath.gamma((m - 1) / 2))
            exact += order * mpmath.log(2 / kk) - kk
        gap = float(ratio(d, kappa))
        assert abs(value.item() - float(exact)) < 1e-12 * max(1, abs(float(exact)))
        (first,) = torch.autograd.grad(value, k, create_graph=True)
        assert abs(-first.item() / gap - 1) < 1e-11
        assert abs(one_minus_ratio(k, dim).item() / gap - 1) < 1e-12
        (second,) = torch.autograd.grad(first, k)
        with mpmath.workdps(40):
            A = 1 - ratio(d, kappa)
            right = float(1 - A * A - (d - 1) * A / mpmath.mpf(kappa))
        assert abs(second.item() / right - 1) < 1e-8


def exact_velocity(d, kappa, xi):
    """dxi/dkappa = int_0^theta (cos s - A) g(s) ds / (g(theta) sin theta), theta = 2 atan(e^-xi), to 20 digits."""
    with mpmath.workdps(25):
        theta, k, m = 2 * mpmath.atan(mpmath.exp(-mpmath.mpf(xi))), mpmath.mpf(kappa), d - 2
        A = 1 - ratio(d, kappa)

        def g(s):
            return (
                mpmath.exp(k * (mpmath.cos(s) - mpmath.cos(theta))) * (mpmath.sin(s) / mpmath.sin(theta)) ** m
            )

        points = [theta * mpmath.mpf(j) / 12 for j in range(13)]
        return float(mpmath.quad(lambda s: (mpmath.cos(s) - A) * g(s), points) / mpmath.sin(theta))


@pytest.mark.parametrize(
    ("d", "kappa"),
    [(2, 1e-3), (2, 30.0), (3, 1e-9), (3, 0.3), (3, 2.0), (3, 500.0), (5, 2.0), (10, 300.0), (64, 20.0)],
)
def test_velocity_against_mpmath(d, kappa):
    eps = torch.tensor([-3.0, 0.2, 4.7], dtype=F64)
    dim, k = torch.full_like(eps, d), torch.full_like(eps, kappa)
    xi = cpu.fisher_quantile(dim, k, eps)
    velocity = cpu.fisher_velocity(dim, k, xi)[1]
    for x, v in zip(xi.tolist(), velocity.tolist()):
        assert abs(v / exact_velocity(d, kappa, x) - 1) < 1e-11


def test_quantile_inverts_both_tails():
    eps = torch.tensor([-9.0, -4.7, -1.0, 0.0, 2.0, 4.7, 9.0], dtype=F64)
    for d in (2, 3, 10, 768):
        for kappa in (1e-3, 1.0, 50.0, 1e6):
            dim, k = torch.full_like(eps, d), torch.full_like(eps, kappa)
            xi = cpu.fisher_quantile(dim, k, eps)
            low, high = cpu.fisher_tails(dim, k, xi)
            near = torch.where(eps < 0, low, high)
            right = torch.special.log_ndtr(-eps.abs())
            assert ((near - right).abs() < 1e-11 * right.abs().clamp(min=1)).all(), (d, kappa, near - right)
            assert (xi.diff() > 0).all()


def test_in_three_dimensions_the_quantile_is_known():
    """F(t) = (e^(kappa t) - e^-kappa)/(e^kappa - e^-kappa)."""
    eps = torch.linspace(-4, 4, 9, dtype=F64)
    kappa = 2.5
    xi = cpu.fisher_quantile(torch.full_like(eps, 3), torch.full_like(eps, kappa), eps)
    u = torch.special.ndtr(eps)
    t = 1 + torch.log(u + (1 - u) * math.exp(-2 * kappa)) / kappa
    torch.testing.assert_close(torch.tanh(xi), t, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("d", "kappa", "right"), [(5, 2.0, 0.1474), (10, 5.0, None), (5, 0.5, None), (2, 3.0, None)]
)
def test_gradient_of_the_mean_cosine_in_every_dimension(d, kappa, right):
    """dE[mu.x]/dkappa = 1 - A^2 - (d - 1) A/kappa over n = 20,000 draws, within 5 standard errors (4 cases: 2e-6)."""
    n = 20_000
    mu = direction(d)
    k = torch.full((n,), kappa, dtype=F64, requires_grad=True)
    x = D.VonMisesFisher(mu, k).rsample(noise=NOISE)
    A = 1 - float(ratio(d, kappa))
    exact = 1 - A * A - (d - 1) * A / kappa
    assert right is None or abs(exact - right) < 5e-5
    cosine = x @ mu
    (slope,) = torch.autograd.grad(cosine.sum(), k)
    for value, truth in ((cosine.detach(), A), (slope, exact)):
        assert abs(value.mean() - truth) < 5 * value.std() / n**0.5


@FAMILIES
@pytest.mark.parametrize("d", [2, 5])
def test_the_law_and_the_score(family, d):
    """n = 20,000: mean, variance, entropy, and the gradient of E (w.x)^3 in both parameters by the score function.

    About 20 statistics of 4 laws against 5.5 standard errors: false alarm 1e-5.
    """
    n = 20_000
    mu, kappa = direction(d), torch.tensor(1.7, dtype=F64)
    q = family(mu, kappa)
    x = q.sample((n,), noise=NOISE)
    assert q.support.check(x).all()
    w = torch.linspace(1, -0.4, d, dtype=F64)
    wide = (mu.expand(n, d).clone().requires_grad_(), kappa.expand(n).clone().requires_grad_())
    draws = family(*wide).rsample(noise=NOISE)
    pathwise = torch.autograd.grad(((draws @ w) ** 3).sum(), wide)
    score = torch.autograd.grad((family(*wide).log_prob(x) * (x @ w) ** 3).sum(), wide)
    pairs = [(x, q.mean), ((x - q.mean) ** 2, q.variance), (-q.log_prob(x), q.entropy())]
    pairs += [(a - b, torch.zeros_like(a[0])) for a, b in zip(pathwise, score)]
    for value, right in pairs:
        assert ((value.mean(0) - right).abs() < 5.5 * value.std(0) / n**0.5 + 1e-12).all()


@FAMILIES
def test_derivatives_and_transforms(family):
    mu, kappa = torch.stack((direction(3), -direction(3).flip(0))), torch.tensor([0.8, 30.0], dtype=F64)
    eps = NOISE.draw(family(mu, kappa).noise_spec((2,)))

    def push(loc, concentration):
        return family(loc, concentration, validate_args=False).push(eps)

    values = (mu.clone().requires_grad_(), kappa.clone().requires_grad_())
    assert torch.autograd.gradcheck(push, values, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(push, values, atol=1e-5)
    q = family(*values)
    x = q.push(eps)
    velocity = q.pathwise(x.detach())
    # n and its mirror image across the plane orthogonal to mu give the same x: pathwise is the mean of both
    n = eps[..., 1:]
    mirrored = torch.cat((eps[..., :1], n - 2 * (n * mu).sum(-1, keepdim=True) * mu), -1)
    twin = q.push(mirrored)
    torch.testing.assert_close(twin, x)
    for name, value in zip(("loc", "concentration"), values):
        (right,) = torch.autograd.grad((x.sum() + twin.sum()) / 2, value, retain_graph=True)
        torch.testing.assert_close(velocity[name].sum(0).sum(1), right, rtol=1e-8, atol=1e-10)

    def total(k):
        return push(mu, k).sin().sum()

    reverse = torch.func.grad(total)(kappa)
    torch.testing.assert_close(torch.func.jvp(total, (kappa,), (torch.ones_like(kappa),))[1], reverse.sum())
    second = torch.func.jacrev(torch.func.grad(total))(kappa)
    torch.testing.assert_close(torch.func.jacfwd(torch.func.grad(total))(kappa), second)
    rows = torch.func.vmap(lambda e: family(mu, kappa, validate_args=False).push(e), randomness="error")(eps)
    torch.testing.assert_close(rows, x.detach())
    assert q.expand((3, 2)).sample((4,), noise=NOISE).shape == (4, 3, 2, 3)
    assert torch.equal(q.sample((2,), noise=NOISE), q.rsample((2,), noise=NOISE))


@FAMILIES
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_extremes(family, dtype):
    for d in (2, 3, 768):
        kappa = torch.tensor([1e-3, 1.0, 1e3, 1e6], dtype=dtype, requires_grad=True)
        q = family(direction(d, dtype), kappa)
        x = q.rsample((200,), noise=NOISE)
        assert q.support.check(x).all()
        (gradient,) = torch.autograd.grad((x * direction(d, dtype)).sum(), kappa)
        assert gradient.isfinite().all()
        assert (gradient > 0).all()
        assert q.log_prob(x.detach()).isfinite().all()
        assert q.entropy().isfinite().all()


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="VonMisesFisher: loc must be a tensor of unit vectors"):
        D.VonMisesFisher(torch.tensor(1.0), 1.0)
    with pytest.raises(ValueError, match="loc"):
        D.PowerSpherical(torch.tensor([1.0, 1.0]), 1.0)
