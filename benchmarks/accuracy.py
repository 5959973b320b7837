"""Write benchmarks/results/accuracy.md: the worst errors of the families at the committed references.

PYTHONPATH=src:tests python -P benchmarks/accuracy.py
"""

from pathlib import Path

import torch

from distributions import test_density_references as densities
from distributions import test_dirichlet_references as dirichlet
from distributions.test_law_references import REFERENCES, limits, worst

OUT = Path(__file__).parent / "results/accuracy.md"
HEAD = f"""# Accuracy of the one-dimensional families

Written by `benchmarks/accuracy.py` with torch {torch.__version__}: the worst error over the points of
tests/references/laws.json, which are float32 numbers at quantiles from 1e-6 to 1 - 1e-6. Parameters and points are
those of the table of tests and, for the implicit families, shapes over the promised ranges: Gamma alpha from 1e-4 to
1e7, Beta from 1e-3 to 1e6, StudentT df from 1e-2 to 1e6, von Mises kappa from 1e-3 to 1e6.

cdf, survival, quantile: relative. log_prob: relative to max(1, |log q|). pathwise: relative, with a floor of 1e-3
(FisherSnedecor 1e-2) of the natural scale min(F, S)/(q |phi|) where a derivative crosses zero; the last column is that
of float32, in ulp.

| family | cdf | survival | log_prob | quantile | pathwise | must | float32 pathwise, ulp | must |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
DIRICHLET = """
## Dirichlet

At tests/references/dirichlet.json: K of 2, 3, 5 and 10, concentrations from 1e-3 to 1e6, normal noise up to 4.75;
points are float32 numbers over their sum. Relative errors, of log x of a draw and of the entropy to max(1, |.|), of
log_prob to |log q| + 1 + sum |alpha - 1|, what an ulp of x moves it by; float32 in ulp. The last row is of the
field x_j v_j, of which all derivatives of a draw are multiples.

| quantity | worst error | must |
| --- | --- | --- |
"""

DENSITIES = """
## Log densities of the other families

At tests/references/densities.json, 40 digits by the textbook formulas; relative to max(1, |log q|).

| family | log_prob in float64 | in float32 |
| --- | --- | --- |
"""
NAMES = {"MVN": "MultivariateNormal", "LowRankMVN": "LowRankMultivariateNormal"}


def density_row(name: str) -> str:
    """Return a line of the second table; Dirichlet's is above."""
    family, bracket, case = name.partition("(")
    worst64, worst32 = (max(densities.errors(name, dtype)) for dtype in densities.MUST)
    return f"| {NAMES.get(family, family)}{bracket}{case} | {worst64:.1e} | {worst32:.1e} |"


def main() -> None:
    """Write one row per family."""
    rows = []
    for name in REFERENCES:
        e = worst(name)
        cells = [f"{e[key]:.1e}" for key in ("cdf", "survival", "log_prob", "quantile", "pathwise")]
        must = f"{limits(name)['pathwise']:.0e}"
        rows.append(f"| {name} | {' | '.join(cells)} | {must} | {e['float32 ulp']:.2g} | 2 |")
        print(rows[-1], flush=True)
    errors = dirichlet.worst().items()
    table = "\n".join(f"| {key} | {error:.2g} | {dirichlet.MUST[key]:g} |" for key, error in errors)
    others = "\n".join(density_row(name) for name in densities.REFERENCES if name != "Dirichlet")
    OUT.write_text(HEAD + "\n".join(rows) + "\n" + DIRICHLET + table + "\n" + DENSITIES + others + "\n")


if __name__ == "__main__":
    main()
