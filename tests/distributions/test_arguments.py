"""What every constructor promises about its arguments: one dtype, no integers, empty batches, all over the tables."""

import itertools
import pickle

import pytest
import torch

import reparam as rp
from distributions import cases, cases_multivariate
from reparam import distributions as D

NOISE = rp.Noise(20260731)
F32, F64 = torch.float32, torch.float64


def rows(*values):
    return torch.tensor(values, dtype=F64)


TWO = rows([0.5, -1.0], [0.0, 0.25])
# families that no other table holds: (name, float parameters by name, constructor)
OTHERS = [
    ("Bernoulli", {"logits": rows(0.5, -1.0)}, D.Bernoulli),
    ("Categorical", {"logits": TWO}, D.Categorical),
    ("OneHotCategorical", {"probs": TWO.softmax(-1)}, D.OneHotCategorical),
    ("Geometric", {"logits": rows(0.5, -1.0)}, D.Geometric),
    ("Poisson", {"rate": rows(0.5, 30.0)}, D.Poisson),
    ("Binomial", {"total_count": rows(3.0, 7.0), "logits": rows(0.5, -1.0)}, D.Binomial),
    ("NegativeBinomial", {"total_count": rows(3.5, 7.0), "logits": rows(0.5, -1.0)}, D.NegativeBinomial),
    (
        "ZeroInflated",
        {"rate": rows(0.5, 30.0), "logits": rows(0.5, -1.0)},
        lambda rate, logits, **o: D.ZeroInflated(D.Poisson(rate, **o), logits, **o),
    ),
    ("RelaxedBernoulli", {"temperature": rows(0.5, 0.25), "logits": rows(0.5, -1.0)}, D.RelaxedBernoulli),
    (
        "RelaxedOneHotCategorical",
        {"temperature": rows(0.5)[0], "logits": TWO},
        D.RelaxedOneHotCategorical,
    ),
    (
        "DiscretizedLogistic",
        {"loc": rows(0.5, 9.0), "scale": rows(1.0, 0.5)},
        lambda loc, scale, **o: D.DiscretizedLogistic(loc, scale, 0.0, 15.0, 16, **o),
    ),
    (
        "DiscretizedLogisticMixture",
        {"logits": TWO, "loc": TWO + 5, "scale": TWO.exp()},
        lambda logits, loc, scale, **o: D.DiscretizedLogisticMixture(logits, loc, scale, 0.0, 15.0, 16, **o),
    ),
    (
        "MixtureSameFamily",
        {"logits": TWO, "loc": TWO + 5, "scale": TWO.exp()},
        lambda logits, loc, scale, **o: D.MixtureSameFamily(
            D.Categorical(logits=logits, **o), D.Normal(loc, scale, **o), **o
        ),
    ),
    (
        "VonMisesFisher",
        {"loc": rows([1.0, 0.0], [0.0, 1.0]), "concentration": rows(0.5, 3.0)},
        D.VonMisesFisher,
    ),
    (
        "PowerSpherical",
        {"loc": rows([1.0, 0.0], [0.0, 1.0]), "concentration": rows(0.5, 3.0)},
        D.PowerSpherical,
    ),
]
TABLE = (
    [(case.name, case.batch(), case.make) for case in cases.CASES]
    + [(case.name, case.params, case.make) for case in cases_multivariate.CASES]
    + [(name, params, lambda p, make=make, **o: make(**p, **o)) for name, params, make in OTHERS]
)
EVERY = pytest.mark.parametrize(("name", "params", "make"), TABLE, ids=[row[0] for row in TABLE])


@EVERY
def test_dtypes_are_promoted_in_any_order(name, params, make):
    """Float32 in any subset of the parameters, float64 in the others: the law of the same numbers in float64."""
    narrow = {key: value.float() for key, value in params.items()}
    wide = make({key: value.double() for key, value in narrow.items()})
    right = wide.sample((3,), noise=NOISE)
    for names in itertools.islice(
        itertools.chain.from_iterable(itertools.combinations(params, n) for n in range(1, len(params))), 6
    ):
        mixed = make({key: narrow[key] if key in names else narrow[key].double() for key in params})
        z = mixed.sample((3,), noise=NOISE)
        assert z.dtype in (F64, torch.int64)
        assert torch.equal(z, right), names
        assert torch.equal(mixed.log_prob(z), wide.log_prob(right))
        assert mixed._validate_args


@EVERY
def test_empty_batches_with_validation(name, params, make):
    """No row, no sample, or neither: shapes as of any other number of rows."""
    full = make(params)
    none = {key: value[:0] if value.ndim else value for key, value in params.items()}
    for q, sample, batch in (
        (make(none), (2,), (0,)),
        (make(none), (), (0,)),
        (full, (0,), full.batch_shape),
    ):
        assert q._validate_args
        z = q.sample(sample, noise=NOISE)
        assert z.shape == (*sample, *batch, *full.event_shape)
        assert q.log_prob(z).shape == (*sample, *batch)
        if q.has_rsample:
            assert torch.equal(q.rsample(sample, noise=NOISE), z)
        assert q.expand((3, *batch)).batch_shape == (3, *batch)
    if full.event_shape:
        with pytest.raises(ValueError, match="shape"):
            full.log_prob(torch.zeros(0, *full.batch_shape, *(n + 1 for n in full.event_shape), dtype=F64))


@EVERY
def test_integer_parameters_are_refused_by_name(name, params, make):
    if name.startswith("MixtureSameFamily"):
        pytest.skip("the table stacks the parameters of its two components, integers with floats")
    for key in set(params) - {"total_count", "l0", "l1"}:
        with pytest.raises(
            TypeError, match=r"\w+: \w+ must be a tensor of floating point.*got torch.int64.*\.to\("
        ):
            make({**params, key: params[key].long()})


REFUSED = [
    (lambda: D.Beta(torch.ones(2), torch.ones(3, dtype=F64)), ValueError, r"concentration0 \(3,\)"),
    (
        lambda: D.Dirichlet([1.0, 2.0]),
        TypeError,
        "Dirichlet: concentration must be a tensor or a number; got list",
    ),
    (lambda: D.VonMisesFisher([1.0, 0.0], 1.0), TypeError, "VonMisesFisher: loc must be .*; got list"),
    (lambda: D.Normal("0", 1.0), TypeError, "Normal: loc must be a tensor or a number; got str"),
    (lambda: D.Categorical([0.1, 0.9]), TypeError, "Categorical: probs must be .*; got list"),
    (
        lambda: D.Gamma(torch.ones(2), torch.ones(3)),
        ValueError,
        r"Gamma: the shapes of the parameters must broadcast; got concentration \(2,\), rate \(3,\)",
    ),
    (
        lambda: D.TruncatedNormal(torch.zeros(2), torch.ones(3), 0.0, 1.0),
        ValueError,
        r"loc \(2,\), scale \(3,\)",
    ),
    (lambda: D.Binomial(torch.ones(2), torch.ones(3)), ValueError, r"total_count \(2,\), probs \(3,\)"),
    (
        lambda: D.MultivariateNormal(torch.zeros(2), torch.eye(3)),
        ValueError,
        r"needs covariance_matrix of shape \(\*B, d, d\); got \(2,\) and \(3, 3\)",
    ),
    (lambda: D.Normal(0.0), TypeError, "scale"),
    (lambda: D.Normal(0.0, 0.0), ValueError, "GreaterThan"),
]


@pytest.mark.parametrize(("build", "error", "text"), REFUSED)
def test_kinds_and_shapes_of_parameters_are_refused_by_name(build, error, text):
    with pytest.raises(error, match=text):
        build()


def test_numbers_without_dimensions_count_too():
    q = D.Normal(torch.zeros(2), torch.tensor(1.0, dtype=F64))
    assert q.sample(noise=NOISE).dtype == F64
    assert D.Binomial(torch.tensor(3), probs=torch.tensor(0.5)).sample(noise=NOISE).dtype == F32


class Named(D.Gumbel):
    """A subclass with the constructor it inherits."""


class Shifted(D.Normal):
    """A subclass with a constructor of its own and no `expand`."""

    def __init__(self, loc):
        super().__init__(loc, torch.ones_like(loc))


def test_subclasses_expand_like_torch_s():
    one = torch.ones(3)
    assert type(Named(one, one).expand((2, 3))) is Named
    with pytest.raises(NotImplementedError, match="expand"):
        Shifted(one).expand((2, 3))


LATE = {
    "Gumbel": ("base_dist", "transforms"),
    "Weibull": ("base_dist", "transforms", "concentration_reciprocal"),
    "Kumaraswamy": ("base_dist", "transforms"),
    "Beta": ("_dirichlet",),
    "FisherSnedecor": ("_gamma1", "_gamma2"),
    "StudentT": ("_chi2",),
}


@pytest.mark.parametrize("name", LATE)
def test_what_torch_s_constructors_build_is_there_when_asked_for(name):
    first = torch.tensor([2.0, 3.0]).requires_grad_()
    for arguments in ((first, 1.5), (2.0, 1.5)):
        ours, theirs = (getattr(module, name)(*arguments) for module in (D, torch.distributions))
        assert not set(LATE[name]) & set(ours.__dict__)
        assert ours.batch_shape == theirs.batch_shape
        for part in LATE[name]:
            mine, right = getattr(ours, part), getattr(theirs, part)
            assert type(mine) is type(right)
            if isinstance(right, torch.distributions.Distribution):
                assert mine.batch_shape == right.batch_shape
        copied = pickle.loads(pickle.dumps(ours.expand((3, 2)) if ours.batch_shape else ours.expand((3,))))
        grown = theirs.expand(copied.batch_shape)
        for parameter in ours.parameters():
            torch.testing.assert_close(getattr(copied, parameter), getattr(grown, parameter))
        with pytest.raises(AttributeError, match="no attribute 'other'"):
            _ = ours.other
    value = torch.distributions.Beta(first, 1.5).entropy()
    torch.testing.assert_close(D.Beta(first, 1.5).entropy(), value)
