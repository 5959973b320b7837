"""The fused Gaussian layer against its definition in plain torch, forward, backward, twice and transformed."""

import tracemalloc

import pytest
import torch
from torch import nn

import reparam as rp
from reparam import distributions as D
from reparam.layers import gaussian

FORMS = [
    ((37, 20), None, 1),
    ((37, 20), torch.arange(37) * 3, 1),
    ((5, 3, 7), torch.arange(5), 1),
    ((5, 3, 7), torch.arange(5), 2),
    ((5, 3, 7), None, 0),
    ((2100, 64), None, 1),
    ((2100, 65), torch.arange(2100), 1),
    ((4, 0), None, 1),
    ((5,), torch.tensor(3), 1),
]


def definition(loc, log_scale, noise, event_ndim=1):
    q = D.Normal(loc, log_scale.exp())
    kl = torch.distributions.kl_divergence(q, D.Normal(torch.zeros_like(loc), torch.ones_like(loc)))
    return q.rsample((), noise=noise), kl.sum(tuple(range(-event_ndim, 0))) if event_ndim else kl


def inputs(shape, dtype):
    noise = rp.Noise(11)
    loc, log_scale = noise.child("a").normal(shape, dtype=dtype), noise.child("b").normal(shape, dtype=dtype)
    return loc.requires_grad_(), log_scale.mul(0.7).requires_grad_()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("shape", "index", "event_ndim"), FORMS)
def test_values_and_gradients_are_those_of_the_definition(shape, index, event_ndim, dtype):
    noise = rp.Noise(3).at(2) if index is None else rp.Noise(3).at(2).rows(index)
    loc, log_scale = inputs(shape, dtype)
    made = gaussian(loc, log_scale, noise=noise, event_ndim=event_ndim)
    wanted = definition(loc, log_scale, noise, event_ndim)
    torch.testing.assert_close(made, wanted, rtol=2e-6, atol=2e-5)
    weights = [rp.Noise(5).child(str(k)).normal(x.shape, dtype=dtype) for k, x in enumerate(wanted)]
    grads = [
        torch.autograd.grad(sum((x * w).sum() for x, w in zip(result, weights)), (loc, log_scale))
        for result in (made, wanted)
    ]
    torch.testing.assert_close(*grads, rtol=2e-5, atol=2e-5)


def test_first_and_second_derivatives():
    noise = rp.Noise(1).rows(torch.arange(3))
    arguments = inputs((3, 4), torch.float64)
    assert torch.autograd.gradcheck(lambda a, b: gaussian(a, b, noise=noise), arguments)
    assert torch.autograd.gradgradcheck(lambda a, b: gaussian(a, b, noise=noise), arguments)


def test_one_of_the_results_is_enough():
    loc, log_scale = inputs((6, 4), torch.float64)
    for pick in (0, 1):
        grads = [
            torch.autograd.grad(f(loc, log_scale, noise=rp.Noise(2))[pick].sum(), (loc, log_scale))
            for f in (gaussian, definition)
        ]
        torch.testing.assert_close(*grads)


def test_nothing_is_kept_beyond_the_inputs():
    loc, log_scale = inputs((64, 32), torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.data_ptr()) or x, lambda x: x):
        gaussian(loc, log_scale, noise=rp.Noise(0))
    assert set(kept) <= {loc.data_ptr(), log_scale.data_ptr()}


def test_no_memory_is_held_between_forward_and_backward():
    """Of NumPy's memory only the results are left, 0 bytes beyond them, and of torch's nothing."""
    loc, log_scale = inputs((512, 256), torch.float32)
    noise = rp.Noise(0).rows(torch.arange(512))
    gaussian(loc, log_scale, noise=noise)  # compiled
    with torch.profiler.profile(profile_memory=True) as watched:
        z, kl = gaussian(loc, log_scale, noise=noise)
    assert sum(event.self_cpu_memory_usage for event in watched.key_averages()) == 0
    tracemalloc.start()
    z, kl = gaussian(loc, log_scale, noise=noise)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert 0 <= held - z.nbytes - kl.nbytes < 4096  # the objects of the graph; the noise would be 524,288


def test_extreme_scales():
    for dtype in (torch.float32, torch.float64):
        log_scale = torch.tensor(
            [[-200.0, -95.0, -30.0, 0.0, 30.0, 80.0, 1000.0, torch.nan, -torch.inf]], dtype=dtype
        )
        loc = torch.zeros_like(log_scale)
        z, _ = gaussian(loc, log_scale, noise=rp.Noise(0))
        wanted = log_scale.exp() * rp.Noise(0).normal(loc.shape, dtype=dtype)
        finite = log_scale.isfinite() & (log_scale != 1000)
        torch.testing.assert_close(z[finite], wanted[finite], rtol=1e-6, atol=1e-43)
        assert bool(z[log_scale == 1000].isinf().all())
        assert bool(z[log_scale.isnan()].isnan().all())
        assert bool((z[log_scale == -torch.inf] == 0).all())


def test_under_compile_and_functorch():
    loc, log_scale = (x.detach() for x in inputs((6, 4), torch.float32))
    noise = rp.Noise(9).rows(torch.arange(6))

    def loss(a, b):
        z, kl = gaussian(a, b, noise=noise)
        return (z * z).sum() + kl.sum()

    wanted = torch.func.grad(lambda a, b: sum(x.sum() for x in definition(a, b, noise)[1:]), (0, 1))(
        loc, log_scale
    )
    made = torch.func.grad(lambda a, b: gaussian(a, b, noise=noise)[1].sum(), (0, 1))(loc, log_scale)
    torch.testing.assert_close(made, wanted)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(loc, log_scale), loss(loc, log_scale))


def test_a_layer_trains_with_it():
    layer = nn.Linear(3, 8)
    loc, log_scale = layer(torch.ones(5, 3)).chunk(2, -1)  # not contiguous
    z, kl = gaussian(loc, log_scale, noise=rp.Noise(0))
    wanted = definition(loc, log_scale, rp.Noise(0))
    grads = [
        torch.autograd.grad(a.square().sum() + b.sum(), layer.weight, retain_graph=True)[0]
        for a, b in ((z, kl), wanted)
    ]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: gaussian(torch.zeros(2, 3), torch.zeros(3)), ValueError, "one shape"),
        (lambda: gaussian(torch.zeros(2), torch.zeros(2).double()), TypeError, "one floating dtype"),
        (lambda: gaussian(torch.zeros(2), torch.zeros(2), event_ndim=2), ValueError, "event_ndim"),
        (
            lambda: gaussian(torch.zeros(2, 3), torch.zeros(2, 3), noise=rp.Noise(0).rows([1])),
            ValueError,
            "one entry per row",
        ),
    ],
)
def test_errors_teach(call, error, words):
    with pytest.raises(error, match=words):
        call()
