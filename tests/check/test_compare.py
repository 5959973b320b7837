"""Comparison, choice, assertion, and the targets of the command line."""

import json

import pytest
import torch

import reparam as rp
from reparam.check import TargetError, assert_unbiased, choose, compare, exit_code, run_compare, run_target

NOISE = rp.Noise(3)


def ways(S: int = 512):
    """E z^2, z ~ N(loc, 1): the variance of the pathwise gradient is 4 / S, of the score function's 30 / S."""
    loc = torch.tensor(1.0, requires_grad=True)

    def pathwise():
        return (loc + torch.randn(S)).square().mean()

    def score():
        z = (loc + torch.randn(S)).detach()
        surrogate = (z**2 * torch.distributions.Normal(loc, 1.0).log_prob(z)).mean()
        return (z**2).mean() + surrogate - surrogate.detach()

    def wrong():
        return (loc + torch.randn(S)).detach().square().mean() + 0.5 * (loc - loc.detach())

    def meant():
        return loc**2 + 1

    return {"pathwise": pathwise, "score": score, "wrong": wrong}, loc, meant


OPTIONS = {"noise": NOISE, "tolerance": 0.1, "false_alarm": 1e-3, "max_draws": 1500, "max_seconds": 600.0}


def test_compare_ranks_by_price_and_knows_the_variances():
    losses, loc, meant = ways()
    table = compare(losses, loc, reference=meant, **OPTIONS)
    assert [row.name for row in table] == ["pathwise", "score", "wrong"]
    assert [row.report.verdict for row in table] == ["unbiased", "unbiased", "biased"]
    for name, exact in (("pathwise", 4 / 512), ("score", 30 / 512)):
        report = table[name].report
        assert abs(report.variance - exact) < 5 * report.variance_error  # false alarm 6e-7 each
    assert "variance x ms" in str(table)
    assert "<td>score</td>" in table._repr_html_()
    assert json.loads(table.to_json())[0]["name"] == "pathwise"


def test_choose_returns_the_cheapest_that_passed():
    losses, loc, meant = ways()
    right = {name: losses[name] for name in ("pathwise", "score")}
    assert choose(right, loc, reference=meant, **OPTIONS) == "pathwise"
    with pytest.raises(ValueError, match="at least one way"):
        choose({"wrong": losses["wrong"]}, loc, reference=meant, **OPTIONS)
    with pytest.raises(ValueError, match="losses must be"):
        compare({}, loc)


def bernoulli_ways(S: int = 256):
    """E (b - .45)^2, b ~ Bernoulli(sigmoid(.3)): leave-one-out has less variance than the plain score function."""
    logit = torch.tensor(0.3, requires_grad=True)

    def estimator(weight):
        def loss():
            p = torch.sigmoid(logit)
            b = (torch.rand(S) < p).float().detach()
            f = (b - 0.45) ** 2
            surrogate = (weight(f) * (b * torch.log(p) + (1 - b) * torch.log1p(-p))).mean()
            return f.mean() + surrogate - surrogate.detach()

        return loss

    def straight_through():
        p = torch.sigmoid(logit).expand(S)
        hard = (torch.rand(S) < p).float()
        return (hard + p - p.detach() - 0.45).square().mean()

    losses = {
        "straight_through": straight_through,
        "memorized": lambda: 0.25 + 0.05 * (logit - logit.detach()),  # no variance, and wrong
        "score": estimator(lambda f: f),
        "leave_one_out": estimator(lambda f: f - (f.sum() - f) / (S - 1)),
    }
    p = torch.sigmoid(logit.detach())
    return losses, logit, p * (1 - p) * (1 - 2 * 0.45)


def test_a_biased_way_ranks_last_however_small_its_variance():
    losses, logit, exact = bernoulli_ways(2048)
    options = {**OPTIONS, "tolerance": 0.3}
    table = compare(losses, logit, reference=exact, **options)
    assert [row.report.verdict for row in table] == ["unbiased", "unbiased", "biased", "biased"], str(table)
    assert [row.name for row in table] == ["leave_one_out", "score", "memorized", "straight_through"], str(
        table
    )
    assert table["memorized"].report.variance == 0
    for row in table:
        low, high = row.report.interval
        assert low <= row.report.bias <= high
        assert row.price_error >= 0
    assert table["leave_one_out"].report.interval[1] < 0.3
    assert table["straight_through"].report.interval[0] > 0.3
    assert choose(losses, logit, reference=exact, **options) == "leave_one_out"


def test_reports_for_terminal_notebook_and_file():
    losses, loc, meant = ways()
    table = compare({"<way>": losses["pathwise"]}, loc, reference=meant, **OPTIONS)
    page = table._repr_html_()
    assert "&lt;way&gt;" in page
    assert "<way>" not in page
    for tag in ("table", "tr", "th", "td"):
        assert page.count(f"<{tag}>") == page.count(f"</{tag}>") > 0
    assert max(len(line) for line in str(table).splitlines()) <= 110
    (row,) = json.loads(table.to_json())
    assert {
        "name",
        "price",
        "price_error",
        "verdict",
        "bias",
        "interval",
        "variance",
        "draws",
        "blocks",
    } <= set(row)


def test_assert_unbiased():
    losses, loc, _ = ways(16)
    assert assert_unbiased(losses["pathwise"], loc, **OPTIONS).verdict == "unbiased"
    with pytest.raises(AssertionError, match="biased"):
        assert_unbiased(losses["wrong"], loc, **OPTIONS)


TARGETS = """
import torch
loc = torch.tensor(1.0, requires_grad=True)
def right(): return lambda: (loc + torch.randn(16)).square().mean(), loc
def wrong(): return {"loss": lambda: (loc.detach() + torch.randn(16)).square().mean(), "params": loc}
def noisy(): return lambda: (loc * torch.randn(())).exp().square(), loc, torch.tensor(29.5)
def nothing(): return 3
def broken(): raise ZeroDivisionError("mine")
"""


@pytest.fixture
def targets(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(TARGETS)
    return str(path)


def test_exit_codes_of_targets(targets):
    assert exit_code(run_target(f"{targets}:right", max_draws=500)) == 0
    assert exit_code(run_target(f"{targets}:wrong", false_alarm=1e-3, max_draws=1500)) == 1
    assert exit_code(run_target(f"{targets}:noisy", max_draws=100)) == 3


def test_module_targets(targets, monkeypatch):
    monkeypatch.chdir(targets.removesuffix("mine.py"))
    assert run_target("mine:right", max_draws=300).verdict == "unbiased"
    table = run_compare(["mine:right", "mine:wrong"], false_alarm=1e-3, max_draws=1500)
    assert [row.name for row in table] == ["mine:right", "mine:wrong"]


@pytest.mark.parametrize(
    ("target", "match"),
    [
        ("nocolon", "module:function"),
        ("no_such_module:f", "must be a module"),
        ("no/such/file.py:f", "no such file"),
        ("{}:absent", "must hold a function"),
        ("{}:nothing", "must return"),
    ],
)
def test_bad_targets(targets, target, match):
    with pytest.raises(TargetError, match=match):
        run_target(target.format(targets))


def test_errors_of_the_target_pass_through(targets):
    with pytest.raises(ZeroDivisionError, match="mine"):
        run_target(f"{targets}:broken")
    with pytest.raises(TargetError, match="two or more"):
        run_compare(["a:b"])
