"""A run killed at any moment and resumed ends with the same bits as one never interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import reparam as rp
from reparam.cli import main
from reparam.train.loop import Loop

COMMON = ["--data", "digits", "--hidden", "32", "--latent", "4", "--quiet", "--checkpoint-seconds", "0"]


def train(out: Path, *more: str) -> None:
    assert main(["train", *COMMON, *more, "--out", str(out)]) == 0


def weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


def test_two_runs_with_one_seed_are_byte_identical_under_any_torch_seed(tmp_path):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    train(tmp_path / "a", "--epochs", "2")
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    train(tmp_path / "b", "--epochs", "2")
    train(tmp_path / "c", "--epochs", "2", "--seed", "1")
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert weights(tmp_path / "a") != weights(tmp_path / "c")
    for name in ("metrics.jsonl", "samples.png", "reconstructions.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def begin(command: list[str], run: Path, environment: dict[str, str]) -> subprocess.Popen:
    """Start a training process and return it once its run folder stands."""
    process = subprocess.Popen(command, env=environment)
    while not run.exists():
        assert process.poll() is None
        time.sleep(0.005)
    return process


def test_killed_and_resumed(tmp_path):
    options = [*COMMON, "--epochs", "6", "--warmup", "0.5", "--likelihood", "bernoulli"]
    whole = tmp_path / "whole"
    command = [sys.executable, "-m", "reparam", "train", *options, "--out"]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"}
    process = begin([*command, str(whole)], whole, environment)
    started = time.monotonic()
    assert process.wait() == 0
    took = time.monotonic() - started  # from the moment the run folder stands
    for share in (0.2, 0.5, 0.8):
        run = tmp_path / f"killed{share}"
        process = begin([*command, str(run)], run, environment)
        time.sleep(share * took)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert main(["train", "--resume", str(run), "--quiet"]) == 0
        assert weights(run) == weights(whole)
        assert (run / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


class Killed(Exception):
    """Stands for SIGKILL inside one process."""


@pytest.mark.parametrize("moment", [0, 12, 13, 35])
def test_killed_after_any_step(tmp_path, moment, monkeypatch):
    """The process stops after `moment` steps, saved or not, and goes on from what lies on the disk."""
    train(tmp_path / "whole", "--epochs", "3")
    step = Loop._one_step

    def kill(loop):
        if loop.progress.step == moment:
            raise Killed
        step(loop)
        if loop.progress.step % 5 == 0:
            loop.save()

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_one_step", kill)
        assert main(["train", *COMMON, "--epochs", "3", "--out", str(tmp_path / "cut")]) == 70
    assert main(["train", "--resume", str(tmp_path / "cut"), "--quiet"]) == 0
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    state = load_file(tmp_path / "cut" / "state.safetensors")
    for name, value in load_file(tmp_path / "whole" / "state.safetensors").items():
        assert torch.equal(value, state[name]), name


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    run = tmp_path / "run"
    train(run, "--epochs", "1")
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in run.iterdir()}
    assert main(["train", "--resume", str(run), "--quiet"]) == 0
    assert before == {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in run.iterdir()}


def test_killed_after_the_last_step(tmp_path, monkeypatch):
    """Pictures and report that a kill prevented are made by resuming, after an extension too."""
    import reparam.train.job as job

    def killed(*_):
        raise Killed

    run, names = tmp_path / "run", ("samples.png", "reconstructions.png", "report.html")
    with monkeypatch.context() as patch:
        patch.setattr(job, "finish", killed)
        assert main(["train", *COMMON, "--epochs", "1", "--out", str(run)]) == 70
        (run / "report.html").write_text("old")
        assert main(["train", "--resume", str(run), "--epochs", "2", "--quiet"]) == 70
    assert main(["train", "--resume", str(run), "--quiet"]) == 0
    assert all((run / name).exists() for name in names)


@pytest.mark.skipif(sys.platform == "win32", reason="no file locks")
def test_one_process_trains_a_run_and_others_may_read_it(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    step = Loop._one_step

    def meddle(loop):
        if loop.progress.step == 2:
            loop.save()
            half_written = run / ".model.safetensors.1.reparam-tmp"
            half_written.write_bytes(b"half")
            assert main(["evaluate", str(run), "--samples", "1"]) == 0
            assert half_written.exists()
            for arguments in (["--resume", str(run)], ["--data", "digits", "--out", str(run), "--overwrite"]):
                capsys.readouterr()
                assert main(["train", *arguments]) == 2
                assert "one process" in capsys.readouterr().err.splitlines()[-1]
        step(loop)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_one_step", meddle)
        train(run, "--epochs", "1")
    train(tmp_path / "alone", "--epochs", "1")
    assert weights(run) == weights(tmp_path / "alone")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_more_epochs_extend_a_run(tmp_path, capsys):
    train(tmp_path / "three", "--epochs", "3")
    train(tmp_path / "one", "--epochs", "1")
    assert main(["train", "--resume", str(tmp_path / "one"), "--epochs", "3", "--quiet"]) == 0
    assert weights(tmp_path / "one") == weights(tmp_path / "three")
    assert json.loads((tmp_path / "one" / "config.json").read_text())["config"]["epochs"] == 3
    for wrong in (["--epochs", "2"], ["--lr", "0.1"], ["--warmup", "0.1"], ["--out", "elsewhere"]):
        assert main(["train", "--resume", str(tmp_path / "one"), *wrong]) == 2
    train(tmp_path / "warm", "--epochs", "1", "--warmup", "0.5")
    capsys.readouterr()
    assert main(["train", "--resume", str(tmp_path / "warm"), "--epochs", "2"]) == 2
    assert "--warmup" in capsys.readouterr().err
    assert (
        main(["train", "--resume", str(tmp_path / "warm"), "--epochs", "2", "--warmup", "0.5", "--quiet"])
        == 0
    )


def test_interrupt_leaves_a_resumable_run(tmp_path, monkeypatch):
    train(tmp_path / "whole", "--epochs", "2")
    step = Loop._one_step

    def interrupt(loop):
        step(loop)
        if loop.progress.step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_one_step", interrupt)
        assert main(["train", *COMMON, "--epochs", "2", "--out", str(tmp_path / "cut")]) == 130
    assert json.loads((tmp_path / "cut" / "state.json").read_text())["step"] == 7
    assert main(["train", "--resume", str(tmp_path / "cut"), "--quiet"]) == 0
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_run_goes_on_when_nobody_reads(tmp_path):
    command = [sys.executable, "-m", "reparam", "train", *COMMON[:-3], "--epochs", "2"]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "run")], env=environment, stderr=subprocess.PIPE
    )
    process.stderr.close()
    assert process.wait() == 0
    assert json.loads((tmp_path / "run" / "state.json").read_text())["finished"]


def test_the_data_must_not_change(tmp_path, capsys):
    import numpy

    file = tmp_path / "x.npy"
    numpy.save(file, rp.Noise(0).normal((50, 3)).numpy())
    assert (
        main(["train", "--data", str(file), *COMMON[2:], "--epochs", "1", "--out", str(tmp_path / "run")])
        == 0
    )
    numpy.save(file, rp.Noise(1).normal((50, 3)).numpy())
    capsys.readouterr()
    assert main(["train", "--resume", str(tmp_path / "run"), "--epochs", "2"]) == 2
    assert "changed" in capsys.readouterr().err


def test_a_run_is_resumed_from_any_folder_and_home_is_understood(tmp_path, monkeypatch):
    import numpy

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    numpy.save("x.npy", rp.Noise(0).normal((50, 3)).numpy())
    options = ["--data", "x.npy", *COMMON[2:], "--epochs", "1"]
    assert main(["train", *options, "--out", "~/run"]) == 0
    assert (tmp_path / "run" / "config.json").is_file()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["train", "--resume", "~/run", "--epochs", "2"]) == 0
    assert main(["sample", "~/run", "-n", "4", "--out", "~/z.npy"]) == 0
    assert (tmp_path / "z.npy").is_file()


class Noisy(nn.Module):
    """A regression with a random layer."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def loss(self, batch, noise):
        x, y = batch
        return ((self.linear(x) + 0.1 * noise.normal((len(x), 1)) - y) ** 2).mean()


def fit_noisy(out, epochs=4, lr=0.05, **more):
    torch.manual_seed(0)
    module = Noisy()
    x = rp.Noise(9).normal((50, 3))
    data = (x, x.sum(1, keepdim=True))
    result = rp.fit(
        module,
        data,
        loss=lambda m, b, n: m.loss(b, n),
        noise=rp.Noise(5),
        epochs=epochs,
        batch_size=16,
        lr=lr,
        out=out,
        **more,
    )
    return module, result


def test_fit_resumes_anyones_module(tmp_path, monkeypatch):
    whole, result = fit_noisy(tmp_path / "whole")
    assert result.steps == 16
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    step = Loop._one_step

    def kill(loop):
        if loop.progress.step == 9:
            loop.save()
            raise Killed
        step(loop)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_one_step", kill)
        with pytest.raises(Killed):
            fit_noisy(tmp_path / "cut")
    with pytest.raises(ValueError, match="another kind of model"):
        rp.load(tmp_path / "cut")
    with pytest.raises(ValueError, match="must keep its lr"):
        fit_noisy(tmp_path / "cut", resume=True, lr=0.01)
    resumed, _ = fit_noisy(tmp_path / "cut", resume=True)
    assert torch.equal(resumed.linear.weight, whole.linear.weight)
    with pytest.raises(ValueError, match="must be a new folder"):
        fit_noisy(tmp_path / "cut")


def test_fit_skips_bad_steps_and_stops_with_the_cause():
    module = Noisy()
    x = torch.zeros(64, 3)

    def bad_sometimes(m, batch, noise):
        value = m.loss(batch, noise)
        return value * torch.nan if batch[1].sum() > 0 else value

    y = torch.zeros(64, 1)
    y[:8] = 1
    result = rp.fit(module, (x, y), loss=bad_sometimes, noise=rp.Noise(0), epochs=1, batch_size=4)
    assert 0 < result.skipped_steps <= 8
    assert bool(module.linear.weight.isfinite().all())
    with pytest.raises(ValueError, match=r"the loss was not finite in 10 steps in a row"):
        rp.fit(module, (x, y), loss=lambda m, b, n: m.loss(b, n) * torch.inf, noise=rp.Noise(0), epochs=12)
    with pytest.raises(ValueError, match=r"gradient of linear.weight was not finite"):
        rp.fit(
            module,
            (x, y),
            loss=lambda m, b, n: m.linear.weight.sum().mul(0).sqrt().mul(0) + m.loss(b, n).detach(),
            noise=rp.Noise(0),
            epochs=20,
        )


def test_fit_errors_teach(tmp_path):
    module, x = Noisy(), torch.zeros(4, 3)
    with pytest.raises(TypeError, match="scalar tensor or Terms"):
        rp.fit(module, x, loss=lambda m, b, n: b, noise=rp.Noise(0))
    with pytest.raises(TypeError, match="data must be a tensor"):
        rp.fit(module, [1, 2], loss=lambda m, b, n: b, noise=rp.Noise(0))
    with pytest.raises(ValueError, match="one length"):
        rp.fit(module, (x, x[:2]), loss=lambda m, b, n: b, noise=rp.Noise(0))
    with pytest.raises(ValueError, match="name the folder"):
        rp.fit(module, x, loss=lambda m, b, n: b, noise=rp.Noise(0), resume=True)
    with pytest.raises(TypeError, match="got NoneType"):
        rp.fit(module, None, loss=lambda m, b, n: b, noise=rp.Noise(0))
    with pytest.raises(ValueError, match="reach a parameter"):
        rp.fit(module, x, loss=lambda m, b, n: b.sum(), noise=rp.Noise(0))
    for more, words in [
        ({"epochs": 1.5}, "integers, 1 or more"),
        ({"batch_size": 0}, "integers, 1 or more"),
        ({"grad_clip": -1.0}, "grad_clip must be 0"),
        ({"optimizer": torch.optim.LBFGS(module.parameters())}, "got LBFGS"),
        ({"optimizer": torch.optim.SGD(Noisy().parameters(), 0.1)}, "parameters of module"),
        ({"optimizer": torch.optim.Adam(module.parameters(), torch.tensor(0.1))}, "pass tensors as floats"),
    ]:
        with pytest.raises((TypeError, ValueError), match=words):
            rp.fit(module, x, loss=lambda m, b, n: m.linear(b).sum(), noise=rp.Noise(0), **more)
    with pytest.raises(ValueError, match="parameters to train"):
        rp.fit(nn.ReLU(), x, loss=lambda m, b, n: b, noise=rp.Noise(0))
