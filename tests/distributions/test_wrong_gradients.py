"""Regressions: what other libraries get wrong in one-dimensional families, with the right values."""

import math

import mpmath as mp
import pytest
import torch

import reparam as rp
from reparam import distributions as D

F64 = torch.float64
NOISE = rp.Noise(7)
INF = math.inf


def leaf(*values, dtype=F64):
    return torch.tensor(values, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        (torch.float32, 4.0, 6.0),
        (torch.float32, 9.0, 11.0),
        (torch.float32, 9.0, INF),
        (torch.float32, -INF, -9.0),
        (F64, 6.0, 8.0),
        (F64, 35.0, 37.0),
        (F64, 35.0, INF),
    ],
)
def test_truncated_normal_in_the_tails(dtype, low, high):
    """Bounds far out: draws inside, four gradients equal to the implicit formula in 40-digit arithmetic."""
    mp.mp.dps = 40
    params = [leaf(v, dtype=dtype) for v in (0.0, 1.0, low, high)]
    q = D.TruncatedNormal(*params)
    z = q.rsample((200,), noise=NOISE)
    assert ((z >= low) & (z <= high)).all()
    wide = NOISE.draw(q.noise_spec((200,)))[:5, 0].double().tolist()
    rounding = torch.finfo(dtype).eps
    for point, eps in zip(z[:5, 0], wide):
        ours = torch.autograd.grad(point, params, retain_graph=True)
        y, slopes = exact_truncated(eps, low, high)
        assert abs(point.item() - y) <= rounding * abs(y)
        for value, right in zip(ours, slopes):  # of natural scale 1 in loc, low and high; in scale |y|
            tolerance = (2 * rounding if dtype == torch.float32 else 2e-13) * max(1.0, abs(right))
            assert abs(value.item() - right) <= tolerance


def exact_truncated(eps, low, high):
    """The quantile of N(0, 1) on [low, high] at sigmoid(eps), and its derivatives in loc, scale, low and high."""
    finite = [mp.mpf(end) for end in (low, high) if math.isfinite(end)]
    u = 1 / (1 + mp.exp(-mp.mpf(eps)))
    side = 1 if sum(finite) < 0 else -1  # the mirror image has both bounds below 0
    a, b = (low, high) if side == 1 else (-high, -low)
    u = u if side == 1 else 1 - u
    p = (1 - u) * mp.ncdf(a) + u * mp.ncdf(b)
    y = mp.findroot(
        lambda t: mp.log(mp.ncdf(t)) - mp.log(p), (mp.mpf(b) - 0.02, mp.mpf(b) - 0.2), solver="secant"
    )
    at_a = (1 - u) * mp.exp((y**2 - mp.mpf(a) ** 2) / 2) if math.isfinite(a) else mp.mpf(0)
    at_b = u * mp.exp((y**2 - mp.mpf(b) ** 2) / 2)
    stretch = y - b * at_b - (a * at_a if at_a else 0)
    ends = (at_a, at_b) if side == 1 else (at_b, at_a)
    return float(side * y), [float(v) for v in (1 - at_a - at_b, side * stretch, *ends)]


def test_generalized_pareto_works_in_double():
    q = D.GeneralizedPareto(leaf(0.0, 0.0), leaf(1.0, 1.0), leaf(0.5, 0.0))
    x = torch.tensor([2.0, 2.0], dtype=F64)
    torch.testing.assert_close(q.log_prob(x), torch.tensor([-3 * math.log(2), -2.0], dtype=F64))
    torch.testing.assert_close(q.cdf(x), torch.tensor([0.75, -math.expm1(-2.0)], dtype=F64))


def test_beta_gradient_at_large_concentration():
    for dtype in (torch.float32, F64):
        for a, b in ((65536.0 + 1039.0, 1.5), (1e12, 1e12), (1e12, 2.0)):
            alpha, beta = leaf(a, dtype=dtype), leaf(b, dtype=dtype)
            grads = torch.autograd.grad(D.Beta(alpha, beta).rsample((50,), noise=NOISE).sum(), (alpha, beta))
            assert all(torch.isfinite(g).all() for g in grads)


def test_kumaraswamy_is_finite_and_its_mode_is_right():
    a, b = leaf(0.1, 30.0, 2.0, dtype=torch.float32), leaf(1e4, 1e-2, 3.0, dtype=torch.float32)
    q = D.Kumaraswamy(a, b)
    z = q.rsample((10_000,), noise=NOISE)
    assert torch.isfinite(z).all()
    inside = (z > 0) & (z < 1)
    grads = torch.autograd.grad(torch.where(inside, z, 0.5).sum(), (a, b))
    assert all(torch.isfinite(g).all() for g in grads)
    torch.testing.assert_close(q.mode[2], torch.tensor((1 / 5) ** 0.5))
    assert q.mode[:2].isnan().all()


def test_continuous_bernoulli_is_smooth_through_one_half():
    """dE z/dp at p = 1/2 is 1/3: mean = 1/2 + l/12 + ..., dl/dp = 4."""
    for p in (0.5, 0.4999, 0.5001):
        probs = leaf(p)
        q = D.ContinuousBernoulli(probs)
        (of_mean,) = torch.autograd.grad(q.mean.sum(), probs)
        assert abs(of_mean.item() - 1 / 3) < 1e-6
        eps = torch.linspace(0.05, 0.95, 7, dtype=F64)[:, None]
        (of_draw,) = torch.autograd.grad(q.push(eps).sum(), probs)
        # dz/dl at l = 0 is eps (1 - eps) / 2
        assert abs(of_draw.item() - (2 * eps * (1 - eps)).sum().item()) < 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_small_degrees_of_freedom_give_no_nan(dtype):
    df = torch.tensor([1e-2, 0.05, 0.3], dtype=dtype)
    zero, one = torch.zeros_like(df), torch.ones_like(df)
    for q in (D.StudentT(df, zero, one), D.FisherSnedecor(df, one), D.FisherSnedecor(one, df)):
        assert not q.sample((100_000,), noise=NOISE).isnan().any()


def test_gamma_gradients_against_many_digits():
    """The implicit formula in 30-digit arithmetic at exactly the floats given."""
    mp.mp.dps = 40
    for alpha, x in ((1e-3, 1e-300), (0.7, 0.2), (10.0, 1.5), (10.0, 30.0), (3e3, 3.1e3)):
        a, y = mp.mpf(alpha), mp.mpf(x)
        density = mp.exp((a - 1) * mp.log(y) - y - mp.loggamma(a))
        right = -mp.diff(lambda s, y=y: mp.gammainc(s, 0, y, regularized=True), a) / density
        ours = D.Gamma(leaf(alpha), leaf(1.0)).pathwise(torch.tensor([x], dtype=F64))["concentration"]
        assert abs(ours.item() / float(right) - 1) < 1e-12
        narrow = D.Gamma(torch.tensor(alpha), torch.tensor(1.0)) if x > 1e-38 else None
        if narrow is not None:
            a32, x32 = torch.tensor(alpha).item(), torch.tensor(x).item()
            wide = D.Gamma(leaf(a32), leaf(1.0)).pathwise(torch.tensor([x32], dtype=F64))["concentration"]
            ours32 = narrow.pathwise(torch.tensor([x], dtype=torch.float32))["concentration"]
            assert abs(ours32.item() / wide.item() - 1) < 1.2e-7


def test_second_derivative_of_a_gamma_expectation():
    """E z^2 = a (a + 1): its second derivative in a is 2, for every stratified noise; the mean over a fine grid."""
    alpha = leaf(2.5)
    u = (torch.arange(20_000, dtype=F64) + 0.5) / 20_000
    eps = torch.special.ndtri(u)
    value = (D.Gamma(alpha, torch.ones(1, dtype=F64)).push(eps) ** 2).mean()
    (first,) = torch.autograd.grad(value, alpha, create_graph=True)
    (second,) = torch.autograd.grad(first, alpha)
    assert abs(first.item() - 6.0) < 2e-2
    assert abs(second.item() - 2.0) < 1e-2


def test_von_mises_concentration_has_a_gradient():
    kappa = leaf(1e-3, 1.0, 30.0, 1e6)
    q = D.VonMises(torch.zeros(4, dtype=F64), kappa)
    u = (torch.arange(4000, dtype=F64)[:, None] + 0.5) / 4000
    value = torch.cos(q.push(torch.special.ndtri(u))).mean(0)
    (slope,) = torch.autograd.grad(value.sum(), kappa)
    ratio = torch.special.i1e(kappa) / torch.special.i0e(kappa)
    right = 1 - ratio**2 - ratio / kappa
    assert ((slope - right).abs() <= 1e-2 * right.abs() + 1e-9).all()
