"""How noise reaches random layers inside modules that know nothing of it.

A random layer that is called without noise takes it from the scope of the model around it, at the address
scope.child("path.of.the.layer"), and at its later calls in the same pass at scope.child(path).at(1), .at(2), ...;
outside any scope it takes fresh noise, seeded by torch's global generator. Sampled weights are drawn once per pass.
Nothing is kept on the layers: the scope belongs to the thread, for the length of one forward pass.

Gradient checkpointing repeats a part of the forward pass during the backward pass, when the scope has ended. A layer
that has been in a scope then raises; the scope is given anew by `checkpoint`'s own argument:

    checkpoint(block, x, use_reentrant=False, context_fn=lambda: (nullcontext(), noise_scope(net, noise)))

where no layer of the block has been called before in the pass, and `noise` is that of the pass.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import local
from weakref import WeakSet

import torch
from torch import nn

from reparam.noise import Noise, given

_THREAD = local()  # .scope is a Scope, or None, or missing
_SCOPED: WeakSet[nn.Module] = WeakSet()  # modules that have been in a scope


@dataclass
class Scope:
    """The noise of one forward pass, the paths of the layers by their id, and how often each has been called."""

    noise: Noise
    paths: dict[int, str]
    calls: dict[int, int] = field(default_factory=dict)


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
    if not torch.compiler.is_compiling():
        _SCOPED.update(module.modules())
    before = getattr(_THREAD, "scope", None)
    _THREAD.scope = Scope(noise, paths)
    try:
        yield
    finally:
        _THREAD.scope = before


def scope_of(layer: nn.Module) -> Scope | None:
    """Return the scope around a layer that knows it."""
    scope = getattr(_THREAD, "scope", None)
    return scope if scope is not None and id(layer) in scope.paths else None


def layer_noise(layer: nn.Module, noise: Noise | None, *, once: bool = False) -> Noise:
    """Return the noise of one call of a layer: the caller's, the scope's, or fresh.

    Args:
        once: give every call in a pass the same noise, for what the pass draws once.
    """
    scope = scope_of(layer) if noise is None else None
    if scope is None:
        if noise is None:
            _refuse_repetition(layer)
        return given(noise, type(layer).__name__)
    mine = scope.noise.child(scope.paths[id(layer)])
    if once:
        return mine
    before = scope.calls.get(id(layer), 0)
    scope.calls[id(layer)] = before + 1
    return mine.at(before) if before else mine


def _refuse_repetition(layer: nn.Module) -> None:
    """Raise if a layer that takes its noise from scopes is called without one inside a backward pass."""
    if torch.compiler.is_compiling() or torch._C._current_graph_task_id() < 0 or layer not in _SCOPED:
        return
    raise RuntimeError(
        f"{type(layer).__name__}: noise must be that of the first pass when checkpointing repeats the layer; got none, "
        "since the network's noise scope has ended; pass noise= by hand, or enter the scope again through checkpoint's "
        "context_fn (see reparam.layers.scope)"
    )


def shared(noise: Noise) -> Noise:
    """Return the noise without row labels, for what a whole batch shares."""
    return noise.without_rows()
