"""Bounds on Gaussian and discrete toys whose values and gradients are known in closed form.

Gaussian toy: z ~ N(theta, 1), x | z ~ N(z, 1), q = N(m, s^2), at x = 1.3. Then with v = 1/2 the posterior variance,
    log p(x) = log N(x; theta, 2),   ELBO = E_q log p(x, z) + log(s sqrt(2 pi e)),   posterior N((theta + x)/2, v).
"""

import math

import pytest
import torch
from torch.distributions import Normal as TorchNormal

import reparam as rp
from reparam import distributions as D
from reparam.objectives.vimco import leave_one_out_bounds

F64 = torch.float64
X = 1.3
POINT = torch.tensor([0.2, 0.5, -0.3], dtype=F64)  # theta, m, log s


def log_joint(z, theta):
    return D.Normal(theta, torch.ones((), dtype=F64)).log_prob(z) + D.Normal(
        z, torch.ones((), dtype=F64)
    ).log_prob(torch.tensor(X, dtype=F64))


def exact_elbo(p):
    theta, m, s = p[0], p[1], p[2].exp()
    log_prior = -((m - theta) ** 2 + s**2) / 2 - math.log(2 * math.pi) / 2
    log_likelihood = -((X - m) ** 2 + s**2) / 2 - math.log(2 * math.pi) / 2
    return log_prior + log_likelihood + torch.log(s) + (1 + math.log(2 * math.pi)) / 2


def leaves(n):
    return POINT.unsqueeze(-1).expand(3, n).clone().requires_grad_()


def per_draw(make, n):
    """Return bounds (n,) and gradients (3, n) of n independent estimates."""
    p = leaves(n)
    bound = make(p, D.Normal(p[1], p[2].exp())).bound
    bound.sum().backward()
    return bound.detach(), p.grad


N = 20_000


def agree(draws, want, extra=None):
    """|z| < 5.5 (4e-8 per number); `extra` is the variance of `want` where that is an estimate too."""
    error = (draws.var(-1) / draws.shape[-1] + (0 if extra is None else extra)).sqrt()
    assert ((draws.mean(-1) - want).abs() < 5.5 * error + 1e-12).all()


FORMS = {
    "joint total": lambda p, q: rp.elbo(lambda z: log_joint(z, p[0]), q, noise=rp.Noise(1)),
    "joint stl": lambda p, q: rp.elbo(lambda z: log_joint(z, p[0]), q, noise=rp.Noise(1), gradient="stl"),
    "prior analytic": lambda p, q: rp.elbo(likelihood, q, prior=D.Normal(p[0], 1.0), noise=rp.Noise(1)),
    "prior monte carlo": lambda p, q: rp.elbo(
        likelihood, q, prior=D.Normal(p[0], 1.0), kl="monte_carlo", noise=rp.Noise(1)
    ),
    "prior stl": lambda p, q: rp.elbo(
        likelihood, q, prior=D.Normal(p[0], 1.0), kl="monte_carlo", noise=rp.Noise(1), gradient="stl"
    ),
    "renyi 1": lambda p, q: rp.renyi(lambda z: log_joint(z, p[0]), q, alpha=1, noise=rp.Noise(1)),
    "iwae of one": lambda p, q: rp.iwae(lambda z: log_joint(z, p[0]), q, noise=rp.Noise(1)),
    "dreg of one": lambda p, q: rp.iwae(lambda z: log_joint(z, p[0]), q, noise=rp.Noise(1), gradient="dreg"),
}


def likelihood(z):
    return D.Normal(z, 1.0).log_prob(torch.tensor(X, dtype=F64))


@pytest.mark.parametrize("form", FORMS)
def test_elbo_value_and_gradient(form):
    bound, gradient = per_draw(FORMS[form], N)
    p = POINT.clone().requires_grad_()
    exact = exact_elbo(p)
    agree(bound, exact.detach())
    agree(gradient, torch.autograd.grad(exact, p)[0])


def test_stl_has_no_variance_at_the_posterior_and_the_total_derivative_has():
    theta = torch.full((100,), 0.2, dtype=F64)
    m, log_s = torch.full((100,), (0.2 + X) / 2, dtype=F64), torch.full((100,), math.log(0.5) / 2, dtype=F64)
    spread = {}
    for gradient in ("total", "stl"):
        leaf = torch.stack([m, log_s]).requires_grad_()
        q = D.Normal(leaf[0], leaf[1].exp())
        rp.elbo(lambda z: log_joint(z, theta), q, noise=rp.Noise(0), gradient=gradient).bound.sum().backward()
        spread[gradient] = leaf.grad.abs().max()
    assert spread["stl"] < 1e-12
    assert spread["total"] > 0.5


@pytest.mark.parametrize("gradient", ["total", "stl"])
def test_elbo_hessian(gradient):
    """Second derivatives of both choices are those of the exact bound in the mean; 20,000 draws, |z| < 5.5."""
    p = leaves(N)
    q = D.Normal(p[1], p[2].exp())
    bound = rp.elbo(lambda z: log_joint(z, p[0]), q, noise=rp.Noise(4), gradient=gradient).bound
    (g,) = torch.autograd.grad(bound.sum(), p, create_graph=True)
    exact = torch.func.hessian(exact_elbo)(POINT)
    for row, want in zip(g, exact):
        agree(torch.autograd.grad(row.sum(), p, retain_graph=True)[0], want)


def test_dropping_the_path_is_what_elbo_does_not_do():
    """B13: E[-d log q at fixed z] = 0 learns nothing; the bound's gradient is far from it."""
    _, gradient = per_draw(FORMS["joint total"], N)
    p = leaves(N)
    q = D.Normal(p[1], p[2].exp())
    z = q.sample(noise=rp.Noise(2))
    (-q.log_prob(z)).sum().backward()
    agree(p.grad[1:], torch.zeros(2, dtype=F64))
    assert gradient[1].mean().abs() > 20 * gradient[1].std() / N**0.5


@pytest.mark.parametrize("K", [2, 8])
def test_dreg_is_right_for_theta_and_phi(K):
    """D11: the mean of dreg is that of the total derivative for both, and its variance in phi is lower."""
    made = {
        gradient: per_draw(
            lambda p, q, g=gradient: rp.iwae(
                lambda z: log_joint(z, p[0]), q, samples=K, noise=rp.Noise(3 + len(g)), gradient=g
            ),
            N,
        )
        for gradient in ("total", "dreg")
    }
    (bound, total), (_, dreg) = made["total"], made["dreg"]
    agree(dreg, total.mean(-1), total.var(-1) / N)
    assert (dreg.var(-1)[1:] < 0.6 * total.var(-1)[1:]).all()
    log_p = TorchNormal(POINT[0], math.sqrt(2)).log_prob(torch.tensor(X, dtype=F64))
    assert exact_elbo(POINT) < bound.mean() < log_p


def test_signal_of_the_inference_network_against_K():
    """4,000 draws: the error of a ratio is 2 %, of the mean under dreg 1 % and less.

    For large K the signal-to-noise ratio falls as 1 / sqrt(K) under "total" and grows as sqrt(K) under "dreg".
    """
    ratios = {}
    for K in (4, 64):
        found = {}
        for gradient in ("total", "dreg"):
            p = leaves(4_000)
            q = D.Normal(p[1], p[2].exp())
            noise = rp.Noise(K)
            rp.iwae(
                lambda z, p=p: log_joint(z, p[0]), q, samples=K, noise=noise, gradient=gradient
            ).bound.sum().backward()
            found[gradient] = p.grad[1]
        mean = found["dreg"].mean().abs()  # that of both, with the smaller error
        for gradient, g in found.items():
            ratios[gradient, K] = (mean / g.std()).item()
    assert ratios["total", 64] < 0.35 * ratios["total", 4]
    assert ratios["dreg", 64] > 2.8 * ratios["dreg", 4]


def test_a_second_derivative_of_dreg_raises_in_every_parameter():
    """Its gradient holds the weights fixed: differentiating it again would be wrong, in theta too."""
    p = leaves(4)
    q = D.Normal(p[1], p[2].exp())
    bound = rp.iwae(lambda z: log_joint(z, p[0]), q, samples=3, noise=rp.Noise(0), gradient="dreg").bound
    (g,) = torch.autograd.grad(bound.sum(), p, create_graph=True)
    for row in g:
        with pytest.raises(RuntimeError, match="first derivatives only"):
            torch.autograd.grad(row.sum(), p, retain_graph=True)


def test_bounds_are_ordered_and_reach_the_likelihood():
    q = D.Normal(POINT[1].expand(4_000), POINT[2].exp())
    f = lambda z: log_joint(z, POINT[0])  # noqa: E731
    values = [rp.iwae(f, q, samples=K, noise=rp.Noise(0)).bound.mean() for K in (1, 4, 64)]
    log_p = TorchNormal(POINT[0], math.sqrt(2)).log_prob(torch.tensor(X, dtype=F64))
    assert values[0] < values[1] < values[2] < log_p + 1e-3
    assert log_p - values[2] < 0.01
    torch.testing.assert_close(
        rp.renyi(f, q, alpha=0, samples=4, noise=rp.Noise(0)).bound,
        rp.iwae(f, q, samples=4, noise=rp.Noise(0)).bound,
    )
    by_alpha = [
        rp.renyi(f, q, alpha=a, samples=64, noise=rp.Noise(0)).bound.mean() for a in (-1.0, 0.5, 1, 2.0)
    ]
    assert by_alpha == sorted(by_alpha, reverse=True)


def test_renyi_bound_has_its_closed_form():
    """E_q[w^(1-alpha)] of Gaussians by quadrature, against the estimate with K = 200,000."""
    q = D.Normal(POINT[1], POINT[2].exp())
    z = torch.linspace(-9, 9, 20_001, dtype=F64)
    for alpha in (0.5, -0.5):
        log_w = log_joint(z, POINT[0]) - q.log_prob(z)
        exact = torch.logsumexp((1 - alpha) * log_w + q.log_prob(z), 0) + math.log(18 / 20_000)
        got = rp.renyi(
            lambda z: log_joint(z, POINT[0]), q, alpha=alpha, samples=200_000, noise=rp.Noise(0)
        ).bound
        assert got == pytest.approx(exact.item() / (1 - alpha), abs=0.01)


def test_monte_carlo_kl_carries_its_error():
    """The error's square, averaged over 2,000 examples, is the variance of the estimates (within 15 %)."""
    q = D.Normal(torch.full((2_000,), 0.5, dtype=F64), torch.tensor(0.6, dtype=F64))
    prior = D.Normal(torch.zeros((), dtype=F64), torch.ones((), dtype=F64))
    terms = rp.elbo(likelihood, q, prior=prior, kl="monte_carlo", samples=8, noise=rp.Noise(0))
    assert terms.kl_standard_error.shape == (2_000,)
    assert (terms.kl_standard_error**2).mean().item() == pytest.approx(terms.kl.var().item(), rel=0.15)
    exact = rp.elbo(likelihood, q, prior=prior, samples=8, noise=rp.Noise(0))
    assert exact.kl_standard_error is None
    agree(terms.kl, exact.kl[0])


def test_beta_and_free_bits():
    q = D.Normal(torch.tensor([0.0, 2.0]), torch.ones(2))
    prior = D.Normal(0.0, 1.0)
    terms = rp.elbo(lambda z: -z, q, prior=prior, beta=3.0, free_bits=0.5, noise=rp.Noise(0))
    torch.testing.assert_close(terms.kl, torch.tensor([0.0, 2.0]))
    torch.testing.assert_close(terms.objective, terms.reconstruction - 3 * torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(terms.bound, terms.reconstruction - terms.kl)


def discrete_log_joint(z, theta):
    return theta * z.sum(-1) - 0.5 * (z[..., 0] - z[..., 1]) ** 2


def test_vimco_exactly():
    """All outcomes of K = 2 and 3 draws of two Bernoulli sites: E grad = grad E bound, Hessian too."""
    from estimators.cases import BERNOULLI, BINARY, Scripted, outcomes

    x = torch.cat([BINARY, torch.tensor([0.6], dtype=F64)])
    for K in (2, 3):
        numbers, weights = outcomes(BERNOULLI, K)
        b = (numbers[""] > 0).to(F64)

        def exact(p, b=b, K=K):
            q = D.Independent(D.Bernoulli(logits=p[:2]), 1)
            log_q = q.log_prob(b)
            log_w = discrete_log_joint(b, p[2]) - log_q
            return (log_q.sum(0).exp() * (torch.logsumexp(log_w, 0) - math.log(K))).sum()

        def expected(p, numbers=numbers, weights=weights, K=K):
            q = D.Independent(D.Bernoulli(logits=p[:2].expand(len(weights), 2)), 1)
            noise = Scripted(0, numbers=numbers)
            return (
                weights * rp.vimco(lambda z: discrete_log_joint(z, p[2]), q, samples=K, noise=noise).bound
            ).sum()

        results = []
        for f in (exact, expected):
            p = x.clone().requires_grad_()
            (g,) = torch.autograd.grad(f(p), p, create_graph=True)
            results.append(
                (f(p).detach(), g.detach(), *(torch.autograd.grad(a, p, retain_graph=True)[0] for a in g))
            )
        torch.testing.assert_close(results[1], results[0], rtol=1e-11, atol=1e-11)
    log_w = torch.tensor([0.3, -1.0, 2.0], dtype=F64)
    by_hand = torch.logsumexp(torch.tensor([0.5, -1.0, 2.0], dtype=F64), 0) - math.log(3)
    torch.testing.assert_close(leave_one_out_bounds(log_w)[0], by_hand)


def test_kl_estimates_have_the_gradients_that_are_documented():
    """B11, in the mean m of q = N(m, 1) against p = N(0, 1) and in the mean of p; 20,000 draws, |z| < 5.5."""
    m = 0.7
    forward, backward = (
        m,
        m,
    )  # d KL(q || p) = d KL(p || q) = m for equal variances; scales tell them apart below
    table = {
        ("fixed", "k1"): 0.0,
        ("fixed", "k2"): forward,
        ("fixed", "k3"): backward,
        ("pathwise", "k1"): forward,
        ("pathwise", "k3"): forward,
    }
    for (draws, kind), want in table.items():
        leaf = torch.full((N,), m, dtype=F64, requires_grad=True)
        q, p = D.Normal(leaf, 1.0), D.Normal(torch.zeros((), dtype=F64), 1.0)
        rp.kl_estimate(p, q, kind=kind, draws=draws, noise=rp.Noise(0)).sum().backward()
        agree(leaf.grad, torch.tensor(want, dtype=F64))
    s = 0.8  # q = N(0, s^2): d KL(q||p)/ds = s - 1/s, d KL(p||q)/ds = 1/s - 1/s^3
    table = {("fixed", "k1"): 0.0, ("fixed", "k2"): s - 1 / s, ("fixed", "k3"): 1 / s - 1 / s**3}
    table |= {("pathwise", "k1"): s - 1 / s, ("pathwise", "k3"): s - 1 / s}
    for (draws, kind), want in table.items():
        leaf = torch.full((N,), s, dtype=F64, requires_grad=True)
        q, p = D.Normal(torch.zeros((), dtype=F64), leaf), D.Normal(torch.zeros((), dtype=F64), 1.0)
        value = rp.kl_estimate(p, q, kind=kind, draws=draws, noise=rp.Noise(1))
        value.sum().backward()
        agree(leaf.grad, torch.tensor(want, dtype=F64))
        if kind != "k2":
            agree(value.detach(), torch.tensor((s**2 - 1) / 2 - math.log(s), dtype=F64))
    leaf = torch.full((N,), s, dtype=F64, requires_grad=True)
    q, p = D.Normal(torch.zeros((), dtype=F64), leaf), D.Normal(torch.zeros((), dtype=F64), 1.0)
    rp.kl_estimate(p, q, kind="k2", draws="pathwise", noise=rp.Noise(1)).sum().backward()
    assert (leaf.grad.mean() - (s - 1 / s)).abs() > 20 * leaf.grad.std() / N**0.5


Q, B = D.Normal(0.0, 1.0), D.Bernoulli(logits=torch.zeros(()))
ERRORS = [
    (lambda: rp.elbo(lambda z: z, B), TypeError, "must have draws with a derivative"),
    (lambda: rp.iwae(lambda z: z, Q, gradient="stl"), ValueError, "biased for more than one"),
    (lambda: rp.renyi(lambda z: z, Q, alpha=math.inf), ValueError, "alpha must be finite"),
    (lambda: rp.renyi(lambda z: z, B, alpha=0.5), TypeError, "must have draws with a derivative"),
    (
        lambda: rp.iwae(lambda z: z, Q, samples=2, gradient="dreg", noise=rp.Noise(0).sobol()),
        ValueError,
        "independent of each other",
    ),
    (
        lambda: rp.vimco(lambda z: z, B, samples=2, noise=rp.Noise(0).stratified()),
        ValueError,
        "independent of each other",
    ),
    (lambda: rp.vimco(lambda z: z, B, samples=1), ValueError, "samples must be an int >= 2"),
    (lambda: rp.elbo(lambda z: z, Q, prior=D.Normal(torch.zeros(3), 1.0)), ValueError, "broadcasts to q's"),
    (
        lambda: rp.elbo(
            lambda z: z.sum(-1),
            D.Independent(D.Normal(torch.zeros(3, 3), 1.0), 1),
            prior=Q,
            kl="monte_carlo",
        ),
        ValueError,
        "prior must have the event shape of q",
    ),
    (lambda: rp.kl_estimate(Q, Q, kind="k4"), ValueError, "kind must be"),
    (lambda: rp.kl_estimate(Q, Q, draws="frozen"), ValueError, "draws must be"),
    (lambda: rp.kl_estimate(B, B, draws="pathwise"), TypeError, "needs a q whose draws"),
    (lambda: rp.kl_estimate(D.Normal(torch.zeros(3), 1.0), Q), ValueError, "batch and event shapes"),
]


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS, ids=[e[2] for e in ERRORS])
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call()
