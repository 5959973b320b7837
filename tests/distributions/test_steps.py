"""Distribution functions of discrete laws are sums of probabilities; quantiles are the smallest k with F(k) >= u."""

import pytest
import torch

import reparam as rp
from reparam import distributions as D

F64 = torch.float64
LAWS = {
    "Bernoulli(probs)": D.Bernoulli(probs=torch.tensor([0.3, 0.9], dtype=F64)),
    "Bernoulli(logits)": D.Bernoulli(logits=torch.tensor([-3.0, 0.9], dtype=F64)),
    "Geometric": D.Geometric(probs=torch.tensor([0.3, 0.05], dtype=F64)),
    "Poisson": D.Poisson(torch.tensor([0.5, 7.0], dtype=F64)),
    "Binomial": D.Binomial(9, probs=torch.tensor([0.5, 0.1], dtype=F64)),
    "NegativeBinomial": D.NegativeBinomial(2.5, probs=torch.tensor([0.5, 0.1], dtype=F64)),
    "ZeroInflated": D.ZeroInflated(
        D.Poisson(torch.tensor([0.5, 7.0], dtype=F64)), torch.tensor([-1.0, 2.0], dtype=F64)
    ),
}


@pytest.mark.parametrize("q", LAWS.values(), ids=LAWS)
def test_steps(q):
    most = 1 if isinstance(q, D.Bernoulli) else 9
    k = torch.arange(most + 1, dtype=F64)[:, None]
    sums = q.log_prob(k.expand(-1, 2)).exp().cumsum(0)
    F = q.cdf(k.expand(-1, 2))
    torch.testing.assert_close(F, sums, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(q.cdf(k + 0.5), F, rtol=0, atol=0)
    assert (q.cdf(k - most - 2) == 0).all()
    before = torch.cat((torch.zeros(1, 2, dtype=F64), F[:-1]))
    for share in (1e-6, 0.5, 1 - 1e-6):
        u = before + share * (F - before)
        ours = q.icdf(u)
        assert (torch.where(u < F.amax(0), ours, k) == k).all()
        assert not ours.requires_grad


@pytest.mark.parametrize("name", ["probs", "logits"])
def test_continuous_bernoulli_under_vmap(name):
    values = torch.tensor([0.2, 0.4])
    noise = rp.Noise(0)

    def draw(value):
        return D.ContinuousBernoulli(**{name: value}).rsample((3,), noise=noise)

    rows = torch.func.vmap(draw)(values)
    for row, value in zip(rows, values):
        torch.testing.assert_close(row, draw(value), rtol=1e-6, atol=0)
    relaxed = torch.func.vmap(lambda t: D.RelaxedBernoulli(t, logits=torch.zeros(2)).rsample(noise=noise))
    assert relaxed(values).shape == (2, 2)
    for wrong in (0.0, 1.0, -0.1):
        with pytest.raises(ValueError, match="probs must be strictly between 0 and 1"):
            D.ContinuousBernoulli(probs=torch.tensor(wrong))
