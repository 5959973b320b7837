"""Every layer under torch.compile, vmap over the noise, autocast, state_dict and two processes of DDP."""

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from reparam import distributions as D
from reparam.layers import (
    BayesConv1d,
    BayesConv2d,
    BayesLinear,
    CategoricalLatent,
    Dropout,
    GaussianDropout,
    GaussianLatent,
    Latent,
    VariationalDropout,
    make_bayesian,
)
from reparam.layers.latent import GRADIENTS
from reparam.layers.scope import noise_scope
from reparam.noise import Noise

METHODS = ["weight", "local", "flipout"]
FLAT, LINE, IMAGE = (4, 3), (4, 3, 6), (4, 3, 5, 5)
LAYERS = {
    "gaussian": (lambda: GaussianLatent(3, 2), FLAT),
    "gamma": (lambda: Latent(3, 2, D.Gamma, D.Gamma(1.0, 1.0)), FLAT),
    **{f"categorical {g}": (lambda g=g: CategoricalLatent(3, 2, 3, gradient=g), FLAT) for g in GRADIENTS},
    **{f"linear {m}": (lambda m=m: BayesLinear(3, 2, method=m), FLAT) for m in METHODS},
    **{f"conv1d {m}": (lambda m=m: BayesConv1d(3, 2, 3, method=m), LINE) for m in METHODS},
    **{
        f"conv2d {m}": (
            lambda m=m: BayesConv2d(3, 2, 3, padding=1, padding_mode="reflect", method=m),
            IMAGE,
        )
        for m in METHODS
    },
    "network": (
        lambda: make_bayesian(
            nn.Sequential(nn.Linear(3, 4), Dropout(0.3), nn.Linear(4, 2), GaussianDropout(0.1)),
            method="local",
        ),
        FLAT,
    ),
    "dropout": (lambda: Dropout(0.3), FLAT),
    "gaussian dropout": (lambda: GaussianDropout(0.3), FLAT),
    "variational dropout": (lambda: VariationalDropout(3), FLAT),
}
every_layer = pytest.mark.parametrize("name", LAYERS)
ONCE = {f"conv1d {m}" for m in METHODS} | {"conv2d weight", "categorical gumbel_rao", "gaussian dropout"}


def made(name: str) -> tuple[nn.Module, Tensor]:
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    return make(), Noise(0).normal(shape)


def total(out) -> Tensor:
    return sum(part.float().square().sum() for part in (out if isinstance(out, tuple) else (out,)))


def close(got, want, **tolerance):
    for a, b in zip(got if isinstance(got, tuple) else (got,), want if isinstance(want, tuple) else (want,)):
        torch.testing.assert_close(a, b, **tolerance)


@every_layer
def test_vmap_over_the_noise(name):
    layer, x = made(name)
    seeds = torch.tensor([3, 5])
    both = torch.vmap(lambda seed: layer(x, noise=Noise(seed)))(seeds)
    for k, seed in enumerate(seeds):
        want = layer(x, noise=Noise(seed))
        got = tuple(part[k] for part in both) if isinstance(both, tuple) else both[k]
        close(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in ONCE])
def test_compile(name):
    """One graph for all seeds, with the values and gradients of eager mode; code that cases share is compiled once."""
    layer, x = made(name)
    x.requires_grad_()
    run = lambda seed: total(layer(x, noise=Noise(seed)))  # noqa: E731
    torch.compiler.reset()
    torch.distributions.Distribution.set_default_validate_args(
        False
    )  # as the first torch.compile of a process does
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    wanted = [x, *layer.parameters()]
    for seed in (torch.tensor(1), torch.tensor(2)):
        got, want = compiled(seed), run(seed)
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)
        for a, b in zip(torch.autograd.grad(got, wanted), torch.autograd.grad(want, wanted)):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@every_layer
def test_autocast(name):
    """bfloat16 keeps 8 bits: the value and every gradient are near the float32 ones, and float32 themselves."""
    layer, x = made(name)
    parameters = list(layer.parameters())
    results = []
    for enabled in (True, False):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            out = layer(x, noise=Noise(3))
        grads = torch.autograd.grad(total(out), parameters) if parameters else ()
        assert all(g.dtype == torch.float32 for g in grads)
        results.append(tuple(p.float() for p in (out if isinstance(out, tuple) else (out,))))
    close(*results, rtol=0.05, atol=0.1)


@every_layer
def test_state_dict(name, tmp_path):
    layer, x = made(name)
    torch.save(layer.state_dict(), tmp_path / "layer.pt")
    torch.manual_seed(7)
    twin = LAYERS[name][0]()
    twin.load_state_dict(torch.load(tmp_path / "layer.pt", weights_only=True))
    close(twin(x, noise=Noise(1)), layer(x, noise=Noise(1)), rtol=0, atol=0)
    assert not list(layer.buffers())


PROCESS = """
import sys
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from reparam.layers import Dropout, GaussianLatent, make_bayesian
from reparam.noise import Noise

class Net(nn.Module):
    def __init__(self, method):
        super().__init__()
        self.body = make_bayesian(nn.Sequential(nn.Linear(3, 5), nn.Tanh(), Dropout(0.3)), method=method)
        self.latent = GaussianLatent(5, 2)

    def forward(self, x, noise):
        z, kl = self.latent(self.body(x, noise=noise.child("body")), noise=noise.child("latent"))
        return (z.square().sum(-1) + kl).mean()

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
x = Noise(0).normal((8, 3))
for method in ("weight", "local", "flipout"):
    torch.manual_seed(0)
    net = Net(method)
    alone = net(x, noise=Noise(5).rows(torch.arange(8)))
    want = torch.autograd.grad(alone, list(net.parameters()))
    mine = torch.arange(4) + 4 * rank
    parallel = DistributedDataParallel(net)
    parallel(x[mine], noise=Noise(5).rows(mine)).backward()
    for parameter, gradient in zip(net.parameters(), want):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)
torch.distributed.destroy_process_group()
print("same")
"""


def test_two_processes_have_the_gradient_of_one(tmp_path):
    """DDP over gloo, half of the batch each, rows labelled: the averaged gradient is that of the whole batch."""
    source = Path(__file__).parents[2] / "src"
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(rank), str(tmp_path)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    for out, error in [worker.communicate(timeout=240) for worker in workers]:
        assert out.endswith("same\n"), error


class Checkpointed(nn.Module):
    """Two layers, repeated in the backward pass."""

    def __init__(self, context=None):
        super().__init__()
        self.first, self.second, self.context = nn.Linear(3, 4), nn.Linear(4, 2), context

    def block(self, x):
        return self.second(torch.tanh(self.first(x)))

    def forward(self, x):
        options = {} if self.context is None else {"context_fn": self.context}
        return checkpoint(self.block, x, use_reentrant=False, **options)


def test_checkpointing_is_right_or_raises():
    """Without its noise a repeated layer raises; with the scope given anew the gradient is the plain network's."""
    x, noise = Noise(0).normal((5, 3)), Noise(1)
    net = make_bayesian(Checkpointed(), method="local")
    with pytest.raises(RuntimeError, match="checkpointing repeats"):
        net(x, noise=noise).square().sum().backward()
    again = lambda: (nullcontext(), noise_scope(net.module, noise))  # noqa: E731
    grads = []
    for context, forward in ((again, net.module.forward), (None, net.module.block)):
        net.module.context, net.module.forward = context, forward
        grads.append(torch.autograd.grad(net(x, noise=noise).square().sum(), list(net.parameters())))
    for got, want in zip(*grads):
        torch.testing.assert_close(got, want, rtol=0, atol=0)


def test_checkpointing_a_layer_with_fresh_noise():
    """Outside any scope torch's own rule holds: the repeated pass sees the same state of the global generator."""
    layer, x = BayesLinear(3, 2), Noise(0).normal((5, 3))
    grads = []
    for call in (lambda: checkpoint(layer, x, use_reentrant=False), lambda: layer(x)):
        torch.manual_seed(4)
        grads.append(torch.autograd.grad(call().square().sum(), list(layer.parameters())))
    torch.testing.assert_close(*grads, rtol=0, atol=0)
