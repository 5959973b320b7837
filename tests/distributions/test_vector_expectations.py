"""Gradients of expectations of vector families: pathwise against the score function, five functions each.

    dE f/dphi = E[dz/dphi . grad f] = E[(f - c) dlog q/dphi],   c the mean of f over other draws

The mean over n = 10,000 draws of the difference of the two, in units of its standard error, for every entry of every
parameter. The functions, of y = (x - mean)/(standard deviation): a linear one, a square and two cosines, each of its
own random direction, the cosines at random shifts, and the log density of the law at parameters held fixed. About
1,200 statistics; the threshold 6.2 gives a false alarm in 1,200 * 5.7e-10 = 7e-7 of all suites.
"""

import math
from dataclasses import replace

import pytest
import torch

import reparam as rp
from distributions.table import MANY, Entry
from reparam import distributions as D

F64 = torch.float64
NOISE = rp.Noise(20261201)
N = 10_000
RELAXED = {
    "RelaxedOneHotCategorical": Entry(
        lambda logits, **given: D.RelaxedOneHotCategorical(
            torch.tensor(0.7, dtype=F64), logits=logits, **given
        ),
        {"logits": MANY["RelaxedOneHotCategorical"].params["logits"]},
    )
}
# below 2 degrees of freedom one draw in 10^4 rounds to a singular matrix, whose score is infinite
WISHART = {
    name: replace(MANY[name], params={**MANY[name].params, "df": torch.tensor([2.5, 7.0], dtype=F64)})
    for name in ("Wishart(L)", "Wishart(C)")
}
LAWS = {name: law for name, law in MANY.items() if not name.startswith("Relaxed")} | RELAXED | WISHART


def functions(q, noise):
    """The five functions of draws (n, *B, *E)."""
    pilot = q.sample((N,), noise=noise.child("pilot"))
    centre, spread = pilot.mean(0), pilot.std(0) + (pilot.std(0) == 0)
    event = tuple(range(-len(q.event_shape), 0))
    ways = noise.child("ways").normal((4, *q.event_shape), dtype=F64)
    shifts = noise.child("shifts").uniform((2,), dtype=F64) * 2 * math.pi

    def along(k):
        return lambda z: (ways[k] * (z - centre) / spread).sum(event)

    fixed = rp.detach(q)
    made = [
        along(0),
        lambda z: along(1)(z) ** 2,
        lambda z: torch.cos(along(2)(z) + shifts[0]),
        lambda z: torch.cos(along(3)(z) + shifts[1]),
        fixed.rebuilt().log_prob if hasattr(fixed, "rebuilt") else fixed.log_prob,
    ]
    return [(f, f(pilot).mean(0)) for f in made]


@pytest.mark.parametrize("name", LAWS)
def test_pathwise_gradients_are_those_of_the_score_function(name):
    law, noise = LAWS[name], NOISE.child(name)
    wide = [value.expand(N, *value.shape).clone().requires_grad_() for value in law.params.values()]
    z = law.at(wide).rsample(noise=noise)
    log_q = law.at(wide).log_prob(z.detach())
    for index, (f, mean) in enumerate(functions(law.make(law.params), noise)):
        values = f(z)
        pathwise = torch.autograd.grad(values.sum(), wide, retain_graph=True)
        weighted = ((values - mean).detach() * log_q).sum()
        score = torch.autograd.grad(weighted, wide, retain_graph=True)
        for key, ours, theirs in zip(law.params, pathwise, score):
            difference = ours - theirs
            error = difference.std(0) / N**0.5
            seen = (difference.mean(0).abs() / (error + 1e-12)).max()
            assert seen < 6.2, (key, index, seen)
