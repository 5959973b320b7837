"""KL divergences: torch's registrations hold for our classes, ours for what torch lacks; both against quadrature."""

import pytest
import torch
from torch.distributions import kl_divergence
from torch.distributions.kl import _KL_REGISTRY

import reparam as rp
from reparam import distributions as D

F64 = torch.float64
NOISE = rp.Noise(20260903)


def t(*values):
    return torch.tensor(values, dtype=F64)


MATRIX = t([2.0, 0.3], [0.3, 1.0])
FACTOR = t([0.5], [1.0])
# two parameter sets of every family that torch registers a divergence for; bounds nested where one must be
TABLE = {
    "Bernoulli": [{"probs": t(0.3)}, {"probs": t(0.6)}],
    "Beta": [
        {"concentration1": t(2.0), "concentration0": t(3.0)},
        {"concentration1": t(1.5), "concentration0": t(0.7)},
    ],
    "Binomial": [{"total_count": 5, "probs": t(0.3)}, {"total_count": 5, "probs": t(0.6)}],
    "Categorical": [{"logits": t(0.1, 0.5, -1.0)}, {"logits": t(0.0, 0.3, 0.4)}],
    "Cauchy": [{"loc": t(0.0), "scale": t(1.0)}, {"loc": t(1.0), "scale": t(2.0)}],
    "ContinuousBernoulli": [{"probs": t(0.3)}, {"probs": t(0.8)}],
    "Dirichlet": [{"concentration": t(1.0, 2.0, 0.5)}, {"concentration": t(0.7, 1.0, 3.0)}],
    "Exponential": [{"rate": t(1.5)}, {"rate": t(0.4)}],
    "Gamma": [{"concentration": t(2.5), "rate": t(1.5)}, {"concentration": t(1.2), "rate": t(0.6)}],
    "Geometric": [{"probs": t(0.3)}, {"probs": t(0.6)}],
    "Gumbel": [{"loc": t(0.3), "scale": t(1.2)}, {"loc": t(-0.5), "scale": t(2.0)}],
    "HalfNormal": [{"scale": t(1.0)}, {"scale": t(2.0)}],
    "Laplace": [{"loc": t(0.3), "scale": t(1.2)}, {"loc": t(-0.5), "scale": t(2.0)}],
    "LowRankMultivariateNormal": [
        {"loc": t(0.0, 1.0), "cov_factor": FACTOR, "cov_diag": t(1.0, 2.0)},
        {"loc": t(0.5, 0.0), "cov_factor": -FACTOR, "cov_diag": t(2.0, 0.7)},
    ],
    "MultivariateNormal": [
        {"loc": t(0.0, 1.0), "covariance_matrix": MATRIX},
        {"loc": t(0.5, 0.0), "covariance_matrix": torch.eye(2, dtype=F64)},
    ],
    "Normal": [{"loc": t(0.3), "scale": t(1.2)}, {"loc": t(-0.5), "scale": t(2.0)}],
    "OneHotCategorical": [{"logits": t(0.1, 0.5, -1.0)}, {"logits": t(0.0, 0.3, 0.4)}],
    "Pareto": [{"scale": t(1.5), "alpha": t(3.0)}, {"scale": t(1.0), "alpha": t(2.0)}],
    "Poisson": [{"rate": t(1.5)}, {"rate": t(0.4)}],
    "Uniform": [{"low": t(0.2), "high": t(0.7)}, {"low": t(0.1), "high": t(0.9)}],
}
PAIRS = sorted(
    (p.__name__, q.__name__)
    for p, q in _KL_REGISTRY
    if p.__module__.startswith("torch.") and p.__name__ in TABLE and q.__name__ in TABLE
)
KINDS = [(D, D), (D, torch.distributions), (torch.distributions, D)]


def test_the_table_has_all_registrations_of_torch():
    known = {p.__name__ for p, q in _KL_REGISTRY if p.__module__[:6] == q.__module__[:6] == "torch."}
    assert known - set(TABLE) == {"ExponentialFamily", "TransformedDistribution", "Independent"}
    assert len(PAIRS) == 84


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_registrations_of_torch_hold_for_ours(p, q):
    def value(first, second):
        try:
            return kl_divergence(getattr(first, p)(**TABLE[p][0]), getattr(second, q)(**TABLE[q][1]))
        except NotImplementedError:
            return None

    right = value(torch.distributions, torch.distributions)
    for first, second in KINDS:
        ours = value(first, second)
        assert (ours is None) == (right is None)
        if right is not None:
            torch.testing.assert_close(ours, right, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["LogNormal", "InverseGamma", "Chi2"])
def test_transformed_and_derived_families(name):
    one, two = {
        "LogNormal": TABLE["Normal"],
        "InverseGamma": TABLE["Gamma"],
        "Chi2": [{"df": t(3.0)}, {"df": t(5.0)}],
    }[name]
    right = kl_divergence(
        getattr(torch.distributions, name)(**one), getattr(torch.distributions, name)(**two)
    )
    for first, second in KINDS:
        ours = kl_divergence(getattr(first, name)(**one), getattr(second, name)(**two))
        torch.testing.assert_close(ours, right, rtol=1e-12, atol=1e-14)


def by_quadrature(p, q):
    """int phi(e) (log p - log q)(F_p^{-1}(Phi(e))) de by the trapezoid rule, which is exact for what is analytic."""
    e = torch.linspace(-8.0, 8.0, 3201, dtype=F64)[:, None]
    x = p.at_score(e)
    weight = torch.exp(-e * e / 2)
    return (weight * (p.log_prob(x) - q.log_prob(x))).sum(0) / weight.sum()


SHAPES = {
    "Normal": [(t(0.3), t(1.2)), (t(-0.5), t(2.0))],
    "Gamma": [(t(2.5, 0.8), t(1.5)), (t(1.2, 3.0), t(0.6))],
    "Beta": [(t(2.0), t(3.0)), (t(1.5), t(0.7))],
    "Weibull": [(t(1.0, 3.0), t(1.5, 0.8)), (t(2.0, 2.9), t(1.1, 2.0))],
    "ExpGamma": [(t(2.5, 0.3), t(1.5, 1.0)), (t(1.2, 0.4), t(0.6, 3.0))],
    "VonMises": [(t(0.0, 0.3, 0.0), t(0.7, 30.0, 300.0)), (t(1.0, 0.2, 0.01), t(2.0, 4.0, 280.0))],
    "TruncatedNormal": [
        (t(0.3, 0.0, -9.0), t(1.2, 1.0, 1.0), t(-0.9, 4.0, -1.0), t(2.0, 6.0, 2.9)),
        (t(-0.5, 0.5, 2.0), t(2.0, 0.7, 3.0), t(-1.0, 3.0, -9.0), t(2.5, torch.inf, 3.0)),
    ],
    "InverseGaussian": [(t(1.0, 2.0), t(1.5, 5.0)), (t(1.2, 2.0), t(0.7, 4.0))],
}


@pytest.mark.parametrize("name", SHAPES)
def test_divergences_against_quadrature(name):
    p, q = (getattr(D, name)(*values) for values in SHAPES[name])
    torch.testing.assert_close(kl_divergence(p, q), by_quadrature(p, q), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(kl_divergence(p, p), torch.zeros_like(kl_divergence(p, p)), rtol=0, atol=1e-13)
    leaves = [value.clone().requires_grad_() for value in SHAPES[name][0]]
    assert torch.autograd.gradcheck(
        lambda *v: kl_divergence(getattr(D, name)(*v, validate_args=False), q), leaves
    )


def test_divergence_of_truncated_normals_whose_bounds_are_not_nested_is_infinite():
    p, q = D.TruncatedNormal(0.0, 1.0, -1.0, 2.0), D.TruncatedNormal(0.0, 1.0, -0.5, 2.0)
    assert kl_divergence(p, q) == torch.inf
    assert kl_divergence(q, p) < torch.inf


@pytest.mark.parametrize("d", [2, 3, 10])
def test_divergence_of_directions(d):
    """d = 2 is the von Mises law; in general by the mean over n = 40,000 draws, within 5 errors."""
    first = torch.nn.functional.normalize(torch.arange(1.0, d + 1, dtype=F64), dim=0)
    second = torch.nn.functional.normalize(first.flip(0) + 0.5, dim=0)
    p, q = D.VonMisesFisher(first, t(4.0)), D.VonMisesFisher(second, t(2.5))
    value = kl_divergence(p, q)
    x = p.sample((40_000,), noise=NOISE)
    gain = p.log_prob(x) - q.log_prob(x)
    assert ((gain.mean(0) - value).abs() < 5 * gain.std(0) / 200).all()
    if d == 2:
        angles = [torch.atan2(mu[1], mu[0])[None] for mu in (first, second)]
        same = kl_divergence(D.VonMises(angles[0], t(4.0)), D.VonMises(angles[1], t(2.5)))
        torch.testing.assert_close(value, same, rtol=1e-12, atol=1e-14)
    assert kl_divergence(p, p).abs().max() < 1e-13


def test_divergence_of_wishart_laws_ours_and_torchs():
    """Against torch's Bregman divergence, item by item: for a batch of Wishart laws it sums over the batch (and is
    even negative here).
    """
    first, second = (t(5.0, 3.5), MATRIX), (t(4.0, 6.0), t([1.5, -0.2], [-0.2, 0.8]))
    right = [
        kl_divergence(torch.distributions.Wishart(m, first[1]), torch.distributions.Wishart(n, second[1]))
        for m, n in zip(first[0], second[0])
    ]
    for one, two in KINDS:
        value = kl_divergence(one.Wishart(*first), two.Wishart(*second))
        torch.testing.assert_close(value, torch.stack(right), rtol=1e-12, atol=1e-13)
    leaves = [v.clone().requires_grad_() for v in (*first, *second)]

    def divergence(m, V, n, U):
        p, q = (D.Wishart(df, (M + M.mT) / 2, validate_args=False) for df, M in ((m, V), (n, U)))
        return kl_divergence(p, q)

    assert torch.autograd.gradcheck(divergence, leaves)
    assert torch.autograd.gradgradcheck(divergence, leaves)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("p", "q"), [pair for pair in PAIRS if "Multi" in pair[0] and "Multi" in pair[1]])
def test_gaussian_divergences_in_half_precision_are_those_of_float32(p, q, dtype):
    given = ({k: v.to(dtype) for k, v in TABLE[n][i].items()} for i, n in enumerate((p, q)))
    half = [getattr(D, n)(**values) for n, values in zip((p, q), given)]
    wide = kl_divergence(*(law._as(torch.float32) for law in half))
    assert torch.equal(kl_divergence(*half), wide.to(dtype))
