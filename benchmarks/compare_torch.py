"""Run the table of cases of the tests against torch's own classes and print what they fail.

    python benchmarks/compare_torch.py            (needs `src` and `tests` on the path: `make compare` sets it)

Each law is run on torch's class and on ours with the same parameters; a law that raises counts as failed.
"""

import warnings
from collections.abc import Callable

import torch

import reparam as rp
from distributions.cases import CASES, Case
from reparam import distributions as D

F64 = torch.float64
DRAWS = 100_000


def draws_are_numbers(q: torch.distributions.Distribution) -> str:
    """No NaN, and nothing outside the support, among 1e5 draws."""
    z = q.sample((DRAWS,))
    outside = ~(q.support.check(z) | z.isinf()) & ~z.isnan()
    return (
        f"{int(z.isnan().sum())} nan, {int(outside.sum())} outside the support"
        if outside.any() or z.isnan().any()
        else ""
    )


def log_prob_is_finite(q: torch.distributions.Distribution) -> str:
    """log_prob is a number at the draws that are finite."""
    z = q.sample((1000,))
    bad = q.log_prob(z).isnan() & z.isfinite()
    return f"{int(bad.sum())} nan of {bad.numel()}" if bad.any() else ""


def tails_invert(q: torch.distributions.Distribution) -> str:
    """cdf(icdf(u)) = u to 1e-6 for u from 1e-12."""
    u = torch.tensor([1e-12, 1e-8, 1e-3, 0.5, 0.999], dtype=F64)[:, None]
    error = ((q.cdf(q.icdf(u)) - u).abs() / u).max().item()
    return "" if error < 1e-6 else f"relative error {error:.1e}"


def gradient_is_finite(q: torch.distributions.Distribution) -> str:
    """The draws have a finite gradient in every parameter."""
    z = q.rsample((1000,))
    names = [name for name in q.arg_constraints if getattr(q, name, None) is not None]
    leaves = [getattr(q, name) for name in names]
    grads = torch.autograd.grad(z[z.isfinite()].sum(), leaves, allow_unused=True)
    bad = [n for n, g in zip(names, grads) if g is not None and not g.isfinite().all()]
    return f"not finite in {', '.join(bad)}" if bad else ""


def second_derivative(q: torch.distributions.Distribution) -> str:
    """rsample can be differentiated twice."""
    leaf = next(p for p in (getattr(q, name) for name in q.arg_constraints) if p.requires_grad)
    (first,) = torch.autograd.grad((q.rsample((3,)) ** 2).sum(), leaf, create_graph=True)
    torch.autograd.grad(first.sum(), leaf)
    return ""


EXTREME: list[Callable[..., str]] = [draws_are_numbers, log_prob_is_finite]
ORDINARY: list[Callable[..., str]] = [log_prob_is_finite, tails_invert, gradient_is_finite, second_derivative]


def verdict(law: Callable[..., str], make: Callable[..., object], params: dict[str, torch.Tensor]) -> str:
    """Return what is wrong, or nothing."""
    torch.manual_seed(0)
    try:
        return law(make(**{name: value.clone().requires_grad_() for name, value in params.items()}))
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}"


def main() -> None:
    """Print one line per law that torch's class or ours fails."""
    warnings.simplefilter("ignore")
    print(f"torch {torch.__version__}, reparam {rp.__version__}")
    for case in CASES:
        if case.torch_family is None:
            continue
        for dtype, extreme, laws in (
            (torch.float32, True, EXTREME),
            (F64, True, EXTREME),
            (F64, False, ORDINARY),
        ):
            for law in laws:
                report(
                    case, law, case.batch(dtype, extreme=extreme), "extreme" if extreme else "ordinary", dtype
                )


def report(
    case: Case, law: Callable[..., str], params: dict[str, torch.Tensor], kind: str, dtype: torch.dtype
) -> None:
    """Print the failure of torch's class, and of ours, if there is one."""
    theirs = verdict(law, getattr(torch.distributions, str(case.torch_family)), params)
    ours = verdict(law, case.family or getattr(D, case.name), params)
    where = f"{case.name:28s} {str(dtype).removeprefix('torch.'):8s} {kind:9s} {law.__name__:20s}"
    if theirs:
        print(where, "torch:", theirs)
    if ours:
        print(where, "OURS: ", ours)


if __name__ == "__main__":
    main()
