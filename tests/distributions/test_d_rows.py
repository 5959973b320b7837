"""The faults D1 to D18 of other libraries, one regression each, named test_dNN; with the right values.

D3 (logits of mixtures of vector laws) is in the file of MixtureSameFamily; here it is tested for Mixture.
"""

import math

import mpmath as mp
import pytest
import torch

import reparam as rp
from reparam import distributions as D
from reparam import special
from reparam.kernels.cpu import beta_saddle

F64 = torch.float64
NOISE = rp.Noise(20260818)
SCORES = torch.special.ndtri((torch.arange(4000, dtype=F64) + 0.5) / 4000)  # a stratified sample of N(0, 1)


def leaf(*values, dtype=F64):
    return torch.tensor(values, dtype=dtype, requires_grad=True)


def test_d01_von_mises_fisher_gradient_in_dimension_five():
    """dE[mu.x]/dkappa = 1 - A^2 - (d - 1) A/kappa = .1474 at d = 5, kappa = 2; n = 4,000 stratified in t: 1 %."""
    kappa = leaf(2.0)
    mu = torch.tensor([1.0, 0, 0, 0, 0], dtype=F64)
    rest = NOISE.normal((4000, 1, 5), dtype=F64)
    x = D.VonMisesFisher(mu, kappa).push(torch.cat((SCORES[:, None, None], rest), -1))
    (slope,) = torch.autograd.grad((x @ mu).mean(), kappa)
    A = special.bessel_ratio(torch.tensor(2.5, dtype=F64), torch.tensor(2.0, dtype=F64)).item()
    assert abs(slope.item() - 0.1474) < 1.5e-3
    assert abs(1 - A * A - 4 * A / 2 - 0.1474) < 1e-4


def test_d02_wishart_draws_once_and_is_positive():
    x = D.Wishart(torch.tensor(3.0, dtype=F64), torch.eye(2, dtype=F64)).sample((5000,), noise=NOISE)
    assert (torch.linalg.eigvalsh(x) > 0).all()
    assert ((x.mean(0) - 3 * torch.eye(2)).abs() < 5 * x.std(0) / 5000**0.5).all()


def test_d03_logits_of_a_mixture_are_translation_invariant():
    """E cos(w x) = sum_k pi_k cos(w m_k) e^(-w^2 s_k^2/2), all means shifted alike; 4,000 strata, error 2e-3."""
    for shift in (0.0, 3.7):
        logits, loc, scale = leaf(0.3, -0.4), leaf(-1.0, 1.0), leaf(0.5, 0.8)
        w = torch.tensor(0.7, dtype=F64)
        parts = [D.Normal(loc[k] + shift, scale[k]) for k in range(2)]
        value = torch.cos(w * D.Mixture(D.Categorical(logits=logits), parts).push(SCORES)).mean()
        pi = torch.softmax(logits, -1)
        exact = (pi * torch.cos(w * (loc + shift)) * torch.exp(-((w * scale) ** 2) / 2)).sum()
        ours = torch.autograd.grad(value, (logits, loc, scale))
        for a, b in zip(ours, torch.autograd.grad(exact, (logits, loc, scale))):
            torch.testing.assert_close(a, b, rtol=0, atol=2e-3)
        assert abs(ours[0].sum().item()) < 1e-10


@pytest.mark.parametrize(("mu", "lam"), [(1.0, 1.0), (2.0, 0.3), (0.3, 2.0)])
def test_d04_inverse_gaussian_gradients_are_not_swapped(mu, lam):
    """Each derivative of the draw is -F_theta/q in 40 digits, at equal and unequal parameters, to 1e-12."""
    mp.mp.dps = 40

    def cdf(x, m, l):
        r, e = mp.sqrt(l / x), mp.exp(2 * l / m)
        return mp.ncdf(r * (x / m - 1)) + e * mp.ncdf(-r * (x / m + 1))

    params = (leaf(mu), leaf(lam))
    q = D.InverseGaussian(*params)
    for eps in (-3.0, -0.5, 0.4, 3.0):
        x = q.push(torch.tensor([eps], dtype=F64))
        ours = torch.autograd.grad(x, params)
        named = q.pathwise(x.detach())
        X, m, l = mp.mpf(x.item()), mp.mpf(mu), mp.mpf(lam)
        density = mp.diff(lambda t, m=m, l=l: cdf(t, m, l), X)
        right = (
            -mp.diff(lambda t, X=X, l=l: cdf(X, t, l), m) / density,
            -mp.diff(lambda t, X=X, m=m: cdf(X, m, t), l) / density,
        )
        for a, name, b in zip(ours, ("loc", "concentration"), right):
            assert abs(a.item() / float(b) - 1) < 1e-12
            assert abs(named[name].item() / float(b) - 1) < 1e-12


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [(torch.float32, 9.0, 11.0), (F64, 35.0, 37.0), (F64, 35.0, math.inf), (torch.float32, -math.inf, -9.0)],
)
def test_d05_truncated_normal_far_out(dtype, low, high):
    """Inside and finite in all four parameters; the values are compared in test_wrong_gradients.py."""
    params = [leaf(v, dtype=dtype) for v in (0.0, 1.0, low, high)]
    z = D.TruncatedNormal(*params).rsample((20_000,), noise=NOISE)
    assert ((z >= low) & (z <= high) & z.isfinite()).all()
    assert all(g.isfinite().all() for g in torch.autograd.grad(z.sum(), params))


def test_d06_generalized_pareto_in_double():
    q = D.GeneralizedPareto(leaf(0.0), leaf(1.0), leaf(0.5))
    x = torch.tensor([2.0], dtype=F64)
    assert abs(q.log_prob(x).item() + 3 * math.log(2)) < 1e-14
    assert abs(q.cdf(x).item() - 0.75) < 1e-15


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (65536.0 + 1039.0, 1.5),
        (1.5, 65536.0 + 1039.0),
        (1e9, 2.0),
        (1e12, 0.5),
        (1e12, 3.0),
        (1e8, 1e8),
        (1e12, 1e12),
    ],
)
def test_d07_beta_gradients_are_right_to_large_concentrations(a, b):
    """One large shape: 1 - x is Gamma(b)/a to order 1/a. Both large: x is normal about a/(a + b).

    For a >> b, z = a (1 - x) tends to Gamma(b, 1): d(1 - x)/da = -(1 - x)/a (1 + O(b/a)) and dx/db = -v(z; b)/a with
    the velocity of the gamma law. For a = b = s, x = 1/2 + w/sqrt(8 s): dx/da = (1/(4 s)) (1 + O(1/sqrt s)).
    """
    alpha, beta = leaf(a), leaf(b)
    score = torch.tensor([-1.3, 0.2, 1.1], dtype=F64)
    xi = special.quantile(special.BETA, score, alpha, beta)
    da, db = special.velocity(special.BETA, xi.detach(), alpha.detach(), beta.detach())
    shapes = (leaf(a, dtype=torch.float32), leaf(b, dtype=torch.float32))
    drawn = D.Beta(*shapes).rsample((2,), noise=NOISE)
    assert all(g.isfinite().all() for g in torch.autograd.grad(drawn.sum(), shapes))
    assert da.isfinite().all()
    assert db.isfinite().all()
    if a == b:
        torch.testing.assert_close(da * a, torch.ones_like(da), rtol=4 / math.sqrt(a), atol=0)
        torch.testing.assert_close(db * b, -torch.ones_like(db), rtol=4 / math.sqrt(b), atol=0)
        return
    sign, small, of_small, of_large = (-1, b, db, da) if a > b else (1, a, da, db)
    # logit of the small side is log z - log(large) + O(1/large): its slopes are d log z/d small and -1/large
    log_z = sign * xi.detach() + math.log(max(a, b))
    limit = special.velocity(special.GAMMA, log_z, torch.full_like(log_z, small))[0]
    torch.testing.assert_close(of_small * sign, limit, rtol=1e2 / max(a, b), atol=1e-11)
    torch.testing.assert_close(
        of_large * sign * max(a, b), -torch.ones_like(limit), rtol=1e2 / max(a, b), atol=1e-11
    )


def exact_logit_velocity(xi, a, b):
    """dxi/da and dxi/db of the logit of a beta variable at fixed probability, a < b, in 60 digits."""

    def tail(a, b):  # I_x(a, b) = x^a y^b/(a B) sum (a+b)_n/(a+1)_n x^n
        term = total = mp.mpf(1)
        n = 0
        while term > mp.eps * total or n < 8:
            term *= x * (a + b + n) / (a + 1 + n)
            total, n = total + term, n + 1
        return mp.exp(log_front(a, b)) * total / a

    def log_front(a, b):
        return a * mp.log(x) + b * mp.log1p(-x) - mp.loggamma(a) - mp.loggamma(b) + mp.loggamma(a + b)

    x, h = 1 / (1 + mp.exp(-mp.mpf(xi))), mp.mpf(10) ** -20
    density = mp.exp(log_front(a, b))  # that of xi
    of_a = (tail(a * (1 + h), b) - tail(a * (1 - h), b)) / (2 * a * h)
    of_b = (tail(a, b * (1 + h)) - tail(a, b * (1 - h))) / (2 * b * h)
    return -of_a / density, -of_b / density


@pytest.mark.parametrize(
    ("small", "large"), [(1.5, 66575.0), (2.0, 1e9), (0.5, 1e12), (3.0, 1e12), (0.02, 1e7)]
)
def test_d07_beta_derivatives_to_twelve_digits(small, large):
    """Both orders of the shapes, both derivatives, at five scores, to 12 digits; 5e-12 is promised.

    At tiny x the series of the kernel ended too early: 1e-11 at (3, 1e12).
    """
    scores = torch.tensor([-2.0, -0.7, 0.1, 1.3, 4.0], dtype=F64)
    xi = special.quantile(special.BETA, scores, leaf(small), leaf(large)).detach()
    with mp.workdps(60):
        right = torch.tensor(
            [
                [float(v) for v in exact_logit_velocity(point, mp.mpf(small), mp.mpf(large))]
                for point in xi.tolist()
            ],
            dtype=F64,
        ).mT
    ours = special.velocity(special.BETA, xi, leaf(small), leaf(large))
    swapped = special.velocity(special.BETA, -xi, leaf(large), leaf(small))
    for value, other, exact in zip(ours, reversed(swapped), right):
        assert ((value / exact - 1).abs() < 1e-12).all()
        assert ((-other / exact - 1).abs() < 1e-12).all()
    x = torch.sigmoid(xi)
    slopes = D.Beta(leaf(small), leaf(large)).pathwise(x)
    moved = torch.logit(x)  # one rounding of x away from xi: slopes change by as much
    assert ((moved - xi).abs() < 1e-14 * xi.abs()).all()
    for value, exact in zip(slopes.values(), right):
        assert ((value / (x * (1 - x) * exact) - 1).abs() < 1e-12).all()


def test_d08_kumaraswamy_is_finite_and_has_its_mode():
    q = D.Kumaraswamy(leaf(0.1, 30.0, 2.0, dtype=torch.float32), leaf(1e4, 1e-2, 3.0, dtype=torch.float32))
    z = q.sample((20_000,), noise=NOISE)
    assert ((z >= 0) & (z <= 1)).all()
    torch.testing.assert_close(q.mode[2], torch.tensor(math.sqrt(1 / 5)))


def test_d09_continuous_bernoulli_moves_at_one_half():
    """dz/dl at l = 0 is eps (1 - eps)/2, dl/dp = 4 at p = 1/2."""
    for p in (0.5, 0.50001, 0.4995):
        probs = leaf(p)
        (slope,) = torch.autograd.grad(
            D.ContinuousBernoulli(probs).push(torch.tensor([0.3], dtype=F64)), probs
        )
        assert abs(slope.item() - 2 * 0.3 * 0.7) < 1e-3


def test_d10_small_degrees_of_freedom():
    df = torch.tensor([1e-2, 0.05, 0.3])
    one = torch.ones(3)
    for q in (D.StudentT(df, 0 * one, one), D.FisherSnedecor(df, one), D.FisherSnedecor(one, df)):
        assert not q.sample((50_000,), noise=NOISE).isnan().any()


def test_d11_doubly_reparameterized_gradients_are_right_for_both_sides():
    """p(z) = N(theta, 1), p(x|z) = N(z, 1), q = N(phi, 1.3): equal means of total and dreg; n = 4,000, 5 errors."""

    def slopes(gradient, n=4000):
        theta, phi = (
            torch.zeros(n, dtype=F64).requires_grad_(),
            torch.full((n,), 0.4, dtype=F64).requires_grad_(),
        )
        q = D.Normal(phi, torch.full((n,), 1.3, dtype=F64))

        def log_joint(z):
            return -((z - theta) ** 2) / 2 - (1.7 - z) ** 2 / 2

        bound = rp.iwae(log_joint, q, samples=3, noise=NOISE.child(gradient), gradient=gradient).bound
        return torch.autograd.grad(bound.sum(), (theta, phi))

    for total, dreg in zip(slopes("total"), slopes("dreg")):
        error = ((total.var() + dreg.var()) / len(total)).sqrt()
        assert (total.mean() - dreg.mean()).abs() < 5 * error


def test_d12_errors_are_unsigned():
    """A derivative that is too small is seen as well as one that is too large: the measure of the references."""
    from distributions.test_law_references import relative

    right = torch.tensor([-2.0, 2.0, -2.0, 2.0], dtype=F64)
    wrong = right + torch.tensor([-1.0, -1.0, 1.0, 1.0], dtype=F64)
    torch.testing.assert_close(relative(wrong, right), torch.full((4,), 0.5, dtype=F64))


@pytest.mark.parametrize("given", ["logits", "probs"])
def test_d13_the_weights_of_a_mixture_have_a_gradient(given):
    """f = z: d/dlogit_k E z = pi_k (m_k - m); every entry is far from 0."""
    weights = leaf(0.2, 0.3, 0.5) if given == "probs" else leaf(0.0, 0.4, 1.0)
    one = torch.ones((), dtype=F64)
    parts = [D.Normal(-2 * one, one), D.Exponential(one), D.Laplace(4 * one, one)]
    (slope,) = torch.autograd.grad(
        D.Mixture(D.Categorical(**{given: weights}), parts).push(SCORES).mean(), weights
    )
    pi = (weights / weights.sum() if given == "probs" else torch.softmax(weights, -1)).detach()
    means = torch.tensor([-2.0, 1.0, 4.0], dtype=F64)
    right = (means - (pi * means).sum()) * (pi if given == "logits" else 1)
    torch.testing.assert_close(slope, right, rtol=0, atol=2e-2)
    assert (slope.abs() > 0.05).all()


def test_d14_von_mises_concentration():
    """dE cos/dkappa = 1 - A^2 - A/kappa."""
    kappa = leaf(1e-3, 1.0, 30.0, 1e6)
    q = D.VonMises(torch.zeros(4, dtype=F64), kappa)
    (slope,) = torch.autograd.grad(torch.cos(q.push(SCORES[:, None])).mean(0).sum(), kappa)
    A = torch.special.i1e(kappa) / torch.special.i0e(kappa)
    right = 1 - A**2 - A / kappa
    assert ((slope - right).abs() <= 1e-2 * right.abs() + 1e-9).all()


def test_d15_gamma_gradient_is_exact_in_double():
    """At alpha = 1e-3 (torch: 1.9e-2 off) and at the quantile 1e-6 of alpha = 10 (torch: 1.4e-3 off), to 1e-12."""
    mp.mp.dps = 40
    for alpha, x in ((1e-3, 1e-300), (10.0, 1.5)):
        a, y = mp.mpf(alpha), mp.mpf(x)
        density = mp.exp((a - 1) * mp.log(y) - y - mp.loggamma(a))
        right = -mp.diff(lambda s, y=y: mp.gammainc(s, 0, y, regularized=True), a) / density
        ours = D.Gamma(leaf(alpha), leaf(1.0)).pathwise(torch.tensor([x], dtype=F64))["concentration"]
        assert abs(ours.item() / float(right) - 1) < 1e-12


@pytest.mark.parametrize("family", [D.Gamma, D.Beta, D.InverseGaussian])
def test_d16_forward_mode_vmap_and_second_derivatives(family):
    eps = torch.tensor([0.3, -0.7], dtype=F64)
    other = torch.tensor(1.4, dtype=F64)

    def total(value):
        return family(value, other, validate_args=False).push(eps).sum()

    at = torch.tensor(2.3, dtype=F64)
    first = torch.func.grad(total)(at)
    torch.testing.assert_close(torch.func.jvp(total, (at,), (torch.ones_like(at),))[1], first)
    h = 1e-4
    second = (torch.func.grad(total)(at + h) - torch.func.grad(total)(at - h)) / (2 * h)
    torch.testing.assert_close(torch.func.grad(torch.func.grad(total))(at), second, rtol=1e-5, atol=1e-8)
    rows = torch.func.vmap(total, randomness="error")(at.expand(3))
    torch.testing.assert_close(rows, total(at).expand(3))


def test_d17_tiny_dirichlet_concentrations():
    """P(max > .9) = .9934 at 1e-3 in four dimensions; n = 10,000, 5 errors of 8e-4."""
    x = D.Dirichlet(torch.full((4,), 1e-3)).sample((10_000,), noise=NOISE)
    assert not x.isnan().any()
    assert abs((x.amax(-1) > 0.9).double().mean().item() - 0.9934) < 4e-3


def test_d18_special_functions_and_distribution_functions_exist():
    a, x = leaf(2.0), torch.tensor([3.0], dtype=F64)
    (slope,) = torch.autograd.grad(special.gammainc(a, x).sum(), a)
    right = mp.diff(lambda s: mp.gammainc(s, 0, 3, regularized=True), 2)
    assert abs(slope.item() / float(right) - 1) < 1e-12
    for q in (
        D.StudentT(leaf(3.0), leaf(0.0), leaf(1.0)),
        D.Beta(leaf(2.0), leaf(3.0)),
        D.VonMises(leaf(0.0), leaf(2.0)),
    ):
        u = torch.tensor([0.3], dtype=F64)
        torch.testing.assert_close(q.cdf(q.icdf(u)), u)
    assert (
        abs(special.betaincinv(leaf(2.0), leaf(3.0), special.betainc(leaf(2.0), leaf(3.0), u)).item() - 0.3)
        < 1e-12
    )


def exact_log_tail(xi, a, b):
    """The log of the nearer tail of logit x, in 40 digits, and whether it is the lower one: f int e^(-phi)."""
    S, x = a + b, 1 / (1 + mp.exp(-xi))
    slope, bend = S * x - a, S * x * (1 - x)
    sign = 1 if slope > 0 else -1
    end = 400 / (abs(slope) + mp.sqrt(slope**2 + 400 * bend))
    rest = mp.quad(
        lambda t: mp.exp(sign * a * t - S * mp.log1p(x * mp.expm1(sign * t))), mp.linspace(0, end, 9)
    )
    front = a * mp.log(x) + b * mp.log(1 - x) + mp.loggamma(S) - mp.loggamma(a) - mp.loggamma(b)
    return front + mp.log(rest), sign < 0


LARGE = [(1e12, 1e12), (1e12, 1e9), (1e6, 1e6), (1e6, 1e3), (450.0, 1e12), (401.0, 1e5), (400.0, 400.0)]


@pytest.mark.parametrize(("a", "b"), LARGE)
def test_d07_both_concentrations_large(a, b):
    """Tails, draws and both derivatives against 40 digits where both parameters are large.

    One rounding of xi moves the log of a tail by |xi| hazard/2^53: that much is added to 1e-13 of it. A draw's own
    score is right to 1e-13 and one rounding of xi; derivatives are to 1e-12, 5e-12 is promised.
    """
    for score in (-6.0, -1.3, 0.2, 3.1):
        xi = special.quantile(special.BETA, torch.tensor(score, dtype=F64), leaf(a), leaf(b)).detach()
        point = mp.mpf(xi.item())
        with mp.workdps(40):
            wide = (point, mp.mpf(a), mp.mpf(b))
            log_tail, low = exact_log_tail(*wide)
            h = mp.mpf(10) ** -15
            moves = []
            for i in range(3):
                up, down = ([v * (1 + s * h * (k == i)) for k, v in enumerate(wide)] for s in (1, -1))
                moves.append(exact_log_tail(*up)[0] - exact_log_tail(*down)[0])
            of_xi = moves[0] / (2 * h)  # xi d log tail/dxi
            right = [float(-point * m / (moves[0] * v)) for m, v in zip(moves[1:], wide[1:])]
            target = mp.log(mp.ncdf(score if low else -mp.mpf(score)))
        room = 1e-13 * max(1.0, abs(float(log_tail))) + 4e-16 * abs(float(of_xi))
        ours = special.tails(special.BETA, xi, leaf(a), leaf(b))[0 if low else 1]
        assert abs(ours.item() - float(log_tail)) < room
        assert abs(float(log_tail - target)) < room
        for value, exact in zip(special.velocity(special.BETA, xi, leaf(a), leaf(b)), right):
            assert abs(value.item() / exact - 1) < 1e-12


@pytest.mark.parametrize("size", [1e3, 1e6, 1e9, 1e12])
def test_beta_tails_at_large_concentrations_are_integrals_of_fixed_length(size):
    """At every draw: the cost does not grow with the concentrations (benchmarks/distributions.py has the times)."""
    eps = NOISE.normal((2000,), dtype=F64)
    for other in (size, 3 * size):
        a, b = torch.full_like(eps, size), torch.full_like(eps, other)
        xi = special.quantile(special.BETA, eps, a, b)
        for s, t, z in zip(a.tolist(), b.tolist(), xi.tolist()):
            p, q, u = (s, t, z) if z <= 0 else (t, s, -z)  # x <= 1/2
            x = 1 / (1 + math.exp(-u))
            assert beta_saddle.holds(p, q, x, 1 - x, beta_saddle.excess(p, q, x, u))
