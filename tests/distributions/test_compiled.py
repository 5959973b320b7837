"""Vector, matrix and discrete families under torch.compile(fullgraph=True): values and gradients equal eager mode's.

The suite traces with the backend aot_eager: one graph, the operators' shapes, autograd through them. `make stats`
traces the one-dimensional families too, with their distribution functions; some take minutes.
"""

import pytest
import torch

import reparam as rp
from distributions.cases import EXPLICIT, IMPLICIT, TRUNCATED
from distributions.table import DISCRETE, LAWS, MANY, ONE, close

NOISE = rp.Noise(20261130)
F64 = torch.float64
U = torch.tensor([0.03, 0.4, 0.8], dtype=F64)


@pytest.fixture(autouse=True)
def fresh():
    torch.compiler.reset()


def parts(name, eps):
    """What is compiled: functions of the parameters whose values have a gradient."""
    law = LAWS[name]
    fixed = law.make(law.params)
    point = fixed.push(eps).detach()
    u = U.reshape(3, *(1,) * len(fixed.batch_shape)).expand(3, *fixed.batch_shape)
    out = {"log_prob": lambda *values: law.at(values).log_prob(point)}
    if fixed.rule != "none":
        out["push"] = lambda *values: law.at(values).push(eps)
        out["rsample"] = lambda *values: law.at(values).rsample((2,), noise=NOISE)
        out["log_prob of a draw"] = lambda *values: (lambda q: q.log_prob(q.push(eps)))(law.at(values))
    if name in ONE:
        out["cdf"] = lambda *values: law.at(values).cdf(point)
        out["survival"] = lambda *values: law.at(values).survival(point)
        out["icdf"] = lambda *values: law.at(values).icdf(u)
        out["isf"] = lambda *values: law.at(values).isf(u)
    return out


def noise_of(name):
    law = LAWS[name]
    q = law.make(law.params)
    return NOISE.child(name).draw(q.noise_spec((3,)))


def compare(name, backend):
    law, eps = LAWS[name], noise_of(name)
    functions = parts(name, eps)
    values = [value.clone().requires_grad_() for value in law.params.values()]
    weights = {key: NOISE.child(key).normal(f(*values).shape, dtype=F64) for key, f in functions.items()}

    def everything(*values):
        return {key: f(*values) for key, f in functions.items()}

    compiled = torch.compile(everything, fullgraph=True, backend=backend)(*values)
    for key, right in everything(*values).items():
        close(compiled[key], right, 1e-10, floor=1e-6)
        pairs = [
            torch.autograd.grad(
                (weights[key] * one).nan_to_num(posinf=0.0, neginf=0.0).sum(),
                values,
                retain_graph=True,
                allow_unused=True,
            )
            for one in (compiled[key], right)
        ]
        for ours, exact in zip(*pairs):
            if exact is None or ours is None:
                assert exact is None or not exact.any(), key
                assert ours is None or not ours.any(), key
            else:
                close(ours, exact, 1e-9, floor=1e-6)


@pytest.mark.parametrize("name", MANY | DISCRETE)
def test_one_graph_with_the_values_and_gradients_of_eager_mode(name):
    compare(name, "aot_eager")


@pytest.mark.stats
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [case.name for case in EXPLICIT + TRUNCATED + IMPLICIT])
def test_one_graph_of_one_dimensional_families(name):
    compare(name, "aot_eager")
