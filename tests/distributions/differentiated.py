"""What is differentiated of every family and wrapper, and in which directions: shared by the tests of modes."""

import torch

import reparam as rp
from distributions.table import DISCRETE, LAWS, LINE_WRAPPED, ONE, WRAPPED

NOISE = rp.Noise(20261130)
F64 = torch.float64
U = torch.tensor([0.03, 0.4, 0.8], dtype=F64)
ALL = LAWS | WRAPPED
SMOOTH = [name for name in ALL if name not in DISCRETE]


def draws(name):
    """The noise, the point at which densities are taken, and probabilities of its shape."""
    law = ALL[name]
    q = law.make(law.params)
    eps = NOISE.child(name).draw(q.noise_spec((3,)))
    if law.kinks:
        eps = eps.abs() + 0.1
    u = U.reshape(3, *(1,) * len(q.batch_shape)).expand(3, *q.batch_shape)
    return q, eps, q.push(eps).detach(), u


def functions(name):
    """Functions of (what is given, *parameters) with what is given: all that is smooth."""
    law = ALL[name]
    q, eps, point, u = draws(name)
    out = {"log_prob": (point, lambda x, *values: law.at(values).log_prob(x))}
    if q.rule != "none":
        out["push"] = (eps, lambda e, *values: law.at(values).push(e))
    if name in ONE or name in LINE_WRAPPED:
        out["cdf"] = (point, lambda x, *values: law.at(values).cdf(x))
        out["icdf"] = (u, lambda p, *values: law.at(values).icdf(p))
    return out


def more(name):
    """What has first derivatives of its own: draws from an address, densities of draws, upper tails."""
    law = ALL[name]
    q, eps, point, u = draws(name)
    out = {}
    if q.rule != "none":
        out["rsample"] = lambda *values: law.at(values).rsample((2,), noise=NOISE)
        out["log_prob of a draw"] = lambda *values: (lambda q: q.log_prob(q.push(eps)))(law.at(values))
    if name in ONE or name in LINE_WRAPPED:
        out["survival"] = lambda *values: law.at(values).survival(point)
        out["isf"] = lambda *values: law.at(values).isf(u)
    return out


def parameters(name):
    return tuple(value.clone() for value in ALL[name].params.values())


def weighted(key, value):
    """A number with all of a value in it; infinities are left out."""
    return (NOISE.child(key).normal(value.shape, dtype=F64) * value).nan_to_num(posinf=0.0, neginf=0.0).sum()


def directions(values):
    return [NOISE.child(str(i)).normal(value.shape, dtype=F64) for i, value in enumerate(values)]
