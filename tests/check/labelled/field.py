"""Faults of the field, as in the gallery."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

from .case import CASES, Case

GALLERY = Path(__file__).parents[3] / "examples" / "wrong_gradients"

FIELD = {
    "b01_noise_buffer": "overwritten",
    "b02_elbo_samples": "overwritten",
    "b03_flipout_mean_twice": "relaxation",
    "b04_log1p_slip": "dropped",
    "b05_without_replacement": "weight",
    "b05_without_replacement_pair": "detached",
    "b10_conditional_path": "dropped",
    "b12_moving_average": "baseline",
    "b13_score_only": "dropped",
    "d01_von_mises_fisher": "jump",
    "d03_mixture_logits": "dropped",
    "d11_dreg_model": "weight",
    "d13_mixture_no_gradient": "detached",
}


def gallery(name: str) -> Callable[[], tuple]:
    """Return `build` of a script of the gallery."""
    spec = importlib.util.spec_from_file_location(name, GALLERY / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build


CASES += [Case(name, gallery(name), "biased", cause) for name, cause in FIELD.items()]
