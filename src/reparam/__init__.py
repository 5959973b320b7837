"""reparam: networks with random layers, noise as an explicit input, and gradients that are checked.

Names are imported when first used, so that `import reparam` and the command line stay light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from reparam._version import __version__

if TYPE_CHECKING:
    from reparam import check, data, distributions, estimators, layers
    from reparam.distributions import detach, draw
    from reparam.estimators.expect import expect
    from reparam.estimators.program import program
    from reparam.layers.functional import functional
    from reparam.noise import Noise, NoiseSpec
    from reparam.objectives.elbo import elbo
    from reparam.objectives.iwae import iwae
    from reparam.objectives.kl_estimate import kl_estimate
    from reparam.objectives.renyi import renyi
    from reparam.objectives.vimco import vimco
    from reparam.train.fit import fit
    from reparam.train.load import load

# public name -> module that holds it; a name that is its own module stands for the module
PUBLIC = {
    "Noise": "noise",
    "NoiseSpec": "noise",
    "check": "check",
    "data": "data",
    "detach": "distributions",
    "distributions": "distributions",
    "draw": "distributions",
    "elbo": "objectives",
    "estimators": "estimators",
    "expect": "estimators",
    "fit": "train.fit",
    "functional": "layers.functional",
    "iwae": "objectives",
    "kl_estimate": "objectives",
    "layers": "layers",
    "load": "train.load",
    "program": "estimators",
    "renyi": "objectives",
    "vimco": "objectives",
}

__all__ = ["__version__", *PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'reparam' has no attribute {name!r}")
    module = import_module(f"reparam.{PUBLIC[name]}")
    value = module if PUBLIC[name] == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
