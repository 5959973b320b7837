"""Three named programs: gradients and Hessians exact by enumeration of all noise, and lower variance with credit."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

import reparam as rp
from estimators.cases import F64, FAR, Scripted
from reparam import distributions as D
from reparam import estimators as E


def derivatives(value: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    (g,) = torch.autograd.grad(value, x, create_graph=True)
    return g.detach(), torch.stack([torch.autograd.grad(part, x, retain_graph=True)[0] for part in g])


def binary_noise(names: list[str], samples: int) -> tuple[dict, Tensor]:
    """Return noise for all outcomes of binary sites, and the outcomes b, shape (names, S, outcomes)."""
    b = torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(names) * samples)), dtype=F64)
    b = b.T.reshape(len(names), samples, -1)
    return {name: FAR * (2 * b[i] - 1) for i, name in enumerate(names)}, b


class Walk:
    """x moves by +-1 with P(up) = sigmoid(a - b x); the cost of a step is (x - .5)^2 + .3 a x."""

    x = torch.tensor([0.4, 0.7], dtype=F64)
    steps = 3
    names = ("b0", "b1", "b2")

    def loss(self, theta, estimator, credit=True):
        def run(site):
            x = torch.zeros(site.samples, *(site.batch or ()), dtype=F64)
            total = 0.0
            for t in range(self.steps):
                b = site(f"b{t}", D.Bernoulli(logits=theta[0] - theta[1] * x), estimator=estimator)
                x = x + 2 * b - 1
                cost = (x - 0.5) ** 2 + 0.3 * theta[0] * x
                if credit and t < self.steps - 1:
                    site.cost(cost)
                else:
                    total = total + cost
            return total

        return run

    def weights(self, theta, b):
        p, x = torch.ones(b.shape[1:], dtype=F64), torch.zeros(b.shape[1:], dtype=F64)
        for step in b:
            up = torch.sigmoid(theta[0] - theta[1] * x)
            p, x = p * (step * up + (1 - step) * (1 - up)), x + 2 * step - 1
        return p.prod(0)

    def exact(self, theta):
        total = 0.0
        for path in itertools.product((0.0, 1.0), repeat=self.steps):
            b = torch.tensor(path, dtype=F64)
            x, p, cost = torch.zeros((), dtype=F64), 1.0, 0.0
            for step in b:
                up = torch.sigmoid(theta[0] - theta[1] * x)
                p, x = p * (up if step else 1 - up), x + 2 * step - 1
                cost = cost + (x - 0.5) ** 2 + 0.3 * theta[0] * x
            total = total + p * cost
        return total


class TwoLevels:
    """b1 pays on its own; b2 depends on b1."""

    x = torch.tensor([0.4, -0.7], dtype=F64)
    names = ("b1", "b2")

    def loss(self, theta, estimator, credit=True):
        def run(site):
            b1 = site("b1", D.Bernoulli(logits=theta[0].expand(site.batch)), estimator=estimator)
            first = (b1 - 0.3) ** 2 + 3 * theta[1] ** 2
            if credit:
                site.cost(first)
                first = 0.0
            b2 = site("b2", D.Bernoulli(logits=theta[1] + theta[0] * b1), estimator=estimator)
            return first + (b1 + b2 - 0.6) ** 2

        return run

    def weights(self, theta, b):
        p1, p2 = torch.sigmoid(theta[0]), torch.sigmoid(theta[1] + theta[0] * b[0])
        return ((b[0] * p1 + (1 - b[0]) * (1 - p1)) * (b[1] * p2 + (1 - b[1]) * (1 - p2))).prod(0)

    def exact(self, theta):
        b = torch.tensor(list(itertools.product((0.0, 1.0), repeat=2)), dtype=F64).T.unsqueeze(1)
        cost = (b[0] - 0.3) ** 2 + 3 * theta[1] ** 2 + (b[0] + b[1] - 0.6) ** 2
        return (self.weights(theta, b) * cost).sum()


class Branches:
    """b1 and b2 are independent, b3 depends on b1; the costs of both branches are paid at the end."""

    x = torch.tensor([0.4, -0.7], dtype=F64)
    names = ("b1", "b2", "b3")

    def loss(self, theta, estimator, credit=True):
        def says(*names):
            return names if credit else None

        def run(site):
            b1, b2 = (
                site(
                    name, D.Bernoulli(logits=theta[k].expand(site.batch)), estimator=estimator, depends=says()
                )
                for k, name in enumerate(("b1", "b2"))
            )
            b3 = site(
                "b3", D.Bernoulli(logits=theta[1] + theta[0] * b1), estimator=estimator, depends=says("b1")
            )
            site.cost((b1 + b3 - 0.6) ** 2 + theta[1] ** 2, depends=says("b3"))  # and so on b1
            site.cost(2 * (b2 - 0.2) ** 2, depends=says("b2"))

        return run

    def weights(self, theta, b):
        p = [torch.sigmoid(v) for v in (theta[0], theta[1], theta[1] + theta[0] * b[0])]
        return torch.stack([step * q + (1 - step) * (1 - q) for step, q in zip(b, p)]).prod(0).prod(0)

    def exact(self, theta):
        b = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)), dtype=F64).T.unsqueeze(1)
        cost = (b[0] + b[2] - 0.6) ** 2 + theta[1] ** 2 + 2 * (b[1] - 0.2) ** 2
        return (self.weights(theta, b) * cost).sum()


PROGRAMS = [Walk(), TwoLevels(), Branches()]
ESTIMATORS = [
    (E.ScoreFunction(), 1),
    (E.ScoreFunction(0.7), 1),
    (E.ScoreFunction("moving_average", torch.tensor(1.5)), 1),
    (E.LeaveOneOut(), 2),
    (E.Enumerate(), 1),
]


def outcome_values(case, theta, estimator, samples, credit=True):
    numbers, b = binary_noise(list(case.names), samples)
    weights = case.weights(case.x, b)
    noise = Scripted(0, numbers=numbers)
    value = rp.program(
        case.loss(theta, estimator, credit), samples=samples, noise=noise, batch_shape=(weights.shape[0],)
    )
    return value, weights


@pytest.mark.parametrize(("estimator", "samples"), ESTIMATORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("case", PROGRAMS, ids=lambda c: type(c).__name__)
def test_discrete_programs_exactly(case, estimator, samples):
    theta = case.x.clone().requires_grad_()
    value, weights = outcome_values(case, theta, estimator, samples)
    expected = (weights * value).sum()
    torch.testing.assert_close(expected, case.exact(theta), rtol=1e-12, atol=1e-12)
    for got, want in zip(derivatives(expected, theta), derivatives(case.exact(theta), theta)):
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("estimator", "samples"), ESTIMATORS[:4], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("case", PROGRAMS, ids=lambda c: type(c).__name__)
def test_credit_lowers_the_variance(case, estimator, samples):
    """Exact variances over all outcomes, summed over the parameters."""
    spread = []
    for credit in (True, False):
        n = len(outcome_values(case, case.x, estimator, samples)[1])
        leaf = case.x.unsqueeze(-1).expand(2, n).clone().requires_grad_()
        value, weights = outcome_values(case, leaf, estimator, samples, credit)
        value.sum().backward()
        mean = (weights * leaf.grad).sum(-1, keepdim=True)
        spread.append((weights * (leaf.grad - mean) ** 2).sum().item())
    assert spread[0] < spread[1]


PRICES = torch.tensor([1.0, 2.0, 3.0], dtype=F64)  # component k costs k


def mixture_loss(theta, estimator, middle=None, credit=True, prices=PRICES):
    """k ~ Categorical with a price, z ~ Normal(m_k, s_k), cost (z - .5)^2 + theta_0 z."""

    def run(site):
        logits = torch.stack([theta[0], theta[1], -theta[0]], -1)
        k = site("k", D.Categorical(logits=logits.expand(*site.batch, 3)), estimator=estimator)
        means, scales = (
            torch.stack([theta[1], theta[2], theta[0] * 2], -1).expand(*k.shape, 3),
            torch.stack([theta[2], theta[2] * 2, theta[2]], -1).expand(*k.shape, 3),
        )
        means, scales = (v.gather(-1, k.unsqueeze(-1)).squeeze(-1) for v in (means, scales))
        price = prices[k].expand(site.samples, *site.batch)
        if credit:
            site.cost(price)
        z = site("z", D.Normal(means, scales.abs()), estimator=middle)
        return (z - 0.5) ** 2 + theta[0] * z + (0 if credit else price)

    return run


def mixture_exact(theta):
    pi = torch.softmax(torch.stack([theta[0], theta[1], -theta[0]]), 0)
    means, scales = (
        torch.stack([theta[1], theta[2], theta[0] * 2]),
        torch.stack([theta[2], theta[2] * 2, theta[2]]),
    )
    return (pi * ((means - 0.5) ** 2 + scales**2 + theta[0] * means + PRICES)).sum()


def mixture_values(theta, estimator, middle, samples, credit=True, prices=PRICES):
    """Return the program's value for all categories and Gauss-Hermite nodes of the normal, and their weights.

    `theta` is one point (3,), or one leaf (3, n) that gives each outcome its own gradient.
    """
    nodes, w = (torch.tensor(a, dtype=F64) for a in np.polynomial.hermite_e.hermegauss(6))
    w = w / w.sum()
    k = torch.tensor(list(itertools.product(range(3), repeat=samples)))
    i = torch.tensor(list(itertools.product(range(6), repeat=samples)))
    both = torch.cartesian_prod(torch.arange(len(k)), torch.arange(len(i)))
    k, i = k[both[:, 0]].T, i[both[:, 1]].T
    x = MIXTURE
    pi = torch.softmax(torch.stack([x[0], x[1], -x[0]]), 0)
    weights = (pi[k] * w[i]).prod(0)
    numbers = {"k": FAR * torch.nn.functional.one_hot(k, 3).to(F64), "z": nodes[i]}
    if isinstance(estimator, E.Enumerate):
        weights = weights / weights.sum()
    value = rp.program(
        mixture_loss(theta, estimator, middle, credit, prices),
        samples=samples,
        noise=Scripted(0, numbers=numbers),
        batch_shape=(len(weights),),
    )
    return value, weights


MIXTURE = torch.tensor([0.3, -0.2, 0.8], dtype=F64)


@pytest.mark.parametrize(
    ("estimator", "samples"), [(E.LeaveOneOut(), 2), (E.Enumerate(), 1), (E.ScoreFunction(2.0), 1)]
)
@pytest.mark.parametrize("middle", [None, E.ScoreFunction(1.0)], ids=["pathwise", "score"])
def test_mixture_exactly(estimator, samples, middle):
    """Discrete, then continuous, then the loss."""
    theta = MIXTURE.clone().requires_grad_()
    value, weights = mixture_values(theta, estimator, middle, samples)
    expected = (weights * value).sum()
    for got, want in zip(derivatives(expected, theta), derivatives(mixture_exact(theta), theta)):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


def mixture_variance(first, middle, samples, credit, prices=PRICES):
    """Return the exact variance, summed over parameters: polynomials of degree 8 in the noise of z."""
    n = len(mixture_values(MIXTURE, first, middle, samples)[1])
    leaf = MIXTURE.unsqueeze(-1).expand(3, n).clone().requires_grad_()
    value, weights = mixture_values(leaf, first, middle, samples, credit, prices)
    value.sum().backward()
    mean = (weights * leaf.grad).sum(-1, keepdim=True)
    return (weights * (leaf.grad - mean) ** 2).sum().item()


@pytest.mark.parametrize(
    ("estimator", "samples"), [(E.LeaveOneOut(), 2), (E.ScoreFunction(2.0), 1), (E.ScoreFunction(), 1)]
)
def test_credit_lowers_the_variance_of_the_mixture(estimator, samples):
    """The price of k is no concern of z."""
    spread = [mixture_variance(estimator, estimator, samples, credit) for credit in (True, False)]
    assert spread[0] < spread[1]


def later_cost(q):
    """E[(z - .5)^2 + theta_0 z | k], the best that z's baseline can know of the cost."""
    return (q.mean - 0.5) ** 2 + q.variance + MIXTURE[0] * q.mean


def test_credit_takes_away_a_baseline_where_prices_offset_costs():
    """Why it is no theorem: D = (price - b) d log q(z) has mean 0, and Var(G + D) = Var G + Var D + 2 Cov(G, D).

    A price of -E[later cost | k] makes the covariance so negative that crediting z with it lowers the variance: it
    is the baseline that z lacks: with it, under credit, z's estimator is the same number for number.
    """
    k = D.Normal(
        torch.stack([MIXTURE[1], MIXTURE[2], MIXTURE[0] * 2]),
        torch.stack([MIXTURE[2], MIXTURE[2] * 2, MIXTURE[2]]),
    )
    prices, plain = -later_cost(k), E.ScoreFunction()
    with_credit, without = (mixture_variance(plain, plain, 1, credit, prices) for credit in (True, False))
    assert with_credit > 1.2 * without
    with_baseline = mixture_variance(plain, E.ScoreFunction(later_cost), 1, True, prices)
    assert with_baseline == pytest.approx(without, rel=1e-12)


def test_enumeration_after_a_boxed_site_keeps_its_baseline_right():
    """A leave-one-out site, then an enumerated one that depends on it; 40,000 draws, |z| < 5.5."""
    case = TwoLevels()

    def loss(theta):
        def run(site):
            b1 = site("b1", D.Bernoulli(logits=theta[0].expand(site.batch)), estimator=E.LeaveOneOut())
            b2 = site("b2", D.Bernoulli(logits=theta[1] + theta[0] * b1), estimator=E.Enumerate())
            b3 = site("b3", D.Bernoulli(logits=theta[1] - b2), estimator=E.LeaveOneOut())
            return (b1 + b2 - 0.6) ** 2 + b3 * b1 * 2

        return run

    theta = case.x.clone().requires_grad_()
    value = rp.program(loss(theta), samples=2, noise=rp.Noise(0), batch_shape=(40_000,))
    exact = 0.0
    for c1, c2, c3 in itertools.product((0.0, 1.0), repeat=3):
        q1, q2, q3 = (
            torch.sigmoid(theta[0]),
            torch.sigmoid(theta[1] + theta[0] * c1),
            torch.sigmoid(theta[1] - c2),
        )
        p = (q1 if c1 else 1 - q1) * (q2 if c2 else 1 - q2) * (q3 if c3 else 1 - q3)
        exact = exact + p * ((c1 + c2 - 0.6) ** 2 + c3 * c1 * 2)
    leaf = case.x.unsqueeze(-1).expand(2, 40_000).clone().requires_grad_()
    rp.program(loss(leaf), samples=2, noise=rp.Noise(0), batch_shape=(40_000,)).sum().backward()
    (want,) = torch.autograd.grad(exact, theta)
    error = leaf.grad.std(-1) / 200
    assert ((leaf.grad.mean(-1) - want).abs() < 5.5 * error).all()
    assert (value.mean() - exact).abs() < 5.5 * value.std() / 200


def test_rows_and_sample_axis():
    """With rows the noise belongs to the example, whatever the batch; a dependent site has the sample axis first."""
    logits = torch.tensor([0.1, -0.3, 0.8, 0.2])

    def loss(index):
        def run(site):
            b = site("b", D.Bernoulli(logits=logits[index]))
            z = site("z", D.Normal(b * 2, 1.0))
            return z**2

        return run

    whole = rp.program(loss(torch.arange(4)), samples=3, noise=rp.Noise(0).rows(torch.arange(4)))
    part = rp.program(loss(torch.tensor([2, 3])), samples=3, noise=rp.Noise(0).rows(torch.tensor([2, 3])))
    torch.testing.assert_close(whole[2:], part)


Q = D.Bernoulli(logits=torch.zeros(()))
ERRORS = [
    (lambda site: site("a", Q) + site("a", Q), ValueError, "name of its own"),
    (lambda site: site("a", Q, estimator=E.ARM()), TypeError, "must be Pathwise"),
    (lambda site: site("a", Q).sum(), ValueError, "a cost must have shape"),
    (lambda site: site("a", Q, depends=["b"]), ValueError, "names of sites drawn before"),
    (lambda site: site.cost(site("a", Q), depends="a"), ValueError, "must be a list"),
    (lambda site: None, ValueError, "must pay a cost"),
    (lambda site: site("a", Q, estimator=E.Pathwise()), TypeError, "must not have rule"),
    (lambda site: site("a", Q, estimator=E.ScoreFunction("constant")), ValueError, "cannot use"),
    (
        lambda site: site("a", Q) + site("b", D.Normal(torch.zeros(3, 4, 5), 1.0)),
        ValueError,
        "must have batch shape",
    ),
]


@pytest.mark.parametrize(("loss", "kind", "text"), ERRORS, ids=[e[2] for e in ERRORS])
def test_errors(loss, kind, text):
    with pytest.raises(kind, match=text):
        rp.program(loss, samples=2, noise=rp.Noise(0))
