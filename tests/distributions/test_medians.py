"""Points where a formula changes branch: medians, the mode of a truncated law, equal shapes. Nothing happens there."""

import pytest
import torch
from torch.autograd import grad

import reparam as rp
from distributions.cases import CASES
from reparam import distributions as D
from reparam.special import sphere_log_density

F64 = torch.float64
INF = float("inf")
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def f64(value):
    return torch.tensor(value, dtype=F64)


@EVERY
@pytest.mark.parametrize("dtype", [F64, torch.float32], ids=str)
def test_derivatives_at_the_median(case, dtype):
    """F' = f, (F^-1)' = 1/f, F_phi = -f dz/dphi and (F^-1)_phi = dz/dphi at u = 1/2, and the same of S.

    The tolerance of float32 holds the rounding of x, where both sides are evaluated at different points.
    """
    params = {name: value.requires_grad_() for name, value in case.batch(dtype).items()}
    q = case.make(params)
    u = torch.full(q.batch_shape, 0.5, dtype=dtype, requires_grad=True)
    x = q.icdf(u).detach()
    f = torch.exp(q.log_prob(x)).detach()
    velocity = {name: v.detach() for name, v in case.rename(q.pathwise(x)).items()}

    def same(ours, right):
        error = (ours - right).abs() / (1 + right.abs())
        assert (error < (1e-9 if dtype == F64 else 2e-5)).all(), (ours, right)

    for quantile, sign in ((q.icdf, 1.0), (q.isf, -1.0)):
        of_u, *of_params = grad(quantile(u).sum(), [u, *params.values()], retain_graph=True)
        same(of_u * f, torch.full_like(f, sign))
        for name, slope in zip(params, of_params):
            same(slope, velocity[name])
    point = x.clone().requires_grad_()
    for mass, sign in ((q.cdf, 1.0), (q.survival, -1.0)):
        of_x, *of_params = grad(mass(point).sum(), [point, *params.values()], retain_graph=True)
        same(of_x / f, torch.full_like(f, sign))
        for name, slope in zip(params, of_params):
            same(slope, -sign * f * velocity[name])


@pytest.mark.parametrize("kappa", [1e-3, 0.5, 1.7, 29.9, 30.0, 1e6])
def test_von_mises_next_to_its_median(kappa):
    """F - 1/2 = f(0) z + O(z^3) = Phi(eps) - 1/2 = eps/sqrt(2 pi): z = sqrt(2 pi) I_0(kappa) e^-kappa eps."""
    q = D.VonMises(f64(0.0), f64(kappa))
    eps = f64([-1e-5, -1e-7, -1e-15, 0.0, 1e-300, 3e-12, 1e-6])
    right = (2 * torch.pi) ** 0.5 * torch.special.i0e(f64(kappa)) * eps
    torch.testing.assert_close(q.push(eps), right, rtol=1e-9, atol=0)
    narrow = D.VonMises(torch.tensor(0.0), torch.tensor(kappa)).push(eps.float())
    torch.testing.assert_close(narrow, right.float(), rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize(
    ("loc", "low", "high", "x"),
    [
        (0.0, -1.0, 2.0, 0.0),  # x at the mode
        (-1.0, -INF, INF, -1.0),
        (-1.0, -1.0, 2.0, 0.3),  # the mode at a bound
        (2.0, -1.0, 2.0, 0.7),
        (0.0, 0.0, INF, 0.5),
    ],
)
def test_truncated_normal_at_its_mode_and_at_a_bound(loc, low, high, x):
    """Both sides of a tie: derivatives are those of a central difference of step 1e-5, good to 1e-9."""
    start = [f64(v) for v in (loc, 0.8, low, high, x)]
    for what in ("cdf", "survival", "log_prob"):

        def value(loc, scale, low, high, x, what=what):
            return getattr(D.TruncatedNormal(loc, scale, low, high, validate_args=False), what)(x)

        leaves = [v.clone().requires_grad_() for v in start]
        slopes = grad(value(*leaves), leaves)
        for k, slope in enumerate(slopes):
            if not torch.isfinite(start[k]):
                continue
            step = [f64(1e-5 if j == k else 0.0) for j in range(5)]
            up, down = ([v + sign * s for v, s in zip(start, step)] for sign in (1, -1))
            assert abs(slope - (value(*up) - value(*down)) / 2e-5) < 1e-8


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0])
def test_second_derivatives_of_a_beta_density_at_equal_shapes(shape):
    """d^2 log f/da^2 = psi'(a + b) - psi'(a), d^2 log f/da db = psi'(a + b)."""
    a = f64(shape)

    def log_prob(a, b):
        return D.Beta(a, b, validate_args=False).log_prob(f64(0.3))

    (aa, ab), (ba, bb) = torch.func.hessian(log_prob, (0, 1))(a, a)
    both, one = torch.special.polygamma(1, 2 * a), torch.special.polygamma(1, a)
    for ours, right in ((aa, both - one), (bb, both - one), (ab, both), (ba, both)):
        torch.testing.assert_close(ours, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("d", [2, 3, 7])
def test_von_mises_fisher_in_forward_mode(d):
    """Forward mode = reverse mode, in both parameters; d^2 log f/dxi^2 = -(d - 1) at the equator without kappa."""
    loc, kappa = torch.nn.functional.normalize(torch.linspace(0.5, 2.0, d, dtype=F64), dim=0), f64(2.5)
    x = D.VonMisesFisher(loc, kappa).rsample((4,), noise=rp.Noise(0))

    def log_prob(loc, kappa):
        return D.VonMisesFisher(loc, kappa, validate_args=False).log_prob(x)

    for which in (0, 1):
        reverse = torch.func.jacrev(log_prob, which)(loc, kappa)
        torch.testing.assert_close(
            torch.func.jacfwd(log_prob, which)(loc, kappa), reverse, rtol=1e-12, atol=1e-13
        )
    twice = torch.func.jacfwd(torch.func.jacrev(log_prob, 1), 1)(loc, kappa)
    torch.testing.assert_close(
        torch.func.jacrev(torch.func.jacrev(log_prob, 1), 1)(loc, kappa), twice, rtol=1e-10, atol=1e-12
    )

    def curve(xi):
        return sphere_log_density(xi, f64(float(d)), f64(1e-300))

    second = torch.func.grad(torch.func.grad(curve))(f64(0.0))
    torch.testing.assert_close(second, f64(-(d - 1.0)), rtol=1e-12, atol=0)


def test_the_density_of_a_uniform_law_keeps_its_dtype():
    for dtype in (F64, torch.float32, torch.bfloat16):
        q = D.Uniform(torch.tensor(-0.3, dtype=dtype), torch.tensor(1.7, dtype=dtype))
        assert q.log_prob(torch.zeros(3, dtype=dtype)).dtype == dtype
    q = D.Uniform(f64(-0.3), f64(1.7))
    torch.testing.assert_close(
        q.log_prob(torch.zeros(3, dtype=F64)), -f64([2.0] * 3).log(), rtol=1e-15, atol=0
    )
