"""Faults of the field, as in the gallery."""

from collections.abc import Callable
from pathlib import Path

from reparam.check.target import load_function

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
    return load_function(f"{GALLERY / name}.py:build")


CASES += [Case(name, gallery(name), "biased", cause) for name, cause in FIELD.items()]
