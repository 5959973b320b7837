"""Log densities of the vector, matrix, spherical, relaxed and discrete families against many-digit references."""

import json
from pathlib import Path

import pytest
import torch

from reparam import distributions as D

REFERENCES = json.loads((Path(__file__).parent.parent / "references/densities.json").read_text())
F64 = torch.float64


def on_grid(family):
    return lambda **given: family(low=0.0, high=255.0, bins=256, **given)


BUILD = {  # without a check of the factor of correlations: its rows have length 1 up to 1e-8 only
    "MVN(L)": D.MultivariateNormal,
    "MVN(C)": D.MultivariateNormal,
    "MVN(P)": D.MultivariateNormal,
    "LowRankMVN": D.LowRankMultivariateNormal,
    "Wishart(L)": D.Wishart,
    "LKJCholesky": lambda concentration: D.LKJCholesky(3, concentration, validate_args=False),
    "ZeroInflated(Poisson)": lambda logits, rate: D.ZeroInflated(D.Poisson(rate), logits),
    "DiscretizedLogistic": on_grid(D.DiscretizedLogistic),
    "DiscretizedLogisticMixture": on_grid(D.DiscretizedLogisticMixture),
}
# relative to max(1, |log q|)
MUST = {F64: 1e-12, torch.float32: 4e-7}


def errors(name, dtype):
    """Error of each reference, relative to max(1, |log q|)."""
    out = []
    for row in REFERENCES[name]:
        given = {key: torch.tensor(value, dtype=dtype) for key, value in row["params"].items()}
        law = BUILD.get(name, getattr(D, name, None))(**given)
        ours = float(law.log_prob(torch.tensor(row["x"], dtype=dtype)))
        out.append(abs(ours - row["log_prob"]) / max(1.0, abs(row["log_prob"])))
    return out


@pytest.mark.parametrize("dtype", MUST, ids=str)
@pytest.mark.parametrize("name", REFERENCES)
def test_log_densities(name, dtype):
    assert max(errors(name, dtype)) <= MUST[dtype]
