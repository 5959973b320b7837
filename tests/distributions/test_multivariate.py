"""The laws that every vector and matrix family obeys, over the table of cases."""

import pytest
import torch

import reparam as rp
from distributions.cases_multivariate import CASES
from reparam import distributions as D

NOISE = rp.Noise(20260801)
F64 = torch.float64
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def close(ours, right, tolerance, floor=0.0):
    """Relative error below the tolerance; `floor` is the scale under which the error is read as absolute."""
    scale = torch.maximum(right.abs(), torch.tensor(floor, dtype=right.dtype))
    error = torch.where(ours == right, 0.0, (ours - right).abs() / scale)
    assert (error <= tolerance).all(), (error.max(), ours, right)


@EVERY
def test_a_draw_is_a_push_of_addressed_noise(case):
    q = case.make(case.params)
    z = q.rsample((4,), noise=NOISE)
    assert z.shape == (4, *q.batch_shape, *q.event_shape)
    assert q.support.check(z).all()
    assert torch.equal(z, q.sample((4,), noise=NOISE))
    assert torch.equal(z, q.push(NOISE.draw(q.noise_spec((4,)))))
    close(q.rsample((2,), noise=NOISE), z[:2], 1e-12, floor=1e-3)
    wide = q.expand((5, *q.batch_shape))
    assert type(wide) is type(q)
    assert wide.sample((3,), noise=NOISE).shape == (3, 5, *q.batch_shape, *q.event_shape)
    assert wide.parameters().keys() == q.parameters().keys()
    close(wide.log_prob(z[:, None]), q.log_prob(z)[:, None].expand(4, 5, *q.batch_shape), 1e-12, floor=1.0)
    assert q.sample((0,), noise=NOISE).shape == (0, *q.batch_shape, *q.event_shape)


@EVERY
def test_rows_do_not_depend_on_the_batch(case):
    whole = case.make(case.params).rsample((3,), noise=NOISE.rows(torch.arange(2)))
    for i in range(2):
        one = case.make({name: value[i : i + 1] for name, value in case.params.items()})
        close(one.rsample((3,), noise=NOISE.rows([i])), whole[:, i : i + 1], 1e-12, floor=1e-6)


@EVERY
def test_float32_draws_are_those_of_float64_parameters_rounded(case):
    narrow = {name: value.float() for name, value in case.params.items()}
    q = case.make(narrow)
    eps = NOISE.draw(q.noise_spec((20,)))
    z = q.push(eps)
    assert z.dtype == torch.float32
    assert q.log_prob(z).dtype == torch.float32
    wide = case.make({name: value.double() for name, value in narrow.items()}, validate_args=False)
    close(z.double(), wide.push(eps.double()), 1e-5, floor=1.0)


@EVERY
def test_pathwise_solves_the_continuity_equation(case):
    """d log q/dphi + div v + v . grad log q = 0 at each point, for every entry of every parameter."""
    if case.chart is None:
        pytest.skip("the support has no linear chart; the file of the family tests its field")
    params = {name: value[0] for name, value in case.params.items()}
    q = case.make(params)
    for z in q.sample((4,), noise=NOISE):
        u = case.unchart(z)
        score = torch.func.grad(lambda u: q.rebuilt().log_prob(case.chart(u)))(u)
        for name, value in params.items():

            def log_q(value, name=name, z=z):
                free = case.free.get(name, lambda x: x)(value)
                return q.rebuilt(**{name: free}).log_prob(z)

            def field(u, name=name):
                return case.unchart(
                    torch.atleast_1d(
                        q.pathwise(case.chart(u))[name].movedim(
                            tuple(range(len(q.event_shape))), tuple(range(-len(q.event_shape), 0))
                        )
                    )
                )

            moved = torch.func.grad(log_q)(value)
            v = field(u)  # (*parameter, n)
            divergence = torch.func.jacrev(field)(u).diagonal(dim1=-2, dim2=-1).sum(-1)
            close(moved + divergence, -(v * score).sum(-1), 1e-8, floor=1.0)


@EVERY
def test_pathwise_is_the_derivative_of_the_draw_or_has_its_mean(case):
    """One linear function of the draws: exactly equal where g is one to one in the noise."""
    params = {name: value.clone().requires_grad_() for name, value in case.params.items()}
    q = case.make(params)
    z = q.rsample((6,), noise=NOISE)
    weights = NOISE.child("w").normal(z.shape, dtype=F64)
    velocity = q.pathwise(z.detach())
    assert velocity.keys() == params.keys()
    if case.name == "LowRankMVN":
        return
    for name, value in params.items():
        (right,) = torch.autograd.grad((weights * z).sum(), value, retain_graph=True)
        core = velocity[name].shape[z.ndim :]
        ours = (weights.reshape(*z.shape, *(1,) * len(core)) * velocity[name]).flatten(
            z.ndim - len(q.event_shape), z.ndim - 1
        )
        close(ours.sum(0).sum(len(q.batch_shape)), right, 1e-8, floor=1e-6)


@EVERY
def test_first_and_second_derivatives(case):
    values = tuple(value.clone().requires_grad_() for value in case.params.values())
    eps = NOISE.draw(case.make(case.params).noise_spec((2,)))

    def push(*values):
        return case.at(values).push(eps)

    if case.exact:
        assert torch.autograd.gradcheck(push, values, check_forward_ad=True, atol=1e-6)
        assert torch.autograd.gradgradcheck(push, values, atol=1e-4)


@EVERY
def test_torch_func_transforms(case):
    values = tuple(case.params.values())
    eps = NOISE.draw(case.make(case.params).noise_spec((3,)))

    def total(value, eps=eps):
        return case.at((*values[:-1], value)).push(eps).sin().sum()

    value = values[-1]
    tangent = torch.ones_like(value)
    reverse = torch.func.grad(total)(value)
    close(torch.func.jvp(total, (value,), (tangent,))[1], (reverse * tangent).sum(), 1e-9, floor=1.0)
    rows = torch.func.vmap(lambda e: case.at(values).push(e), randomness="error")(eps)
    close(rows, case.at(values).push(eps), 1e-10, floor=1e-3)
    each = torch.func.vmap(torch.func.grad(total), in_dims=(None, 0))(value, eps)
    close(each.sum(0), reverse, 1e-9, floor=1.0)
    second = torch.func.jvp(torch.func.grad(total), (value,), (tangent,))[1]
    other = torch.func.grad(lambda v: (torch.func.grad(total)(v) * tangent).sum())(value)
    close(second.sum(), other.sum(), 1e-8, floor=1.0)


@EVERY
def test_convert_and_detach(case):
    params = {name: value.clone().requires_grad_() for name, value in case.params.items()}
    q = case.make(params)
    cut = rp.detach(q)
    assert not cut.rsample(noise=NOISE).requires_grad
    assert torch.equal(cut.sample((3,), noise=NOISE), q.sample((3,), noise=NOISE))
    if case.torch_family is None:
        return
    theirs = getattr(torch.distributions, case.torch_family)
    ours = D.convert(theirs(**case.options, **params))
    assert type(ours) is type(q)
    assert isinstance(q, theirs)
    assert torch.equal(ours.sample((3,), noise=NOISE), q.sample((3,), noise=NOISE))
    assert set(ours.pathwise(ours.sample(noise=NOISE))) == set(params)
    assert not case.make(params, validate_args=False)._validate_args


@EVERY
def test_the_law_of_the_draws(case):
    """n = 20,000 draws; E of the score in every parameter entry is 0, first and second moments where known.

    About 200 statistics of standard error 1 in all; the threshold 5.5 gives a false alarm in 1e-5 of all suites and
    sees a shift of .04 standard deviations.
    """
    n = 20_000
    params = {name: value.clone().requires_grad_() for name, value in case.params.items()}
    z = case.make(params).sample((n,), noise=NOISE)
    wide = {
        name: case.free.get(name, lambda x: x)(value.detach())
        .expand(n, *value.shape)
        .clone()
        .requires_grad_()
        for name, value in params.items()
    }
    total = case.make(wide, validate_args=False).log_prob(z).sum()
    statistics = list(torch.autograd.grad(total, list(wide.values())))
    q = case.make(case.params)
    try:
        mean, variance = q.mean, q.variance
        statistics += [z - mean, (z - mean) ** 2 - variance]
    except NotImplementedError:
        pass
    for value in statistics:
        spread = value.std(0)
        score = value.mean(0) / (spread / n**0.5)
        assert score[spread > 1e-12].abs().max() < 5.5, score
