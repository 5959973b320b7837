"""Mixture of different families, InverseGaussian and the discretized mixture: what the table of laws does not see."""

import mpmath as mp
import pytest
import torch

import reparam as rp
from reparam import distributions as D

NOISE = rp.Noise(20260812)
F64 = torch.float64


def three(logits):
    one = torch.ones(2, dtype=F64)
    parts = [D.Laplace(-2 * one, one), D.Beta(2 * one, 0.7 * one), D.Folded(D.StudentT(3 * one, one, one))]
    return D.Mixture(D.Categorical(logits=logits), parts)


def test_density_and_tails_are_the_weighted_sums():
    logits = torch.tensor([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]], dtype=F64)
    q = three(logits)
    x = torch.tensor([-5.0, -0.5, 0.3, 0.9, 4.0], dtype=F64)[:, None]
    pi = torch.softmax(logits, -1)
    beta = torch.distributions.Beta(2.0, 0.7, validate_args=False)
    inside = (x > 0) & (x < 1)
    parts = [
        torch.exp(torch.distributions.Laplace(-2.0, 1.0).log_prob(x)),
        torch.where(inside, torch.exp(beta.log_prob(torch.where(inside, x, 0.5))), 0.0),
        torch.where(
            x > 0,
            torch.exp(D.StudentT(3.0, 1.0, 1.0).log_prob(x))
            + torch.exp(D.StudentT(3.0, 1.0, 1.0).log_prob(-x)),
            0.0,
        ),
    ]
    right = sum(pi[:, k] * part for k, part in enumerate(parts))
    torch.testing.assert_close(torch.exp(q.log_prob(x)), right.to(F64), rtol=1e-6, atol=1e-9)
    u = torch.tensor([1e-9, 1e-4, 0.3, 0.8], dtype=F64)[:, None]
    torch.testing.assert_close(q.cdf(q.icdf(u)), u.expand(4, 2), rtol=1e-10, atol=0)
    torch.testing.assert_close(q.survival(q.isf(u)), u.expand(4, 2), rtol=1e-10, atol=0)


@pytest.mark.parametrize("given", ["logits", "probs"])
def test_expectations_have_the_right_gradient(given):
    """E cos over a fine stratified grid against quadrature-free sums: d/dlogit_k = pi_k (E_k cos - E cos)."""
    weights = torch.tensor([0.3, -0.5], dtype=F64)
    leaf = (weights if given == "logits" else torch.softmax(weights, -1)).clone().requires_grad_()
    loc = torch.tensor(0.4, dtype=F64, requires_grad=True)
    rate = torch.tensor(1.5, dtype=F64, requires_grad=True)
    one = torch.ones((), dtype=F64)
    q = D.Mixture(D.Categorical(**{given: leaf}), [D.Normal(loc, one), D.Exponential(rate)])
    u = (torch.arange(20_000, dtype=F64) + 0.5) / 20_000
    value = torch.cos(q.push(torch.special.ndtri(u))).mean()
    ours = torch.autograd.grad(value, (leaf, loc, rate))
    # E cos x is cos(m) e^(-1/2) for the normal law and r^2/(1 + r^2) for the exponential one
    pi = torch.softmax(leaf, -1) if given == "logits" else leaf / leaf.sum()
    exact = pi[0] * torch.cos(loc) * torch.exp(-0.5 * one) + pi[1] * rate**2 / (1 + rate**2)
    right = torch.autograd.grad(exact, (leaf, loc, rate))
    for a, b in zip(ours, right):
        torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-4)
    x = torch.tensor([0.5, -1.0], dtype=F64)
    assert q.pathwise(x).keys() == {given, "0.loc", "0.scale", "1.rate"}
    assert q.pathwise(x)[given].shape == (2, 2)


def test_a_component_without_weight_is_never_drawn():
    zero = torch.zeros(1, dtype=F64)
    q = D.Mixture(
        D.Categorical(probs=torch.tensor([[0.0, 1.0]], dtype=F64)),
        [D.Normal(zero, zero + 1), D.Gamma(zero + 2, zero + 1)],
    )
    assert (q.sample((500,), noise=NOISE) > 0).all()


@pytest.mark.parametrize("name", ["InverseGaussian", "Mixture"])
def test_compiles_into_one_graph(name):
    eps = torch.linspace(-2, 2, 5, dtype=F64)
    values = [torch.tensor(v, dtype=F64, requires_grad=True) for v in (1.3, 0.8)]

    def total(eps, a, b):
        if name == "InverseGaussian":
            q = D.InverseGaussian(a, b, validate_args=False)
        else:
            weights = D.Categorical(logits=torch.stack((a, b)), validate_args=False)
            parts = [D.Normal(a, b, validate_args=False), D.Exponential(b, validate_args=False)]
            q = D.Mixture(weights, parts, validate_args=False)
        z = q.push(eps)
        return z.sum() + (q.log_prob(z).sum() if name == "InverseGaussian" else 0.0)

    eager = torch.autograd.grad(total(eps, *values), values)
    compiled = torch.compile(total, fullgraph=True, backend="aot_eager")
    for a, b in zip(torch.autograd.grad(compiled(eps, *values), values), eager):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_mixtures_refuse_what_has_no_quantile():
    weights = D.Categorical(logits=torch.zeros(2))
    normal = D.Normal(torch.tensor(0.0), torch.tensor(1.0))
    with pytest.raises(TypeError, match="components must be one-dimensional families"):
        D.Mixture(weights, [normal, D.VonMises(torch.tensor(0.0), torch.tensor(1.0))])
    with pytest.raises(TypeError, match="components must be one-dimensional families"):
        D.Mixture(weights, [normal, D.Poisson(torch.tensor(1.0))])
    with pytest.raises(ValueError, match="as many as"):
        D.Mixture(weights, [normal])
    with pytest.raises(TypeError, match="must be a Categorical"):
        D.Mixture(normal, [normal, normal])


def test_inverse_gaussian_entropy_mode_and_divergence():
    """Entropy and KL by quadrature of the density in 30 digits, the mode by the slope of the density."""
    mp.mp.dps = 30

    def log_density(x, m, l):
        return mp.log(l / (2 * mp.pi * x**3)) / 2 - l * (x - m) ** 2 / (2 * m**2 * x)

    for mu, lam in ((1.0, 1.0), (2.0, 0.3), (0.5, 30.0)):
        q = D.InverseGaussian(torch.tensor(mu, dtype=F64), torch.tensor(lam, dtype=F64))
        m, l = mp.mpf(mu), mp.mpf(lam)
        ends = [0, m / 20, m / 4, m, 4 * m, 40 * m, 4000 * m]
        right = -mp.quad(lambda x, m=m, l=l: mp.exp(log_density(x, m, l)) * log_density(x, m, l), ends)
        assert abs(q.entropy().item() / float(right) - 1) < 1e-12
        other = D.InverseGaussian(torch.tensor(1.5, dtype=F64), torch.tensor(2.0, dtype=F64))
        right = mp.quad(
            lambda x, m=m, l=l: (
                mp.exp(log_density(x, m, l)) * (log_density(x, m, l) - log_density(x, mp.mpf(1.5), mp.mpf(2)))
            ),
            ends,
        )
        assert abs(torch.distributions.kl_divergence(q, other).item() - float(right)) < 1e-12 * max(
            1, float(right)
        )
        x = q.mode.clone().requires_grad_()
        (slope,) = torch.autograd.grad(q.log_prob(x), x)
        assert abs(slope.item()) < 1e-9 * (1 + lam / mu**2)


# --- the discretized mixture ---------------------------------------------------------------------------------


def pictures(**options):
    logits = torch.tensor([[0.3, -1.0, 0.1], [0.0, 2.0, -4.0]], dtype=F64)
    loc = torch.tensor([[10.0, 120.0, 300.0], [-40.0, 128.0, 250.0]], dtype=F64)
    scale = torch.tensor([[3.0, 0.4, 20.0], [5.0, 30.0, 0.05]], dtype=F64)
    return D.DiscretizedLogisticMixture(logits, loc, scale, 0.0, 255.0, 256, **options)


def test_the_grid_has_probability_one_and_the_tails_keep_their_digits():
    q = pictures()
    total = torch.logsumexp(q.log_prob(q.enumerate_support()), 0)
    torch.testing.assert_close(total, torch.zeros(2, dtype=F64), rtol=0, atol=1e-12)
    mp.mp.dps = 60
    for row in range(2):
        for x in (0.0, 77.0, 120.0, 255.0):
            logits = [mp.mpf(v) for v in q.logits[row].tolist()]
            norm = sum(mp.exp(v) for v in logits)

            def cdf(t, row=row, logits=logits, norm=norm):
                terms = zip(logits, q.loc[row].tolist(), q.scale[row].tolist())
                return sum(mp.exp(w) / norm / (1 + mp.exp(-(t - mp.mpf(m)) / mp.mpf(s))) for w, m, s in terms)

            right = cdf(x + mp.mpf("0.5")) if x == 0 else 1 - cdf(x - mp.mpf("0.5")) if x == 255 else None
            right = right if right is not None else cdf(x + mp.mpf("0.5")) - cdf(x - mp.mpf("0.5"))
            ours = q.log_prob(torch.full((2,), x, dtype=F64))[row].item()
            assert abs(ours - float(mp.log(right))) < 1e-11 * max(1, abs(ours))


def test_discretized_draws_follow_the_law():
    """n = 50,000: probabilities of 256 numbers in two rows; a count is within 6 standard errors plus 3."""
    q, n = pictures(), 50_000
    z = q.sample((n,), noise=NOISE)
    assert q.support.check(z).all()
    assert torch.equal(z, q.push(NOISE.draw(q.noise_spec((n,)))))
    for row in range(2):
        counts = torch.bincount(z[:, row].long(), minlength=256).double()
        right = n * torch.exp(q.log_prob(q.enumerate_support()))[:, row]
        assert ((counts - right).abs() <= 6 * right.sqrt() + 3).all()
    u = torch.rand(200, 2, dtype=F64, generator=torch.Generator().manual_seed(1))
    x = q.push(torch.logit(u))
    assert (q.cdf(x) >= u - 1e-12).all()
    assert ((q.cdf(x - 1) < u + 1e-12) | (x == 0)).all()


def test_discretized_mixture_contract():
    q = pictures()
    leaves = [v.clone().requires_grad_() for v in (q.logits, q.loc, q.scale)]
    x = torch.tensor([3.0, 255.0], dtype=F64)

    def log_prob(*values):
        return D.DiscretizedLogisticMixture(*values, 0.0, 255.0, 256, validate_args=False).log_prob(x)

    assert torch.autograd.gradcheck(log_prob, leaves)
    assert torch.autograd.gradgradcheck(log_prob, leaves)
    wide = q.expand((4, 2))
    assert wide.sample((3,), noise=NOISE).shape == (3, 4, 2)
    assert q.sample((0,), noise=NOISE).shape == (0, 2)
    z = q.enumerate_support(expand=False)
    torch.testing.assert_close(q.mean, (z * torch.exp(q.log_prob(z))).sum(0))
    torch.testing.assert_close(q.variance, ((z - q.mean) ** 2 * torch.exp(q.log_prob(z))).sum(0))
    with pytest.raises(NotImplementedError, match="no derivative"):
        q.rsample(noise=NOISE)
    with pytest.raises(ValueError, match="axis of components"):
        D.DiscretizedLogisticMixture(torch.tensor(0.0), torch.tensor(0.0), torch.tensor(1.0), 0.0, 1.0, 2)
    with pytest.raises(ValueError, match="support"):
        q.log_prob(torch.tensor([0.5, 1.0], dtype=F64))
