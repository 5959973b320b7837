"""Noise as an operator: the same numbers in eager, compiled, vmapped and exported code."""

import pytest
import torch

import reparam as rp
from reparam.kernels.cpu import draw
from reparam.noise import NoiseSpec


def draws(seed, step, index, x):
    noise = rp.Noise(seed).child("encoder").at(step)
    y = noise.normal(x.shape) + noise.child("more").uniform(x.shape)
    return x + y + noise.rows(index).draw(NoiseSpec("gumbel", (2, len(index), 1), 1)).sum(0)


def test_compiled_numbers_are_the_eager_ones_without_recompiling():
    torch._dynamo.reset()
    compiled = torch.compile(draws, fullgraph=True, backend="aot_eager")
    x = torch.zeros(3, 4)
    calls = [
        (torch.tensor(s), torch.tensor(t), torch.tensor(i))
        for s, t, i in ((1, 2, [0, 1, 2]), (-5, 1 << 40, [9, 7, 1 << 50]))
    ]
    for seed, step, index in calls:
        assert torch.equal(compiled(seed, step, index, x), draws(seed, step, index, x))
        with torch.compiler.set_stance("fail_on_recompile"):
            assert torch.equal(
                compiled(seed + 1, step + 1, index + 1, x), draws(seed + 1, step + 1, index + 1, x)
            )
    assert torch._dynamo.utils.counters["graph_break"] == {}


def test_integer_steps_recompile_at_most_twice():
    torch._dynamo.reset()
    frames = []

    def backend(graph, inputs):
        frames.append(graph)
        return graph.forward

    def draw(seed, step, x):
        return x + rp.Noise(seed).child("z").at(step).normal(x.shape)

    compiled = torch.compile(draw, fullgraph=True, backend=backend)
    x = torch.zeros(5)
    for step in range(2, 8):
        assert torch.equal(compiled(3, step, x), draw(3, step, x))
    assert len(frames) <= 3


def test_inductor_and_the_global_generator():
    torch._dynamo.reset()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    x = torch.zeros(3, 4)
    compiled = torch.compile(draws, fullgraph=True)
    arguments = torch.tensor(1), torch.tensor(2), torch.arange(3), x
    torch.testing.assert_close(compiled(*arguments), draws(*arguments))
    assert torch.equal(before, torch.get_rng_state())


def test_vmap_over_seeds_steps_and_rows():
    seeds, steps = torch.arange(5), torch.arange(5) * 3

    def draw(seed, step):
        return rp.Noise(seed).child("a").at(step).normal((2, 3))

    mapped = torch.func.vmap(draw)(seeds, steps)
    assert torch.equal(mapped, torch.stack([draw(s, t) for s, t in zip(seeds, steps)]))
    over_steps = torch.func.vmap(draw, in_dims=(None, 0))(seeds[1], steps)
    assert torch.equal(over_steps, torch.stack([draw(seeds[1], t) for t in steps]))
    twice = torch.func.vmap(lambda s: torch.func.vmap(lambda t: draw(s, t))(steps))(seeds)
    assert torch.equal(twice[3, 2], draw(seeds[3], steps[2]))
    noise = rp.Noise(7).at(4)
    rows = torch.func.vmap(lambda i: noise.rows(i).normal((3,)))(seeds)
    assert torch.equal(rows, noise.rows(seeds).normal((5, 3)))
    pairs = torch.func.vmap(lambda i: noise.rows(i).normal((2, 3)))(seeds[:4].view(2, 2))
    assert torch.equal(pairs[1], noise.rows(seeds[2:4]).normal((2, 3)))
    shared = torch.func.vmap(lambda x: x + noise.normal((3,)))(torch.zeros(4, 3))
    assert torch.equal(shared[0], shared[1])


def test_vmap_over_a_thousand_keys_is_one_kernel_call(monkeypatch):
    calls, together = [], draw.together

    def counted(kernel, *arguments, size):
        calls.append(kernel)
        together(kernel, *arguments, size=size)

    monkeypatch.setattr(draw, "together", counted)
    seeds = torch.arange(1000) - 500
    mapped = torch.func.vmap(lambda s: rp.Noise(s).child("a").at(s + 3).child("b").normal((2, 3)))(seeds)
    assert calls == [draw.share_keys]
    one = rp.Noise(2**64 - 500).child("a").at(2**64 - 497).child("b").normal((2, 3))
    assert torch.equal(mapped[0], one)


@pytest.mark.parametrize("strict", [False, True])
def test_export(strict):
    class Model(torch.nn.Module):
        def forward(self, seed, step, x):
            return x * rp.Noise(seed).child("z").at(step).normal(x.shape)

    x = torch.ones(2, 3)
    exported = torch.export.export(Model(), (torch.tensor(1), torch.tensor(0), x), strict=strict).module()
    for seed in (1, 5):
        arguments = torch.tensor(seed), torch.tensor(9), x
        assert torch.equal(exported(*arguments), Model()(*arguments))


def test_autocast_and_gradients_leave_noise_alone():
    noise, x = rp.Noise(1), torch.ones(4, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(noise.normal((4,)), rp.Noise(1).normal((4,)))
    grad = torch.func.grad(lambda v: (v * noise.normal((4,))).sum())(x.detach())
    assert torch.equal(grad, noise.normal((4,)))
    (x * noise.normal((4,))).sum().backward()
    assert torch.equal(x.grad, grad)


def test_operators_pass_torch_s_own_checks():
    key, step = torch.tensor(5), torch.tensor(6)
    for index, shape in ((None, (3,)), (torch.tensor(4), (2, 2)), (torch.arange(3), (3, 2))):
        torch.library.opcheck(torch.ops.reparam.draw, ("normal", key, step, index, shape, torch.float32))
    keys = torch.arange(6).view(2, 3)
    for index, shape in ((None, (3,)), (keys, (2, 2)), (keys[..., None] + torch.arange(4), (4, 2))):
        torch.library.opcheck(torch.ops.reparam.draw, ("normal", keys, keys, index, shape, torch.float32))
    for value in (key, keys):
        torch.library.opcheck(torch.ops.reparam.derive, (value, value, 3))
        torch.library.opcheck(torch.ops.reparam.path_key, (value, (1, 2, 3, 4)))
