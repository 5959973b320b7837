"""Run the table of cases of the tests against torch's own classes; write what they fail to results/compare_torch.md.

    PYTHONPATH=src:tests python -P benchmarks/compare_torch.py            (what `make compare` runs)

Each law is run on torch's class and on ours with the same parameters; a law that raises counts as failed.
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import torch

import reparam as rp
from distributions.cases import CASES
from reparam import distributions as D

F64 = torch.float64
DRAWS = 20_000
Law = torch.distributions.Distribution
Leaves = dict[str, torch.Tensor]
OUT = Path(__file__).parent / "results/compare_torch.md"


def draws_are_numbers(q: Law, leaves: Leaves) -> str:
    """No NaN, and nothing outside the support, among 20,000 draws."""
    z = q.sample((DRAWS,))
    outside = ~(q.support.check(z) | z.isinf()) & ~z.isnan()
    return (
        f"{int(z.isnan().sum())} nan, {int(outside.sum())} outside the support"
        if outside.any() or z.isnan().any()
        else ""
    )


def log_prob_is_finite(q: Law, leaves: Leaves) -> str:
    """log_prob is a number at the draws that are finite."""
    z = q.sample((1000,))
    bad = q.log_prob(z).isnan() & z.isfinite()
    return f"{int(bad.sum())} nan of {bad.numel()}" if bad.any() else ""


def tails_invert(q: Law, leaves: Leaves) -> str:
    """cdf(icdf(u)) = u to 1e-6 for u from 1e-12, but for what two roundings of x do to the probability."""
    u = torch.tensor([1e-12, 1e-8, 1e-3, 0.5, 0.999], dtype=F64)[:, None]
    x = q.icdf(u)
    rounding = 2 * torch.finfo(F64).eps * x.abs() * torch.exp(q.log_prob(x))
    error = (((q.cdf(x) - u).abs() - rounding) / u).max().item()
    return "" if error < 1e-6 else f"relative error {error:.1e}"


def gradient_is_finite(q: Law, leaves: Leaves) -> str:
    """The draws have a finite gradient in every parameter."""
    z = q.rsample((1000,))
    names = list(leaves)
    grads = torch.autograd.grad(z[z.isfinite()].sum(), list(leaves.values()), allow_unused=True)
    bad = [n for n, g in zip(names, grads) if g is not None and not g.isfinite().all()]
    return f"not finite in {', '.join(bad)}" if bad else ""


def second_derivative(q: Law, leaves: Leaves) -> str:
    """rsample can be differentiated twice."""
    leaf = next(iter(leaves.values()))
    (first,) = torch.autograd.grad((q.rsample((3,)) ** 2).sum(), leaf, create_graph=True)
    torch.autograd.grad(first.sum(), leaf)
    return ""


EXTREME: list[Callable[..., str]] = [draws_are_numbers, log_prob_is_finite]
ORDINARY: list[Callable[..., str]] = [log_prob_is_finite, tails_invert, gradient_is_finite, second_derivative]


def verdict(law: Callable[..., str], make: Callable[..., object], params: dict[str, torch.Tensor]) -> str:
    """Return what is wrong, or nothing."""
    torch.manual_seed(0)
    try:
        leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
        return law(make(**leaves), leaves)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}"


def main() -> None:
    """Write one row per law that torch's class or ours fails."""
    warnings.simplefilter("ignore")
    lines = [
        "# The table of cases on torch's classes and on ours",
        "",
        f"Written by `make compare`; torch {torch.__version__}, reparam {rp.__version__}. Only failures are listed.",
        "",
        "| family | dtype | parameters | law | torch | ours |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    tried = 0
    for case in (case for case in CASES if case.torch_family is not None):
        for dtype, extreme in ((torch.float32, True), (F64, True), (F64, False)):
            params = case.batch(dtype, extreme=extreme)
            for law in EXTREME if extreme else ORDINARY:
                tried += 1
                theirs = verdict(law, getattr(torch.distributions, str(case.torch_family)), params)
                ours = verdict(law, case.family or getattr(D, case.name), params)
                if theirs or ours:
                    kind = "extreme" if extreme else "ordinary"
                    dtype_name = str(dtype).removeprefix("torch.")
                    cells = [case.name, dtype_name, kind, law.__name__, theirs or "passes", ours or "passes"]
                    lines.append(f"| {' | '.join(cell.replace('|', ' ') for cell in cells)} |")
                    print(lines[-1], flush=True)
    failed = [line.endswith("| passes |") for line in lines[6:]]
    lines += ["", f"{tried} laws tried; torch or ours fails {len(failed)}, ours {failed.count(False)}."]
    OUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
