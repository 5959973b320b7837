"""From a run folder to its trained model."""

from pathlib import Path

from reparam.models import VAE, ModelSpec, build_vae
from reparam.noise import Noise
from reparam.train.config import ConfigError, from_record
from reparam.train.folder import RunError, open_run, read_tensors
from reparam.train.job import DTYPES


def load(path: str | Path) -> VAE:
    """Return the trained model of a run folder, in evaluation mode, on the CPU.

    Raises:
        RunError: no run, or one without a checkpoint.
    """
    run = open_run(path)
    try:
        stored = dict(run.record["model"])
        config = from_record(run.record["config"], str(run.file("config.json")))
        spec = ModelSpec(**{**stored, "event": tuple(stored["event"]), "hidden": tuple(stored["hidden"])})
        model = build_vae(spec, Noise(0), DTYPES[config.precision])
    except ConfigError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError):
        raise RunError(
            f"run: {path} must be a run of `reparam train`; got another kind of model in its config.json; "
            "train again, or load the weights of your own module with safetensors"
        ) from None
    weights, _ = read_tensors(run.file("model.safetensors"), who="load")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        text = " ".join(str(error).split())[:200]
        raise RunError(
            f"load: {path}/model.safetensors must hold this run's weights; got others ({text})"
        ) from None
    return model.eval()
