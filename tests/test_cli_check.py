"""`reparam check` and `reparam compare`: verdicts as exit codes, and the user's own mistakes as one line."""

import json

import pytest

from reparam.cli import main
from reparam.models.vae import VAE

LOSSES = """
import torch
import reparam as rp

def right():
    mu = torch.tensor([1.0, 2.0], requires_grad=True)
    return lambda noise: ((mu + noise.normal((2,))) ** 2).sum(), {"mu": mu}

def halved():
    mu = torch.tensor([1.0, 2.0], requires_grad=True)
    return lambda noise: ((0.5 * mu + 0.5 * mu.detach() + noise.normal((2,))) ** 2).sum(), {"mu": mu}

def raising():
    mu = torch.tensor(1.0, requires_grad=True)
    return lambda noise: {}["missing"], mu

def wrong():
    return 3

def a_vector():
    mu = torch.tensor([1.0, 2.0], requires_grad=True)
    return lambda noise: mu, mu

def nothing_to_check():
    return lambda noise: torch.zeros(()), {}

def no_leaf():
    mu = 2 * torch.tensor(1.0, requires_grad=True)
    return lambda noise: mu, {"mu": mu}

def not_a_number():
    mu = torch.tensor(1.0, requires_grad=True)
    return lambda noise: mu * float("nan"), mu

def with_arguments(size):
    return size

def leaves():
    raise SystemExit(1)

def leaves_later():
    def loss(noise):
        raise SystemExit(0)
    return loss, torch.tensor(1.0, requires_grad=True)
"""


@pytest.fixture
def losses(tmp_path):
    file = tmp_path / "losses.py"
    file.write_text(LOSSES)
    return file


def test_exit_codes_are_the_verdict(losses, capsys):
    assert main(["check", f"{losses}:right"]) == 0
    assert capsys.readouterr().out.startswith("unbiased")
    assert main(["check", f"{losses}:halved", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "biased"
    assert main(["check", f"{losses}:halved", "--max-draws", "8"]) == 3


def test_a_file_that_is_no_python_is_one_line(tmp_path, capsys):
    (tmp_path / "broken.py").write_text("def f(:")
    assert main(["check", f"{tmp_path}/broken.py:f"]) == 2
    assert "the target raised SyntaxError" in capsys.readouterr().err


def test_compare_ranks(losses, capsys):
    assert main(["compare", f"{losses}:right", f"{losses}:halved", "--max-draws", "1500"]) == 0
    assert "unbiased" in capsys.readouterr().out


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a small trained run."""
    out = str(tmp_path_factory.mktemp("trained") / "run")
    command = ["train", "--data", "digits", "--epochs", "1", "--hidden", "4", "--latent", "2", "--out", out]
    assert main(command) == 0
    return out


CHECK_RUN = ["--max-draws", "1600", "--max-seconds", "600", "--tolerance", "0.1", "--false-alarm", "1e-3"]


def test_a_trained_run_checks_its_own_gradient(run, capsys):
    assert main(["check", run, *CHECK_RUN]) == 0
    out = capsys.readouterr().out
    assert out.startswith("unbiased")
    assert "encoder" in out


def test_a_trained_run_with_a_fault_is_biased(run, capsys, monkeypatch):
    likelihood = VAE.log_likelihood  # half of the gradient reaches the encoder

    def faulty(self, z, target):
        return likelihood(self, 0.5 * z + 0.5 * z.detach(), target)

    monkeypatch.setattr(VAE, "log_likelihood", faulty)
    assert main(["check", run, "--json", *CHECK_RUN]) == 1
    report = json.loads(capsys.readouterr().out)
    accused = [block["name"] for block in report["blocks"] if block["verdict"] == "biased"]
    assert accused
    assert all(name.startswith("encoder") for name in accused)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "{}:raising"], "the target raised KeyError"),
        (["check", "{}:wrong"], "must return (loss, params)"),
        (["check", "{}:none"], "no"),
        (["check", "{}:a_vector"], "loss must return one real number"),
        (["check", "{}:nothing_to_check"], "params must hold a parameter"),
        (["check", "{}:no_leaf"], "must be a leaf"),
        (["check", "{}:not_a_number"], "loss must be finite"),
        (["check", "{}:with_arguments"], "without arguments"),
        (["check", "{}:leaves"], "the target raised SystemExit: 1"),
        (["check", "{}:leaves_later"], "the target raised SystemExit: 0"),
        (["compare", "{}:right", "{}:no_leaf", "--max-draws", "100"], "must be a leaf"),
        (["check", "{}"], "module:function"),
        (["check", "nowhere.py:f"], "no such file"),
        (["check", "no_such_module_here:f"], "no_such_module_here"),
        (["check", "{}:right", "--tolerance", "0"], "tolerance must be"),
        (["compare", "{}:right"], "two or more"),
        (["check"], "TARGET"),
    ],
)
def test_mistakes_are_one_line(arguments, words, losses, capsys):
    assert main([a.format(losses) for a in arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
