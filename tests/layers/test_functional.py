"""A module as a deterministic function of parameters, inputs and noise: values, derivatives, programs, errors."""

import random
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import reparam as rp
from layers.networks import NETWORKS, network
from pages import run
from reparam import distributions as D
from reparam.layers import BayesLinear, Dropout, GaussianLatent, gaussian, noise_scope

NOISE = rp.Noise(3).child("test")


def direct(module, f, x, noise):
    if f.takes_noise:
        return module(x, noise=noise)
    with noise_scope(module, noise):
        return module(x)


def tensors(result):
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_function_is_the_module_bit_for_bit(name):
    module, x = network(name)
    f, specs = rp.functional(module, x)
    assert list(specs) == NETWORKS[name][2]
    for noise in (NOISE, rp.Noise(9).at(4)):
        eps = {key: noise.draw(spec) for key, spec in specs.items()}
        wanted = tensors(direct(module, f, x, noise))
        assert all(torch.equal(a, b) for a, b in zip(tensors(f(f.params, (x,), eps)), wanted, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(tensors(f(f.params, x, f.draw(noise))), wanted))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_exported_program_takes_the_noise_as_input(name):
    module, x = network(name)
    f, specs = rp.functional(module, x)
    with torch.no_grad():
        program = f.export()
        made = [program.module()(x, eps=f.draw(noise)) for noise in (NOISE, rp.Noise(4))]
        wanted = [f(f.params, x, f.draw(noise)) for noise in (NOISE, rp.Noise(4))]
    torch.testing.assert_close(made, wanted, rtol=1e-6, atol=1e-6)
    assert not torch.equal(tensors(made[0])[0], tensors(made[1])[0])
    assert len(program.graph_signature.user_inputs) == 1 + len(specs)


@pytest.mark.parametrize("name", ["vae gaussian", "flipout", "explicit", "sampler"])
def test_onnxruntime_computes_the_same_numbers(name, tmp_path):
    module, x = network(name)
    f, specs = rp.functional(module, x)
    path = tmp_path / "f.onnx"
    f.to_onnx(path)
    assert [p.name for p in tmp_path.iterdir()] == ["f.onnx"]
    session = onnxruntime.InferenceSession(path)
    assert [i.name for i in session.get_inputs()] == f.input_names()
    assert f.input_names()[1:] == list(specs)
    for noise in (NOISE, rp.Noise(4)):
        eps = f.draw(noise)
        feed = {f.input_names()[0]: x.numpy(), **{key: e.numpy() for key, e in eps.items()}}
        for a, b in zip(session.run(None, feed), tensors(f(f.params, x, eps)), strict=True):
            wanted = b.detach().numpy()
            np.testing.assert_allclose(a, wanted, rtol=1e-5, atol=1e-5)


def test_what_onnx_lacks_is_named():
    module, x = network("implicit")
    f, _ = rp.functional(module, x)
    with pytest.raises(ValueError, match=r"beta_\w+ .*gamma_\w+ .*student_\w+"):
        f.to_onnx()


def test_an_operator_that_onnx_lacks_is_named():
    f, _ = rp.functional(of(lambda s, x, n: torch.special.ndtri(n.uniform((3,)))), torch.zeros(3))
    with pytest.raises(ValueError, match="ndtri"):
        f.to_onnx()


def test_a_batch_of_any_size_by_dynamic_shapes():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = GaussianLatent(3, 2)
    f, _ = rp.functional(module, torch.ones(4, 3))
    batch = torch.export.Dim("batch")
    shapes = {"inputs": ({0: batch},), "eps": {"noise": {0: batch}}}
    eps = {"eps": f.draw(NOISE)}
    program = torch.export.export(f.to_module(), (torch.ones(4, 3),), eps, dynamic_shapes=shapes)
    x, noise = rp.Noise(1).normal((7, 3)), {"noise": rp.Noise(2).normal((7, 2))}
    torch.testing.assert_close(program.module()(x, eps=noise), f(f.params, x, noise))


@pytest.mark.parametrize("name", ["vae gaussian", "flipout", "dropout"])
def test_compiled_in_one_graph(name):
    torch._dynamo.reset()
    module, x = network(name)
    f, _ = rp.functional(module, x)
    compiled = torch.compile(f, fullgraph=True, backend="aot_eager")
    for noise in (NOISE, rp.Noise(4)):
        eps = f.draw(noise)
        torch.testing.assert_close(compiled(f.params, (x,), eps), f(f.params, (x,), eps))


# --- derivatives -----------------------------------------------------------------------------------------------


def test_vmap_over_noise_gives_the_gradient_of_each_sample():
    module, x = network("vae bernoulli")
    f, _ = rp.functional(module, x)
    draws = [f.draw(noise) for noise in NOISE.split(3)]
    stacked = {name: torch.stack([d[name] for d in draws]) for name in draws[0]}
    gradient = torch.func.grad(f)
    mapped = torch.func.vmap(gradient, in_dims=(None, None, 0))(f.params, (x,), stacked)
    for k, eps in enumerate(draws):
        for name, wanted in gradient(f.params, (x,), eps).items():
            torch.testing.assert_close(mapped[name][k], wanted, rtol=1e-4, atol=1e-5)


def test_vmap_over_examples_and_their_noise():
    module, x = network("dropout")
    f, _ = rp.functional(module, x[0])
    eps = {name: NOISE.child(name).normal((4, 4)).sigmoid() for name in ("1", "2", "3")}
    loss = torch.func.grad(lambda params, inputs, eps: f(params, inputs, eps).square().sum())
    mapped = torch.func.vmap(loss, in_dims=(None, 0, 0))(f.params, (x,), eps)
    for k in range(4):
        wanted = loss(f.params, (x[k],), {name: e[k] for name, e in eps.items()})
        for name in wanted:
            torch.testing.assert_close(mapped[name][k], wanted[name])


@pytest.mark.parametrize("name", ["implicit", "explicit", "local", "vae gaussian"])
def test_differences_with_common_noise_are_the_gradient(name):
    module, x = network(name)
    module, x = module.double(), x.double()
    f, _ = rp.functional(module, x)
    eps = f.draw(NOISE)

    def loss(params):
        return sum(t.sum() for t in tensors(f(params, x, eps)))

    gradient = torch.func.grad(loss)(f.params)
    way = {key: NOISE.child(key).normal(p.shape, dtype=p.dtype) for key, p in f.params.items()}
    h = 1e-5
    ends = [loss({key: p + sign * h * way[key] for key, p in f.params.items()}) for sign in (1, -1)]
    slope = sum((gradient[key] * way[key]).sum() for key in way)
    torch.testing.assert_close((ends[0] - ends[1]) / (2 * h), slope, rtol=1e-6, atol=1e-6)


def test_the_fused_layer_is_differentiable_in_given_noise():
    class Fused(nn.Module):
        def forward(self, loc, log_scale, *, noise):
            return gaussian(loc, log_scale, noise=noise)

    loc, log_scale = (NOISE.child(k).normal((3, 4), dtype=torch.float64) for k in "ab")
    f, _ = rp.functional(Fused(), loc, log_scale)
    arguments = [t.clone().requires_grad_() for t in (loc, log_scale, f.draw(NOISE)["noise"])]
    assert torch.autograd.gradcheck(lambda a, b, e: f({}, (a, b), {"noise": e}), arguments)
    assert torch.autograd.gradgradcheck(lambda a, b, e: f({}, (a, b), {"noise": e}), arguments)


# --- names and addresses ----------------------------------------------------------------------------------------


class Addresses(nn.Module):
    def forward(self, x, *, noise):
        n = noise.child("a")
        a, b = n.normal((2,)), n.normal((2,))  # one noise, used twice
        c = n.uniform((2,))  # another law at the same address
        d = noise.at(3).at(torch.tensor(5)).child("z").normal((2,), dtype=torch.float64)
        e = noise.split(3)[2].randint(0, 10, (2,)) + noise.child("order").permutation(2)
        g = noise.child("pairs").antithetic().normal((4, 2)).sum(0)
        h = noise.rows(torch.tensor([7, 9])).normal((2,)) + noise.child("bits").bits((2,), dtype=torch.int32)
        return x + a + b + c + d + e + g + h


def test_addresses_of_every_form():
    x, module = torch.zeros(2), Addresses()
    f, specs = rp.functional(module, x)
    names = ["a", "a_2", "step3.step.z", "split2", "order", "pairs", "noise", "bits"]
    assert list(specs) == names
    assert torch.equal(f({}, x, f.draw(NOISE)), module(x, noise=NOISE))
    assert len({hash(spec) for spec in specs.values()}) == len(names)
    assert specs["split2"].law == "bits64"


def test_rows_of_the_caller_reach_what_is_not_shared():
    module, x = network("weight")
    f, _ = rp.functional(module, x)
    noise = NOISE.rows(torch.arange(4))
    assert torch.equal(f(f.params, x, f.draw(noise)), module(x, noise=noise))
    module, x = network("local")
    f, _ = rp.functional(module, x)
    assert torch.equal(f(f.params, x, f.draw(noise)), module(x, noise=noise))


def test_modes_are_functions_of_their_own():
    module = Dropout(0.5)
    f, specs = rp.functional(module.eval(), torch.ones(3))
    assert specs == {}
    assert torch.equal(f({}, torch.ones(3), {}), torch.ones(3))
    module.train()
    with pytest.raises(ValueError, match=r"must draw as it did.*nothing more was drawn"):
        f({}, torch.ones(3), {})


def test_running_statistics_stay():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x, *, noise):
            return self.norm(x) + noise.normal(x.shape)

    module, x = Net(), NOISE.normal((5, 3))
    before = {name: b.clone() for name, b in module.named_buffers()}
    f, _ = rp.functional(module, x)
    f(f.params, x, f.draw(NOISE))
    assert all(torch.equal(b, before[name]) for name, b in module.named_buffers())
    assert torch.equal(f(f.params, x, f.draw(NOISE)), module(x, noise=NOISE))


# --- randomness that is no input ---------------------------------------------------------------------------------


def of(forward):
    """Return a module with a child and this forward pass."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
            self.ours = Dropout(0.5)

        def forward(self, x, *, noise):
            return forward(self, x, noise)

    return Net()


FOREIGN = {
    "randn": (lambda s, x, n: x + torch.randn(3), r"randn in Net at .*test_functional.*use noise.normal"),
    "normal_": (lambda s, x, n: x.clone().normal_(), r"normal_ .*noise.normal"),
    "rand_like": (lambda s, x, n: torch.rand_like(x), r"noise.uniform"),
    "bernoulli": (lambda s, x, n: torch.bernoulli(x.sigmoid()), r"noise.uniform\(p.shape\) < p"),
    "randperm": (lambda s, x, n: x[torch.randperm(3)], r"noise.permutation"),
    "own generator": (
        lambda s, x, n: x + torch.rand(3, generator=torch.Generator().manual_seed(1)),
        r"noise.uniform",
    ),
    "nn.Dropout": (lambda s, x, n: s.inner(x), r"in Dropout 'inner.1' .*use reparam.layers.Dropout"),
    "torch's sample": (
        lambda s, x, n: torch.distributions.Gamma(x.exp(), x.exp()).rsample(),
        r"rp.draw\(q, noise=noise\) in place of Gamma.rsample\(\)",
    ),
    "no noise given": (lambda s, x, n: s.ours(x), r"noise=: Dropout was called without noise"),
    "no noise drawn": (
        lambda s, x, n: D.Normal(x, 1.0).rsample(),
        r"noise=: Normal was called without noise",
    ),
    "gumbel_softmax": (lambda s, x, n: nn.functional.gumbel_softmax(x), r"exponential_ .*noise.exponential"),
    "numpy": (lambda s, x, n: x + float(np.random.normal()), r"numpy in Net at .*np.random.normal"),
    "random": (lambda s, x, n: x + random.random(), r"random module in Net at .*random.random"),
    "default_rng": (lambda s, x, n: x + float(np.random.default_rng().normal()), r"two different results"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_randomness_is_named(name):
    forward, words = FOREIGN[name]
    module = of(forward)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    with pytest.raises(ValueError, match=f"(?s){words}"):
        rp.functional(module, torch.zeros(3))
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    assert torch.equal(states[0], after[0])
    assert states[1:] == after[1:]


def test_all_sources_are_named_at_once():
    def forward(self, x, noise):
        x = x + torch.randn(3)
        return x + torch.rand(3)

    with pytest.raises(ValueError, match=r"(?s)randn in Net.*\n.*rand in Net"):
        rp.functional(of(forward), torch.zeros(3))


def test_what_draws_nothing_is_not_accused():
    def forward(self, x, noise):
        y = nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=0.0)
        y = nn.functional.dropout(y, 0.5, training=False) + nn.functional.rrelu(y, training=False)
        return self.attention(y[0], y[0], y[0])[0] + noise.normal((2, 4)) + nn.functional.dropout(y[0], 0.0)

    module = of(forward)
    module.attention = nn.MultiheadAttention(4, 2, batch_first=True)
    f, _ = rp.functional(module, torch.ones(1, 2, 4))
    assert f(f.params, torch.ones(1, 2, 4), f.draw(NOISE)).shape == (2, 4)
    with pytest.raises(ValueError, match=r"scaled_dot_product|dropout"):
        rp.functional(
            of(lambda s, x, n: nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=0.5)),
            torch.ones(1, 2, 4),
        )


def test_fixed_noise_inside_a_module_is_a_constant():
    f, specs = rp.functional(of(lambda s, x, n: x + rp.Noise(0).normal((3,))), torch.zeros(3))
    assert specs == {}
    assert torch.equal(f(f.params, torch.zeros(3), {}), rp.Noise(0).normal((3,)))
    with pytest.raises(ValueError, match="noise with a seed of its own"):
        f.to_onnx()


# --- errors ------------------------------------------------------------------------------------------------------


def test_errors_teach():
    layer, x = BayesLinear(3, 2), torch.ones(4, 3)
    f, _ = rp.functional(layer, x)
    eps = f.draw(NOISE)
    with pytest.raises(TypeError, match=r"torch.nn.Module; got function"):
        rp.functional(lambda x: x, x)
    with pytest.raises(ValueError, match=r"eps must hold bias, weight; got no bias; start from f.draw"):
        f(f.params, x, {"weight": eps["weight"]})
    with pytest.raises(ValueError, match=r"params must hold .*the unknown extra; start from f.params"):
        f({**f.params, "extra": x}, x, eps)
    with pytest.raises(ValueError, match=r"eps\['weight'\] must have shape \(2, 3\)"):
        f(f.params, x, {**eps, "weight": torch.ones(3)})
    with pytest.raises(ValueError, match=r"dtype torch.float32; got \(2, 3\) and torch.float64"):
        f(f.params, x, {**eps, "weight": torch.ones(2, 3).double()})

    branches = of(lambda s, x, n: x + (n.normal((3,)) if x.sum() > 0 else n.child("b").uniform((3,))))
    f, _ = rp.functional(branches, x[0])
    with pytest.raises(ValueError, match=r"uniform draw at b, where normal noise was drawn for 'noise'"):
        f(f.params, -x[0], f.draw(NOISE))


def test_the_page_prints_what_it_shows(tmp_path):
    printed, shown = run(Path(__file__).parents[2] / "docs" / "functional.md", tmp_path)
    assert printed == shown
