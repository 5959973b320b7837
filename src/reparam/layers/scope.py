"""How noise reaches random layers inside modules that know nothing of it.

A random layer that is called without noise takes it from the scope of the model around it, at the address
scope.child("path.of.the.layer"); outside any scope it takes fresh noise, seeded by torch's global generator.
Nothing is kept on the layers: the scope belongs to the thread, for the length of one forward pass.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local

from torch import nn

from reparam.noise import Noise, given

_THREAD = local()  # .scope is (noise, path by id of layer), or missing


@contextmanager
def noise_scope(module: nn.Module, noise: Noise) -> Iterator[None]:
    """Give every random layer inside `module` noise.child(its path), for the length of the block.

    Example:
        >>> import torch
        >>> from reparam.layers import Dropout
        >>> net = nn.Sequential(nn.Linear(2, 3), Dropout(0.5))
        >>> with noise_scope(net, Noise(0)):
        ...     a = net(torch.ones(1, 2))
        >>> with noise_scope(net, Noise(0)):
        ...     b = net(torch.ones(1, 2))
        >>> bool((a == b).all())
        True
    """
    paths = {id(layer): path for path, layer in module.named_modules()}
    before = getattr(_THREAD, "scope", None)
    _THREAD.scope = (noise, paths)
    try:
        yield
    finally:
        _THREAD.scope = before


def layer_noise(layer: nn.Module, noise: Noise | None) -> Noise:
    """Return the noise of one call of a layer: the caller's, the scope's, or fresh."""
    if noise is None:
        scope = getattr(_THREAD, "scope", None)
        if scope is not None and id(layer) in scope[1]:
            return scope[0].child(scope[1][id(layer)])
    return given(noise, type(layer).__name__)


def shared(noise: Noise) -> Noise:
    """Return the noise without row labels, for what a whole batch shares."""
    return noise.without_rows()
