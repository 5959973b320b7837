"""A draw and its derivatives do not depend on the batch: those of the first rows alone have the bits of the whole."""

import pytest
import torch

import reparam as rp
from distributions.table import LAWS

NOISE = rp.Noise(20261201)
# where the last digits depend on the batch (LIMITATIONS.md), and how much, relative to the largest number
BLOCKS = {
    "Gamma",
    "ExpGamma",
    "InverseGamma",
    "Chi2",
    "Beta",
    "FisherSnedecor",
    "StudentT",
    "VonMises",
    "Dirichlet",
}
BLOCKS |= {
    "Folded(StudentT)",
    "Mixture(Normal, Gamma)",
    "Wishart(L)",
    "Wishart(C)",
    "LKJCholesky",
    "PowerSpherical",
}
BLOCKS |= {"VonMisesFisher", "Truncated(Gumbel)", "Truncated(Exponential)"}
SIGMOIDS = {"RelaxedBernoulli", "RelaxedBernoulli(probs)"}
SLOW = {
    "VonMisesFisher",
    "Wishart(L)",
    "Wishart(C)",
    "LKJCholesky",
    "DiscretizedLogisticMixture",
    "InverseGaussian",
}


def rows(entry, values, n, numbered):
    """The draws of the first n rows of the parameters, and the gradients of a weighted sum."""
    leaves = tuple(v[:n].clone().requires_grad_(v.is_floating_point()) for v in values)
    q, noise = entry.at(leaves), NOISE.rows(torch.arange(n)) if numbered else NOISE
    if not q.has_rsample:
        return [q.sample(noise=noise)]
    z = q.rsample(noise=noise)
    weights = NOISE.child("w").rows(torch.arange(n)).normal(z.shape, dtype=z.dtype)
    slopes = torch.autograd.grad((weights * z).sum(), leaves, allow_unused=True)
    return [z.detach(), *(s for s in slopes if s is not None)]


# a relaxed one-hot law has one temperature for all rows, whose gradient is a sum over them
@pytest.mark.parametrize("name", [name for name in LAWS if name != "RelaxedOneHotCategorical"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_batch_does_not_matter(name, dtype):
    entry = LAWS[name]
    size = 67 if entry.costly or name in SLOW else 1027
    floats = [v.to(dtype) if v.is_floating_point() else v for v in entry.params.values()]
    values = [v.expand(size, *v.shape) for v in floats]
    loose = name in SIGMOIDS or (name in BLOCKS and dtype == torch.float64)
    tolerance = (1e-6 if dtype == torch.float32 else 1e-11) if loose else 0.0
    for numbered in (True, False):
        whole = rows(entry, values, size, numbered)
        for n in (1, 7, 61, 513):
            for part, right in zip(rows(entry, values, n, numbered), whole) if n < size else ():
                wanted = right[:n]
                atol = tolerance * float(wanted.abs().max()) if loose else 0.0
                torch.testing.assert_close(part, wanted, rtol=0, atol=atol, equal_nan=True)
