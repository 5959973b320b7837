"""One call that makes an existing network Bayesian."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from reparam.layers.bayes import Bayes, BayesLinear
from reparam.layers.bayes_conv import BayesConv1d, BayesConv2d, _BayesConv
from reparam.layers.scope import layer_noise, noise_scope, scope_of
from reparam.noise import Noise


class Bayesian(nn.Module):
    """A network whose random layers take their noise from one argument.

    A layer that is called several times in a pass draws anew each time, except for sampled weights (method="weight"),
    which are one draw per pass: the network has them once.

    Attributes:
        module: the network inside.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, noise: Noise | None = None, **kwargs: Any) -> Any:
        """Return the network's output; the layer at a path draws from noise.child(path), its later calls at steps."""
        if noise is None and scope_of(self) is not None:
            return self.module(*args, **kwargs)  # inside a larger network, whose scope knows the layers
        with noise_scope(self.module, layer_noise(self, noise)):
            return self.module(*args, **kwargs)

    def kl(self, *, samples: int | None = None, noise: Noise | None = None) -> Tensor:
        """Return the sum of the KLs of all Bayesian layers, in nats."""
        with noise_scope(self.module, layer_noise(self, noise)):
            parts = [m.kl(samples=samples) for m in self.module.modules() if isinstance(m, Bayes)]
        return torch.stack(parts).sum()


def make_bayesian(
    module: nn.Module,
    *,
    method: str = "weight",
    prior: torch.distributions.Distribution | None = None,
    initial_scale: float = 0.05,
) -> Bayesian:
    """Return a Bayesian copy of a network: each Linear, Conv1d and Conv2d gets normal weights around its own.

    Args:
        module: any module; it is not changed.
        method, prior, initial_scale: as `BayesLinear`.

    A layer that stands in several places stays one layer. Subclasses of the three, and any other layer, are left alone.

    Raises:
        ValueError: nothing to convert, or a weight that a converted layer shares with another one.

    Example:
        >>> net = make_bayesian(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)), method="local")
        >>> net(torch.ones(4, 2), noise=Noise(0)).shape
        torch.Size([4, 1])
    """
    twin = copy.deepcopy(module)
    options: dict[str, Any] = {"method": method, "prior": prior, "initial_scale": initial_scale}
    if type(twin) in CONVERSIONS:
        return Bayesian(_converted(twin, options))
    everywhere = list(twin.named_modules(remove_duplicate=False))
    found = [(path, layer) for path, layer in everywhere if type(layer) in CONVERSIONS]
    if not found:
        raise ValueError(
            f"make_bayesian: module must hold a Linear, Conv1d or Conv2d; got {type(module).__name__} without one"
        )
    _refuse_tied(twin)
    converted = {layer: _converted(layer, options) for _, layer in found}
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(twin.get_submodule(parent), name, converted[layer])
    return Bayesian(twin)


def _refuse_tied(network: nn.Module) -> None:
    """Raise if a layer to convert shares a parameter with another module: the copy's laws would be two."""
    owner: dict[nn.Parameter, tuple[str, nn.Module]] = {}
    for path, module in network.named_modules():
        for parameter in module.parameters(recurse=False):
            other, first = owner.setdefault(parameter, (path, module))
            if first is not module and (type(module) in CONVERSIONS or type(first) in CONVERSIONS):
                raise ValueError(
                    f"make_bayesian: layers to convert must have weights of their own; got one that {other!r} and "
                    f"{path!r} share; use one module in both places, or untie them"
                )


def _converted(layer: Any, options: dict[str, Any]) -> Bayes:
    kind = CONVERSIONS[type(layer)]
    new = kind.__new__(kind)
    Bayes.__init__(
        new,
        layer.weight.detach().clone(),
        None if layer.bias is None else layer.bias.detach().clone(),
        **options,
    )
    if isinstance(new, _BayesConv):
        new.shape_like(layer)
    return new.train(layer.training)


CONVERSIONS: dict[type, type[Bayes]] = {
    nn.Linear: BayesLinear,
    nn.Conv1d: BayesConv1d,
    nn.Conv2d: BayesConv2d,
}
