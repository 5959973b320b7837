"""bfloat16 and float16: every family computes in float32 and rounds once, and takes its own draws."""

import pytest
import torch

import reparam as rp
from distributions import cases, cases_multivariate
from reparam import distributions as D

NOISE = rp.Noise(0).child("half")
HALVES = (torch.bfloat16, torch.float16)

MU = torch.nn.functional.normalize(torch.tensor([[1.0, 2.0, -1.0], [0.3, 0.0, 1.0]]), dim=-1)
WEIGHTS = torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.5, 0.25]])
LOC, SCALE = torch.tensor([[0.1, -0.7], [0.9, 0.3]]), torch.tensor([[0.1, 0.5], [0.02, 0.3]])


def grid(family):
    return lambda **given: family(low=-1.0, high=1.0, bins=256, **given)


OTHERS = {
    "VonMisesFisher": (D.VonMisesFisher, {"loc": MU, "concentration": torch.tensor([3.0, 50.0])}),
    "PowerSpherical": (D.PowerSpherical, {"loc": MU, "concentration": torch.tensor([3.0, 50.0])}),
    "RelaxedOneHotCategorical": (
        lambda logits, **o: D.RelaxedOneHotCategorical(
            torch.tensor(0.5, dtype=logits.dtype), logits=logits, **o
        ),
        {"logits": WEIGHTS},
    ),
    "RelaxedBernoulli": (
        lambda logits, **o: D.RelaxedBernoulli(torch.tensor(0.5, dtype=logits.dtype), logits=logits, **o),
        {"logits": WEIGHTS},
    ),
    "DiscretizedLogistic": (grid(D.DiscretizedLogistic), {"loc": LOC, "scale": SCALE}),
    "DiscretizedLogisticMixture": (
        grid(D.DiscretizedLogisticMixture),
        {"logits": WEIGHTS[:, :2], "loc": LOC, "scale": SCALE},
    ),
    "Bernoulli": (D.Bernoulli, {"logits": WEIGHTS}),
    "Categorical": (D.Categorical, {"logits": WEIGHTS}),
    "OneHotCategorical": (D.OneHotCategorical, {"logits": WEIGHTS}),
    "Geometric": (D.Geometric, {"logits": WEIGHTS}),
    "Poisson": (D.Poisson, {"rate": torch.tensor([0.3, 4.0, 70.0])}),
    "Binomial": (
        lambda logits, **o: D.Binomial(torch.tensor(9, dtype=logits.dtype), logits=logits, **o),
        {"logits": WEIGHTS},
    ),
    "NegativeBinomial": (
        lambda logits, **o: D.NegativeBinomial(torch.tensor(9, dtype=logits.dtype), logits=logits, **o),
        {"logits": WEIGHTS},
    ),
    "ZeroInflated": (
        lambda rate, logits, **o: D.ZeroInflated(D.Poisson(rate, **o), logits, **o),
        {"rate": torch.tensor([0.3, 4.0, 70.0]), "logits": WEIGHTS[0]},
    ),
}
EVERY = (
    {case.name: (case.make, case.batch(torch.float32)) for case in cases.CASES}
    | {case.name: (case.make, case.params) for case in cases_multivariate.CASES}
    | OTHERS
)


for name in ("Wishart(L)", "Wishart(C)"):  # a draw near the edge of the cone may round to outside of it
    EVERY[name] = (EVERY[name][0], EVERY[name][1] | {"df": torch.tensor([7.0, 9.0])})
MOMENTS = ("mean", "variance", "entropy", "covariance_matrix", "precision_matrix", "scale_tril")


def law(name, params, dtype, **options):
    maker, _ = EVERY[name]
    params = {key: value.to(dtype) for key, value in params.items()}
    of_a_case = hasattr(maker, "__self__")
    return maker(params, **options) if of_a_case else maker(**params, **options)


def twins(name, dtype):
    """The law in half precision and the float32 law of the same numbers, with their parameters."""
    exact = {key: value.to(dtype).float() for key, value in EVERY[name][1].items()}
    half = {key: value.to(dtype).requires_grad_() for key, value in exact.items()}
    wide = {key: value.clone().requires_grad_() for key, value in exact.items()}
    return law(name, half, dtype), half, law(name, wide, torch.float32, validate_args=False), wide


def same(half, wide):
    return torch.equal(half.nan_to_num(7.0), wide.to(half.dtype).nan_to_num(7.0))


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_half_precision_is_float32_rounded_once(name, dtype):
    """Draws and densities are those of the float32 law of the same numbers, rounded; own draws are in the support."""
    q, _, p, _ = twins(name, dtype)
    z, x = q.sample((50,), noise=NOISE), p.sample((50,), noise=NOISE)
    assert z.dtype == (torch.int64 if name == "Categorical" else dtype)
    assert same(z, x)
    grown = q.expand((2, *q.batch_shape))
    assert grown.log_prob(z[0]).shape == (2, *q.batch_shape)
    assert same(grown.log_prob(z[0])[1], q.log_prob(z[0]))
    log_q = q.log_prob(z)
    assert log_q.dtype == dtype
    assert same(log_q, p.log_prob(q._point(z, "log_prob")))
    assert same(rp.detach(q).log_prob(value=z), log_q)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_gradients_in_half_precision(name, dtype):
    """Of draws and of densities: those of the float32 law, rounded once."""
    q, half, p, wide = twins(name, dtype)
    weight = torch.randn((4, *q.batch_shape, *q.event_shape), generator=torch.Generator().manual_seed(0))
    weight = weight.to(dtype).float()
    z = q.sample((4,), noise=NOISE)
    pairs = [(q.log_prob(z), p.log_prob(q._point(z, "log_prob")), torch.ones(()))]
    if q.has_rsample:
        pairs.append((q.rsample((4,), noise=NOISE), p.rsample((4,), noise=NOISE), weight))
    for of_q, of_p, along in pairs:
        if not of_q.requires_grad:
            continue
        got = torch.autograd.grad(
            (of_q * along.to(dtype)).sum(dtype=torch.float32),
            half.values(),
            allow_unused=True,
            retain_graph=True,
        )
        want = torch.autograd.grad((of_p * along).sum(), wide.values(), allow_unused=True, retain_graph=True)
        for g, w in zip(got, want):
            assert (g is None) == (w is None)
            assert g is None or same(g, w)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_moments_in_half_precision(name, dtype):
    """What the float32 law knows, the one in half precision knows, rounded once."""

    def known(law, moment):
        try:
            value = getattr(law, moment)
            return value() if moment == "entropy" else value
        except (AttributeError, NotImplementedError):
            return None

    q, _, p, _ = twins(name, dtype)
    for moment in MOMENTS:
        got, want = known(q, moment), known(p, moment)
        assert (got is None) == (want is None)
        if want is not None:
            assert got.dtype == dtype
            assert same(got, want)
