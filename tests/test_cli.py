"""The command line: what works, and one clear line for each thing that cannot."""

import json
import os
import subprocess
import sys
import tomllib

import numpy
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

import reparam as rp
from reparam.cli import main
from reparam.data import load

TINY = ["--epochs", "1", "--hidden", "8", "--latent", "3", "--quiet"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "digits"
    assert main(["train", "--data", "digits", *TINY, "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def table_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    numpy.save(folder / "x.npy", 1000 + 50 * rp.Noise(0).normal((60, 4)).numpy())
    assert main(["train", "--data", str(folder / "x.npy"), *TINY, "--out", str(folder / "run")]) == 0
    return folder / "run"


def refused(capsys, *arguments: str) -> str:
    """Run a command that must be refused: code 2, one line on stderr, nothing on stdout; return the line."""
    capsys.readouterr()
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert code == 2, captured.err
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


def test_run_folder(run):
    names = {p.name for p in run.iterdir()}
    assert names == {
        *("config.json", "metrics.jsonl", "model.safetensors", "state.safetensors", "state.json"),
        *("samples.png", "reconstructions.png", "report.html"),
    }
    record = json.loads((run / "config.json").read_text())
    assert record["schema_version"] == 1
    assert record["config"]["epochs"] == 1
    assert {"back_end", "threads", "versions"} <= set(record["environment"])
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [m["epoch"] for m in metrics] == [1]
    assert {"loss", "reconstruction", "kl", "validation_loss", "skipped_steps"} <= set(metrics[0])


def test_help_version_and_no_arguments(capsys):
    for arguments in ([], ["--help"], ["train", "--help"], ["--version"], ["data", "--help"]):
        capsys.readouterr()
        assert main(arguments) == 0
        assert capsys.readouterr().out.strip()
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == rp.__version__


def test_evaluate(run, capsys):
    assert main(["evaluate", str(run), "--samples", "5", "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["samples"] == 5
    assert numbers["examples"] == 180
    expected = (
        "elbo_nats nll_nats nll_standard_error_nats nll_importance_standard_error_nats kl_nats bits_per_dim"
    )
    assert set(expected.split()) <= set(numbers)
    assert main(["evaluate", str(run), "--samples", "5", "--split", "validation"]) == 0
    assert "NLL, K = 5" in capsys.readouterr().out


def test_sample_reconstruct_encode(run, tmp_path, capsys):
    for name in ("a.png", "b.png"):
        assert main(["sample", str(run), "-n", "9", "--seed", "3", "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (160, 160)
    assert main(["sample", str(run), "-n", "9", "--seed", "4", "--out", str(tmp_path / "c.npy")]) == 0
    assert numpy.load(tmp_path / "c.npy").shape == (9, 1, 8, 8)
    assert main(["reconstruct", str(run), "-n", "4", "--out", str(tmp_path / "r.png")]) == 0
    assert main(["encode", str(run), "--data", "digits", "--out", str(tmp_path / "z.npy")]) == 0
    codes = numpy.load(tmp_path / "z.npy")
    model = rp.load(run)
    assert codes.shape == (1797, 3)
    assert main(["sample", str(run), "-n", "2", "--out", str(tmp_path / "S.NPY")]) == 0
    assert numpy.load(tmp_path / "S.NPY").shape == (2, 1, 8, 8)
    numpy.testing.assert_allclose(codes[:5], model.encode(load("digits").batch()[:5]).numpy(), atol=1e-6)


def test_a_table_is_modelled_in_its_own_units(table_run, tmp_path, capsys):
    assert main(["sample", str(table_run), "-n", "500", "--draw", "--out", str(tmp_path / "s.npy")]) == 0
    sample = numpy.load(tmp_path / "s.npy")
    assert abs(sample.mean() - 1000) < 30
    assert 10 < sample.std() < 200
    assert "samples" not in {p.stem for p in table_run.iterdir()}
    line = refused(capsys, "sample", table_run, "--out", tmp_path / "s.png")
    assert ".npy" in line


def test_folder_of_pictures(tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(12):
        size, mode = ((20, 26), "RGB") if k % 2 else ((31, 17), "L")
        Image.new(mode, size, 20 * k if mode == "L" else (20 * k, 9, 90)).save(folder / f"{k}.png")
    assert main(["data", "inspect", str(folder)]) == 0
    assert "(3, 32, 32)" in capsys.readouterr().out
    out = tmp_path / "run"
    arguments = [
        "train",
        "--data",
        str(folder),
        "--size",
        "16",
        "--epochs",
        "1",
        "--hidden",
        "4",
        "6",
        "--latent",
        "2",
    ]
    assert main([*arguments, "--out", str(out)]) == 0
    assert "Gaussian with a learned scale" in capsys.readouterr().err
    assert json.loads((out / "config.json").read_text())["model"]["net"] == "conv"
    assert rp.load(out).event == (3, 16, 16)


def test_numbers_in_the_shape_of_pictures_are_no_pictures(tmp_path, capsys):
    data, out = tmp_path / "x.npy", tmp_path / "run"
    numpy.save(data, rp.Noise(0).normal((30, 6, 6)).numpy())
    assert main(["train", "--data", str(data), *TINY, "--out", str(out)]) == 0
    assert not (out / "samples.png").exists()
    for command in ("sample", "reconstruct"):
        assert "write an .npy file" in refused(capsys, command, out, "--out", tmp_path / "s.png")


def test_a_format_that_cannot_hold_the_picture(tmp_path, capsys):
    data, out = tmp_path / "x.npy", tmp_path / "run"
    numpy.save(data, rp.Noise(0).randint(0, 256, (20, 8, 8, 4)).numpy().astype("uint8"))
    assert main(["train", "--data", str(data), *TINY, "--out", str(out)]) == 0
    assert "transparency" in refused(capsys, "sample", out, "--out", tmp_path / "s.jpg")
    line = refused(capsys, "sample", out, "-n", "100000", "--out", tmp_path / "s.webp")
    assert "fewer pictures" in line
    assert not (tmp_path / "s.webp").exists()


def test_one_test_example_has_no_standard_error(tmp_path, capsys):
    data, out = tmp_path / "x.npy", tmp_path / "run"
    numpy.save(data, rp.Noise(0).normal((3, 2)).numpy())
    assert main(["train", "--data", str(data), *TINY, "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(out), "--samples", "1", "--json"]) == 0
    captured = capsys.readouterr()
    numbers = json.loads(captured.out)
    assert captured.err == ""
    assert numbers["nll_standard_error_nats"] is None
    assert numbers["nll_importance_standard_error_nats"] is None
    assert main(["evaluate", str(out), "--samples", "1"]) == 0
    assert "standard error unknown over examples" in capsys.readouterr().out


def test_training_that_learns_nothing_is_refused(tmp_path, capsys):
    numpy.save(tmp_path / "x.npy", numpy.array([[-3.4e38], [3.4e38]] * 20))
    line = refused(capsys, "train", "--data", tmp_path / "x.npy", *TINY, "--out", tmp_path / "a")
    assert "finite" in line
    options = ["--batch-size", "300", "--lr", "1e10", "--out", tmp_path / "b"]
    assert "never finite" in refused(capsys, "train", "--data", "digits", *TINY, *options)


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8")
def test_names_that_are_not_text(tmp_path):
    data = os.fsencode(tmp_path) + b"/x\xff.npy"
    with open(data, "wb") as file:
        numpy.save(file, rp.Noise(0).normal((30, 2)).numpy())
    out = str(tmp_path / "run")
    assert main(["train", "--data", os.fsdecode(data), *TINY, "--out", out]) == 0
    assert main(["evaluate", out, "--samples", "2", "--json"]) == 0


def test_configuration_file(tmp_path, capsys):
    config = tmp_path / "c.toml"
    config.write_text('data = "digits"\nepochs = 7\nbatch-size = 64\nhidden = [5, 4]\nlr = 1\n')
    assert tomllib.loads(config.read_text())["epochs"] == 7
    assert main(["train", "--config", str(config), "--epochs", "3", "--dry-run"]) == 0
    settings = json.loads(capsys.readouterr().out)["config"]
    assert (settings["epochs"], settings["batch_size"], settings["hidden"], settings["lr"]) == (
        3,
        64,
        [5, 4],
        1.0,
    )
    for text, words in [
        ("epoch = 3", "did you mean 'epochs'"),
        ("epochs = 'many'", "epochs must be int"),
        ("epochs = [1", "must be TOML"),
        ("hidden = [1.5]", "a list of integers"),
        ("epochs = true", "epochs must be int"),
        ("batch-size = 3\nbatch_size = 4", "batch-size twice"),
    ]:
        config.write_text(text)
        assert words in refused(capsys, "train", "--data", "digits", "--config", config, "--dry-run")
    config.write_bytes(b"\xef\xbb\xbfepochs = 3\n")  # as Windows editors write it
    assert main(["train", "--data", "digits", "--config", str(config), "--dry-run"]) == 0
    assert "readable file" in refused(capsys, "train", "--config", tmp_path / "none.toml", "--dry-run")


BAD_OPTIONS = [
    (["train", "--out", "x"], "--data must name the data"),
    (["train", "--data", "digits"], "--out must name"),
    (["train", "diffusion", "--data", "digits", "--out", "x"], "model must be vae"),
    (["train", "--data", "digitz", "--out", "x"], "did you mean 'digits'"),
    (["train", "--data", "digits", "--epochs", "0", "--out", "x"], "epochs must be 1 or more"),
    (["train", "--data", "digits", "--epochs", "1.5", "--out", "x"], "1.5"),
    (["train", "--data", "digits", "--lr", "-1", "--out", "x"], "lr must be positive"),
    (["train", "--data", "digits", "--lr", "nan", "--out", "x"], "lr must be positive"),
    (["train", "--data", "digits", "--warmup", "2", "--out", "x"], "fraction of the run"),
    (["train", "--data", "digits", "--net", "rnn", "--out", "x"], "net must be auto, mlp or conv"),
    (["train", "--data", "digits", "--likelihood", "bernuli", "--out", "x"], "did you mean 'bernoulli'"),
    (["train", "--data", "digits", "--device", "gpu", "--out", "x"], "device must be one"),
    (["train", "--data", "digits", "--seed", "-1", "--out", "x"], "seed must be in"),
    (["train", "--data", "digits", "--epoch", "3", "--out", "x"], "--epoch"),
    (["train", "--data", "digits", "--batch-size", str(10**30), "--out", "x"], "below 2^62"),
    (["train", "--data", "digits", "--free-bits", "1e300", "--out", "x"], "below 2^62"),
    (["train", "--data", "digits", "--threads", "1000000", "--out", "x"], "threads must be 1024"),
    (["train", "--data", "digits", "--device", "meta", "--out", "x"], "device must be one"),
    (["train", "--data", "digits", "--device", "mkldnn", "--out", "x"], "device must be one"),
    (["train", "--data", "digits", "--hidden", str(10**12), "--out", "x"], "fit into memory"),
    (["train", "--data", "digits", "--out", "."], "the folder you stand in"),
    (["train", "--data", "digits", "--out", "x" * 300], "name is too long"),
    (["train", "--resume", "nowhere", "--dry-run"], "--dry-run checks a new run"),
    (["evaluate", "nowhere", "--seed", "-1"], "--seed must be in"),
    (["sample", "nowhere", "--seed", str(2**64), "--out", "s.png"], "--seed must be in"),
    (["trian"], "trian"),
    (["evaluate", "nowhere"], "no such folder"),
    (["evaluate", "."], "no config.json"),
    (["sample", "nowhere", "--out", "s.png"], "no such folder"),
    (["sample", "nowhere"], "--out"),
    (["data", "inspect", "nowhere.npy"], "no such file"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD_OPTIONS, ids=[" ".join(a) for a, _ in BAD_OPTIONS])
def test_bad_options_are_refused(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert words in refused(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_bad_requests_of_a_run(run, capsys, tmp_path):
    for arguments, words in [
        (["evaluate", run, "--samples", "0"], "samples must be 1 or more"),
        (["evaluate", run, "--split", "tset"], "tset"),
        (["sample", run, "-n", "0", "--out", tmp_path / "s.png"], "-n must be 1 or more"),
        (["sample", run, "--out", tmp_path / "s.gif"], "--out must end in"),
        (["sample", run, "--label", "3", "--out", tmp_path / "s.png"], "model with classes"),
        (["sample", run, "--out", tmp_path / "no" / "s.png"], "folder"),
        (["encode", run, "--out", tmp_path / "z.npz"], ".npy"),
    ]:
        assert words in refused(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []
    numpy.save(tmp_path / "x.npy", numpy.zeros((9, 3), "float32"))
    line = refused(capsys, "encode", run, "--data", tmp_path / "x.npy", "--out", tmp_path / "z.npy")
    assert "as the training data" in line
    (tmp_path / "s.png").write_text("keep me")
    assert "--overwrite" in refused(capsys, "sample", run, "--out", tmp_path / "s.png")
    assert (tmp_path / "s.png").read_text() == "keep me"


def test_earlier_results_are_kept(run, capsys, tmp_path):
    before = {p: p.read_bytes() for p in run.iterdir()}
    assert "--overwrite" in refused(capsys, "train", "--data", "digits", "--out", run)
    assert "no such file" in refused(capsys, "train", "--data", "none.npy", "--out", run, "--overwrite")
    assert before == {p: p.read_bytes() for p in run.iterdir()}
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("keep me")
    assert "is no run" in refused(capsys, "train", "--data", "digits", "--out", mine, "--overwrite")
    assert (mine / "thesis.txt").read_text() == "keep me"


def test_overwrite_replaces_a_run(tmp_path, capsys):
    out = tmp_path / "run"
    for seed in ("1", "2"):
        arguments = ["train", "--data", "digits", *TINY, "--seed", seed, "--out", str(out), "--overwrite"]
        assert main(arguments) == 0
    assert json.loads((out / "config.json").read_text())["config"]["seed"] == 2
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def copy_of(run, tmp_path):
    target = tmp_path / "copy"
    target.mkdir()
    for file in run.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def test_broken_runs(run, capsys, tmp_path):
    broken = copy_of(run, tmp_path)
    whole = (broken / "model.safetensors").read_bytes()
    for content in (b"", whole[:100], whole[:-50], b"garbage" * 100):
        (broken / "model.safetensors").write_bytes(content)
        assert "safetensors" in refused(capsys, "evaluate", broken)
    (broken / "model.safetensors").unlink()
    assert "first checkpoint" in refused(capsys, "evaluate", broken)
    weights = load_file(run / "model.safetensors")
    weights.pop(next(iter(weights)))
    save_file(weights, broken / "model.safetensors")
    assert "this run's weights" in refused(capsys, "evaluate", broken)
    state = (broken / "state.safetensors").read_bytes()
    (broken / "state.safetensors").write_bytes(state[: len(state) // 2])
    assert "whole safetensors file" in refused(capsys, "train", "--resume", broken, "--epochs", "2")
    flipped = bytearray(state)
    flipped[-20] ^= 1  # one bit of one weight
    (broken / "state.safetensors").write_bytes(flipped)
    assert "checksum" in refused(capsys, "train", "--resume", broken, "--epochs", "2")
    record = json.loads((broken / "config.json").read_text())
    for text, words in [
        (json.dumps({**record, "schema_version": 99}), "newer reparam"),
        (json.dumps({**record, "config": {**record["config"], "epoch": 3}}), "did you mean"),
        (json.dumps({**record, "notes": 3}), "record of a run"),
        (json.dumps({**record, "schema_version": 0}), "record of a run"),
        (json.dumps({**record, "model": {**record["model"], "net": "rnn"}}), "another kind of model"),
        (json.dumps({**record, "model": {**record["model"], "latent": "3"}}), "another kind of model"),
        ("{", "record of a run"),
        ("[]", "record of a run"),
    ]:
        (broken / "config.json").write_text(text)
        assert words in refused(capsys, "evaluate", broken)
    (broken / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    (broken / "config.json").write_text(json.dumps({**record, "data": {}}))
    assert "what data" in refused(capsys, "evaluate", broken)
    assert "what data" in refused(capsys, "train", "--resume", broken)


def test_pickles_are_never_read(capsys, tmp_path):
    numpy.save(tmp_path / "x.npy", numpy.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    assert "object" in refused(capsys, "train", "--data", tmp_path / "x.npy", "--out", tmp_path / "run")


def test_a_full_disk_leaves_earlier_results(run, tmp_path):
    """A file size limit stands for the full disk: writing fails midway, exit code 2, the old file stays."""
    out = tmp_path / "s.npy"
    out.write_text("keep me")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
        "from reparam.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["sample", str(run), "-n", "500", "--out", str(out), "--overwrite"]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path), "NUMBA_DISABLE_CACHING": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert out.read_text() == "keep me"
    assert [p.name for p in tmp_path.iterdir()] == ["s.npy"]


def test_a_fault_of_ours_is_said_so(run, capsys, monkeypatch):
    import reparam.train.inspect

    def fault(*args, **kwargs):
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(reparam.train.inspect, "evaluate_run", fault)
    assert main(["evaluate", str(run)]) == 70
    assert "--traceback" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--traceback"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_module_form():
    done = subprocess.run(
        [sys.executable, "-m", "reparam", "--version"],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.strip()) == (0, rp.__version__)
