"""One call that makes an existing network Bayesian."""

import copy
import warnings
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

    A layer that stands at several places stays one layer. One that is frozen (requires_grad=False) stays frozen, its
    scales included. Subclasses, such as the output map of torch's attention, whose weights other code reads, stay as
    they are, with a warning that names them.

    Args:
        module: any module; it is not changed.
        method, prior, initial_scale: as `BayesLinear`.

    Raises:
        ValueError: nothing to convert, or two layers that share one weight.

    Example:
        >>> net = make_bayesian(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)), method="local")
        >>> net(torch.ones(4, 2), noise=Noise(0)).shape
        torch.Size([4, 1])
    """
    twin = copy.deepcopy(module)
    options: dict[str, Any] = {"method": method, "prior": prior, "initial_scale": initial_scale}
    if type(twin) in CONVERSIONS:
        return Bayesian(_converted(twin, options))
    found = [(path, m) for path, m in twin.named_modules(remove_duplicate=False) if type(m) in CONVERSIONS]
    if not found:
        raise ValueError(
            f"make_bayesian: module must hold a Linear, Conv1d or Conv2d; got {type(module).__name__} without one"
        )
    _refuse_shared_weights(twin)
    _name_what_stays(twin)
    made = {layer: _converted(layer, options) for _, layer in found}
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        setattr(twin.get_submodule(parent), name, made[layer])
    _leave_fast_path(twin)
    return Bayesian(twin)


def _refuse_shared_weights(module: nn.Module) -> None:
    """Raise if a weight to convert belongs to another layer too: two laws would take its place."""
    owners: dict[Tensor, tuple[str, nn.Module]] = {}
    for path, layer in module.named_modules():
        for name, parameter in layer.named_parameters(recurse=False):
            other_path, other = owners.setdefault(parameter, (path, layer))
            if other is not layer and (type(layer) in CONVERSIONS or type(other) in CONVERSIONS):
                raise ValueError(
                    f"make_bayesian: every layer must have weights of its own; got one {name} in {other_path} and "
                    f"{path}; use one layer at both places, or give each its own weights"
                )


def _name_what_stays(module: nn.Module) -> None:
    kinds = tuple(CONVERSIONS)
    left = [path for path, m in module.named_modules() if isinstance(m, kinds) and type(m) not in CONVERSIONS]
    if left:
        warnings.warn(
            f"make_bayesian: {', '.join(left)} stay as they are: subclasses of Linear or a convolution, whose weights "
            "other code may read",
            stacklevel=3,
        )


def _leave_fast_path(module: nn.Module) -> None:
    """Turn off the inference kernels of torch's transformers, which read the weights that are now laws."""
    for layer in module.modules():
        if isinstance(layer, nn.TransformerEncoder):
            layer.use_nested_tensor = False
        elif isinstance(layer, nn.TransformerEncoderLayer):
            layer.activation_relu_or_gelu = 0


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
    for name in ("weight", "bias"):
        if (parameter := getattr(layer, name)) is not None:
            getattr(new, f"{name}_loc").requires_grad_(parameter.requires_grad)
            getattr(new, f"{name}_log_scale").requires_grad_(parameter.requires_grad)
    return new.train(layer.training)


CONVERSIONS: dict[type, type[Bayes]] = {
    nn.Linear: BayesLinear,
    nn.Conv1d: BayesConv1d,
    nn.Conv2d: BayesConv2d,
}
