"""Draws at extreme parameters: no NaN, nothing outside the support, 0 and inf only where the number itself is beyond.

30,000 draws of each parameter set in the default suite, 10^6 in `make stats` (of costly families in all), in both
precisions. A float32 draw is held against the same map of the same noise in float64; a float64 draw that can leave the
range of its numbers against its logarithm, computed from the noise by another formula.
"""

import math

import pytest
import torch

import reparam as rp
from distributions.cases import CASES
from reparam import special

F64 = torch.float64
NOISE = rp.Noise(20260901)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, F64], ids=["f32", "f64"])
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
CHUNK = 50_000


def log_gamma_draw(eps, alpha, rate):
    return special.quantile(special.GAMMA, eps, alpha) - rate.log()


def log_fisher_draw(eps, df1, df2):
    return df2.log() - df1.log() + special.quantile(special.BETA, eps, df1 / 2, df2 / 2)


def log_student_draw(eps, df, loc, scale):
    """log |t| by t^2 = nu e^-xi, xi the logit of a beta variable at the two-sided tail probability."""
    score = special.ndtri_exp(special.log_ndtr(-eps.abs()) + math.log(2) - 1e-18)
    return (df.log() - special.quantile(special.BETA, score, df / 2, torch.full_like(df, 0.5))) / 2


LOG_DRAWS = {  # log |z| of the noise and the parameters, for the families that can leave the range of float64
    "LogNormal": lambda eps, loc, scale: loc + scale * eps,
    "Weibull": lambda eps, scale, concentration: scale.log() + eps.log() / concentration,
    "Pareto": lambda eps, scale, alpha: scale.log() + eps / alpha,
    "Kumaraswamy": lambda eps, a, b: (-torch.expm1(-eps / b)).log() / a,
    "Gamma": log_gamma_draw,
    "InverseGamma": lambda eps, alpha, rate: rate.log() - special.quantile(special.GAMMA, -eps, alpha),
    "Chi2": lambda eps, df: log_gamma_draw(eps, df / 2, torch.full_like(df, 0.5)),
    "Beta": lambda eps, a, b: torch.nn.functional.logsigmoid(special.quantile(special.BETA, eps, a, b)),
    "FisherSnedecor": log_fisher_draw,
    "StudentT": log_student_draw,
    "Folded(StudentT)": log_student_draw,
}


def sets(case):
    return len(next(iter(case.extremes.values())))


def check_support(q, z):
    assert not z.isnan().any()
    assert (q.support.check(z) | z.isinf()).all(), z[~q.support.check(z)][:5]
    assert not q.log_prob(z).isnan().any()


def test_densities_at_a_draw_that_is_zero():
    """The limits at 0 of the laws whose draws may underflow to it, and gradients that are no NaN there."""
    shapes = torch.tensor([0.5, 1.0, 2.0], dtype=F64, requires_grad=True)
    two, zero = torch.tensor(2.0, dtype=F64), torch.zeros(3, dtype=F64)
    inf = math.inf
    cases = [
        (rp.distributions.Weibull(two, shapes), [inf, -math.log(2), -inf]),
        (rp.distributions.FisherSnedecor(2 * shapes, two), [inf, 0.0, -inf]),
        (rp.distributions.InverseGamma(shapes, two), [-inf] * 3),
        (rp.distributions.LogNormal(shapes, two), [-inf] * 3),
        (rp.distributions.Gamma(shapes, two), [inf, math.log(2), -inf]),
    ]
    for q, right in cases:
        value = q.log_prob(zero)
        torch.testing.assert_close(value, torch.tensor(right, dtype=F64))
        assert (q.cdf(zero) == 0).all()
        (slope,) = torch.autograd.grad(torch.where(value.isfinite(), value, 0.0).sum(), shapes)
        assert not slope.isnan().any()


def check_against_double(case, params, eps, z):
    """A float32 draw is the float64 one to .1 %, as far as float32 reaches."""
    wide = case.make({name: value.double() for name, value in params.items()}, validate_args=False)
    right = wide.push(eps.double())
    tiny, top = 2.0**-149, torch.finfo(torch.float32).max
    inf = z.isinf()
    assert (right[inf].abs() > top).all()
    assert (right[~inf].abs() <= top * (1 + 1e-7)).all()
    spread = 1e-3 * right.abs() + tiny
    if case.name != "LogNormal":
        for name in {"loc", "m0", "m1"} & params.keys():
            spread = (
                spread + 1e-3 * params[name].abs()
            )  # z is a sum with loc: exact relative to its larger term
    if case.name == "TruncatedNormal":  # drawn as loc + scale y
        spread = spread + 2e-6 * (params["high"] - params["low"]).clamp(max=1.0)
    assert ((z.double() - right).abs()[~inf] <= spread.expand_as(z)[~inf]).all()


def check_against_logarithm(case, params, eps, z):
    """A float64 draw is e^l to 1e-6, 0 or inf where that is not a number; without l it is neither."""
    if case.name not in LOG_DRAWS:
        assert not z.isinf().any()
        if (
            case.costly and (z == 0).any()
        ):  # 0 is the root where Phi(eps) lies between F(0) and F of the least number
            q, zero = case.make(params), torch.zeros_like(z[:1])
            u, least = torch.special.ndtr(eps), torch.full_like(zero, 5e-324)
            between = (u > q.cdf(zero) - 1e-12) & (u < q.cdf(least) + 1e-12)
            assert between[z == 0].all()
        else:
            assert (z != 0).all() or case.grain or case.name in ("Uniform", "VonMises")
        return
    l = LOG_DRAWS[case.name](eps, *params.values())
    low, high = math.log(5e-324) - math.log(2), math.log(torch.finfo(F64).max)
    if case.name == "Folded(StudentT)":
        z, l = z[..., :2], l[..., :2]  # those at loc 0, with small df
    assert (l[z.isinf()] > high - 1e-9).all()
    assert (l[z == 0] < low + 1e-6).all()
    inside = (z != 0) & ~z.isinf()
    slack = torch.where(l < -700, 1.0, 1e-6 * (1 + l.abs()))  # a subnormal number has few digits
    assert ((z.abs().log() - l).abs()[inside] <= slack[inside]).all()
    assert (l[inside] < high + 1e-6).all()


def check(case, dtype, total):
    params = case.batch(dtype, extreme=True)
    q = case.make(params)
    for i in range(-(-total // CHUNK)):
        n = min(CHUNK, total - i * CHUNK)
        noise = NOISE.child(str(i))
        z = q.sample((n,), noise=noise)
        check_support(q, z)
        eps = noise.draw(q.noise_spec((n,)))
        (check_against_double if dtype == torch.float32 else check_against_logarithm)(case, params, eps, z)


@EVERY
@DTYPES
def test_extreme_draws(case, dtype):
    check(case, dtype, 30_000 // (sets(case) if case.costly else 1))


@pytest.mark.stats
@pytest.mark.timeout(1800)
@EVERY
@DTYPES
def test_a_million_extreme_draws(case, dtype):
    check(case, dtype, 1_000_000 // (sets(case) if case.costly else 1))
