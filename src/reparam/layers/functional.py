"""A module with random layers as a deterministic function of its parameters, its inputs and its noise.

    module(*inputs, noise=noise) = f(params, inputs, eps),   eps[name] = noise.draw(specs[name])

The noise that a module eats is found by running it once: each draw has an address, hence a name, and is one input.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import fields, is_dataclass
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from reparam.layers.foreign import Watch, find_outside, generators_kept, outside_states
from reparam.layers.onnx import leaf_names, onnx_program
from reparam.layers.scope import noise_scope
from reparam.layers.tape import WHO, Drawn, Player, Recorder, Site, Tape, Taped
from reparam.noise import Noise

SEED = 0x5EED  # of the noise that a module is first run with; any would do


def functional(module: nn.Module, *example_inputs: Any) -> tuple["Functional", dict[str, Site]]:
    """Return a module as a deterministic function f(params, inputs, eps), and the noise that it eats.

        f(params, inputs, {name: noise.draw(spec) for name, spec in specs.items()}) = module(*inputs, noise=noise)

    bit for bit. A module whose `forward` takes no `noise` has it given to its random layers by their paths, as
    `layers.noise_scope(module, noise)` does.

    Args:
        module: any module whose randomness comes from the noise that it is given.
        example_inputs: positional inputs of `forward`; the module runs twice on them, in its present mode.

    Returns:
        f: see `Functional`; specs: name -> spec, in the order of first use. A name is the address of the draw, such as
        "encoder", "layer1.weight" or "step3", with a number from its second use on. Draws that are equal in
        address, law, shape and dtype are one noise, hence one input.

    **Gradient**: f is differentiable in params, inputs and eps wherever the module is; under a fixed eps it has no
    randomness left, so that finite differences, second derivatives and vmap apply as to any function.

    Raises:
        ValueError: the module draws randomness of its own (each source is named with its place and its replacement),
            or two runs with the same noise differ.
        TypeError: module is no nn.Module.

    Example:
        >>> from reparam.layers import BayesLinear
        >>> layer = BayesLinear(3, 2)
        >>> f, specs = functional(layer, torch.ones(4, 3))
        >>> {name: spec.shape for name, spec in specs.items()}
        {'weight': (2, 3), 'bias': (2,)}
        >>> y = f(f.params, (torch.ones(4, 3),), f.draw(Noise(0)))
        >>> bool((y == layer(torch.ones(4, 3), noise=Noise(0))).all())
        True
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"{WHO}: module must be a torch.nn.Module; got {type(module).__name__}")
    recorder, watch = Recorder(), Watch(module)
    f = Functional(module, example_inputs)
    buffers = copied(module)
    with generators_kept():
        before = outside_states()
        with watch:
            first = f._run(buffers, example_inputs, recorder, Noise(SEED))
        if outside_states() != before:
            find_outside(lambda: f._run(copied(module), example_inputs, Recorder(), Noise(SEED)), watch)
    if watch.found:
        sources = "\n  ".join(watch.found)
        raise ValueError(
            f"{WHO}: {type(module).__name__} must take its randomness from the noise that it is given; got\n  {sources}"
        )
    f.specs, f.order = recorder.sites, tuple(recorder.order)
    f.moving = tuple(name for name, b in module.named_buffers() if not torch.equal(b, buffers[name]))
    with generators_kept():
        second = f(f.params, example_inputs, f.draw(Noise(SEED)))
    check_same(module, first, second)
    return f, f.specs


class Functional:
    """What `functional` returns: call it as f(params, inputs, eps).

    Attributes:
        module: the module; its mode (training or evaluation) is that of the function.
        specs: name -> what noise.
        example_inputs: those it was made with.
    """

    def __init__(self, module: nn.Module, example_inputs: tuple[Any, ...]) -> None:
        self.module, self.example_inputs = module, example_inputs
        self.specs: dict[str, Site] = {}
        self.order: tuple[Drawn, ...] = ()
        self.moving: tuple[str, ...] = ()  # buffers that a run updates in place
        self.takes_noise = "noise" in inspect.signature(module.forward).parameters

    @property
    def params(self) -> dict[str, Tensor]:
        """The module's parameters by name, cut from the graph."""
        return {name: p.detach() for name, p in self.module.named_parameters()}

    def draw(self, noise: Noise) -> dict[str, Tensor]:
        """Draw eps for every name: what module(*inputs, noise=noise) would draw."""
        return {name: noise.draw(spec) for name, spec in self.specs.items()}

    def __call__(self, params: Mapping[str, Tensor], inputs: Any, eps: Mapping[str, Tensor]) -> Any:
        """Return the module's output, a pure function of the arguments; updates of buffers are dropped.

        Args:
            params: name -> tensor for every parameter; buffers may be given too.
            inputs: a tuple of the positional inputs, or the input itself if it is the only one.
            eps: name -> noise, with the names of `specs`.
        """
        self._check(params, eps)
        player = Player(self.order, eps)
        given = inputs if isinstance(inputs, tuple | list) else (inputs,)
        result = self._run({**self._buffers(), **params}, given, player)
        player.finish()
        return result

    def to_module(self) -> "Exportable":
        """Return an nn.Module with forward(*inputs, eps=eps), for torch.export, torch.jit and the like."""
        return Exportable(self)

    def export(self) -> torch.export.ExportedProgram:
        """Return torch.export's program of the function, for the shapes of the example.

        Its parameters are the module's. Call it as `program.module()(*inputs, eps=eps)`.
        """
        keywords = {"eps": self.draw(Noise(SEED))}
        return torch.export.export(self.to_module(), self.example_inputs, keywords, strict=False)

    def to_onnx(self, path: str | PathLike[str] | None = None) -> Any:
        """Return the function as an ONNX program, and write it to a file if a path is given.

        Its inputs are named as the arguments of the module's `forward` and as the noise. Needs the extra `onnx`.

        Raises:
            ValueError: an operator has no ONNX form; it is named.
        """
        return onnx_program(self.export(), self.input_names(), None if path is None else str(path))

    def input_names(self) -> list[str]:
        """Return the names of the tensors that an exported program takes, in order: inputs, then noise."""
        arguments = inspect.signature(self.module.forward).bind_partial(*self.example_inputs).arguments
        return [*leaf_names(arguments), *self.specs]

    def _buffers(self) -> dict[str, Tensor]:
        return {name: self.module.get_buffer(name).clone() for name in self.moving}

    def _run(
        self, state: Mapping[str, Tensor], inputs: Sequence[Any], tape: Tape, real: Noise | None = None
    ) -> Any:
        noise = Taped(tape=tape, real=real)
        keywords = {"noise": noise} if self.takes_noise else {}
        with nullcontext() if self.takes_noise else noise_scope(self.module, noise):
            if not state:
                return self.module(*inputs, **keywords)
            return torch.func.functional_call(self.module, dict(state), tuple(inputs), keywords)

    def _check(self, params: Mapping[str, Tensor], eps: Mapping[str, Tensor]) -> None:
        parameters = {name for name, _ in self.module.named_parameters()}
        buffers = {name for name, _ in self.module.named_buffers()}
        check_names("params", set(params) - buffers, parameters, "f.params")
        check_names("eps", set(eps), set(self.specs), "f.draw(noise)")


class Exportable(nn.Module):
    """The function as a module: forward(*inputs, eps=eps), with the parameters of `module`."""

    def __init__(self, f: Functional) -> None:
        super().__init__()
        self.f, self.module = f, f.module

    def forward(self, *inputs: Any, eps: dict[str, Tensor]) -> Any:
        """Return the module's output."""
        check_names("eps", set(eps), set(self.f.specs), "f.draw(noise)")
        player = Player(self.f.order, eps)
        with unvalidated():
            result = self.f._run(self.f._buffers(), inputs, player)
        player.finish()
        return result


@contextmanager
def unvalidated() -> Iterator[None]:
    """While a graph is traced, skip the checks of distributions' arguments: they look at numbers, which it lacks."""
    law = torch.distributions.Distribution
    before = law._validate_args
    if torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling():
        law.set_default_validate_args(False)
    try:
        yield
    finally:
        law.set_default_validate_args(before)


def copied(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of a module's buffers by name, for a run to change."""
    return {name: b.detach().clone() for name, b in module.named_buffers()}


def check_names(what: str, got: set[str], wanted: set[str], remedy: str) -> None:
    """Raise unless the names are those that are wanted."""
    if got != wanted:
        text = [
            f"{kind} {', '.join(sorted(names))}"
            for kind, names in (("no", wanted - got), ("the unknown", got - wanted))
            if names
        ]
        raise ValueError(
            f"{WHO}: {what} must hold {', '.join(sorted(wanted)) or 'nothing'}; got {' and '.join(text)}; "
            f"start from {remedy}"
        )


def check_same(module: nn.Module, first: Any, second: Any) -> None:
    """Raise unless two runs with the same noise gave the same tensors, to half the digits."""
    for a, b in zip(tensors_in(first), tensors_in(second), strict=True):
        tolerance = torch.finfo(a.dtype).eps ** 0.5 if a.is_floating_point() or a.is_complex() else 0.0
        if not torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
            raise ValueError(
                f"{WHO}: {type(module).__name__} must be a function of its inputs and its noise; got two different "
                "results for the same ones; look for numpy's default_rng, or a state that forward changes"
            )


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors of a result, through tuples, dicts and dataclasses."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    elif is_dataclass(value):
        value = [getattr(value, f.name) for f in fields(value)]
    return [t for part in value for t in tensors_in(part)] if isinstance(value, tuple | list) else []
