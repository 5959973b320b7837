"""Randomness that is no input: found while a module runs, and named with its place and its replacement.

Every source of torch carries the tag `nondeterministic_seeded`, which a dispatch mode sees operator by operator.
numpy's and Python's global generators are seen by their state. What has neither is left to a second run.
"""

import linecache
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

TORCH, OURS, PYTHON = (
    str(Path(p).parent) for p in (torch.__file__, Path(__file__).parent, linecache.__file__)
)
MASK = "a mask of `noise.uniform(shape) >= p`"
REPLACEMENTS = {
    "randn": "noise.normal(shape)",
    "normal": "noise.normal(shape)",
    "rand": "noise.uniform(shape)",
    "uniform": "noise.uniform(shape)",
    "exponential": "noise.exponential(shape)",
    "cauchy": "noise.cauchy(shape)",
    "log_normal": "noise.normal(shape).exp()",
    "bernoulli": "(noise.uniform(p.shape) < p)",
    "randint": "noise.randint(low, high, shape)",
    "random": "noise.randint(low, high, shape)",
    "randperm": "noise.permutation(n)",
    "multinomial": "rp.draw(torch.distributions.Categorical(probs), noise=noise)",
    "poisson": "rp.draw(torch.distributions.Poisson(rate), noise=noise)",
    "binomial": "rp.draw(torch.distributions.Binomial(n, p), noise=noise)",
    "geometric": "rp.draw(torch.distributions.Geometric(p), noise=noise)",
    "_standard_gamma": "rp.draw(torch.distributions.Gamma(alpha, 1.0), noise=noise)",
    "_sample_dirichlet": "rp.draw(torch.distributions.Dirichlet(alpha), noise=noise)",
    "native_dropout": "reparam.layers.Dropout",
    "numpy": "noise.normal(shape).numpy(), or another law of noise",
    "random module": "noise.randint(low, high), or another law of noise",
}
OTHERWISE = "a draw from the noise that the module is given"
HARMLESS = {"_nested_tensor_softmax_with_shape"}  # tagged, draws nothing


class Watch(TorchDispatchMode):
    """Notes every random operator of torch that runs inside, but for those that draw nothing (dropout of rate 0)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.paths = {id(m): (path, m) for path, m in module.named_modules()}
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags and draws(func, args, kwargs):
            self.note(func.overloadpacket.__name__, sys._getframe(1))
        return func(*args, **kwargs)

    def note(self, source: str, frame: FrameType | None, number: int = 0) -> None:
        """Write down a source with its place and its replacement."""
        where, instead = self.place(source, frame, number)
        text = f"{source} {where}; use {instead}"
        if text not in self.found:
            self.found.append(text)

    def place(self, source: str, frame: FrameType | None, number: int) -> tuple[str, str]:
        """Return where a source is, and what to write instead, from the stack above it (at line `number` of it)."""
        instead = REPLACEMENTS.get(source.removesuffix("_").removesuffix("_like"), OTHERWISE)
        line, owner = "", ""
        while frame is not None and not (line and owner):
            code, local = frame.f_code, frame.f_locals
            if code.co_name == "given" and code.co_filename.startswith(OURS):
                instead = f"noise=: {local['who']} was called without noise"
            elif code.co_filename.startswith(f"{TORCH}/distributions") and code.co_name in (
                "sample",
                "rsample",
            ):
                instead = (
                    f"rp.draw(q, noise=noise) in place of {type(local['self']).__name__}.{code.co_name}()"
                )
            known = self.paths.get(id(local.get("self")))
            if known and not owner:
                owner = f" in {type(known[1]).__name__}" + (f" '{known[0]}'" if known[0] else "")
                if isinstance(known[1], nn.modules.dropout._DropoutNd):
                    instead = REPLACEMENTS["native_dropout"] if type(known[1]) is nn.Dropout else MASK
            if not line and not inner(code.co_filename):
                number = number or frame.f_lineno
                text = linecache.getline(code.co_filename, number).strip()
                line = f" at {code.co_filename}:{number}" + (f" `{text}`" if text else "")
            number, frame = 0, frame.f_back
        return (owner + line).strip() or "in the module", instead


def draws(func: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Return whether a tagged operator draws: not at a dropout of rate 0, and not out of training."""
    name = func.overloadpacket.__name__
    given = {a.name: v for a, v in zip(func._schema.arguments, args)} | kwargs
    values = {a.name: given.get(a.name, a.default_value) for a in func._schema.arguments}
    if name in HARMLESS or values.get("dropout_p") == 0 or values.get("dropout") == 0:
        return False
    mode = next((values[key] for key in ("train", "training") if key in values), None)
    return not (mode is False or (mode is not None and values.get("p") == 0))


def outside_states() -> tuple[Any, Any]:
    """Return the states of numpy's and Python's global generators, so that they compare."""
    state: Any = np.random.get_state(legacy=False)
    key, place = state["state"]["key"].tobytes(), state["state"]["pos"]
    return (key, place, state["has_gauss"]), random.getstate()


@contextmanager
def generators_kept() -> Iterator[None]:
    """Put every global generator back as it was."""
    ours, theirs = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(ours)
        random.setstate(theirs)


def find_outside(run: Callable[[], Any], watch: Watch) -> None:
    """Run again, line by line, and note the lines that move numpy's or Python's generator."""
    state = list(outside_states())
    last: list[Any] = [None, 0]

    def check() -> None:
        for k, now in enumerate(outside_states()):
            if now != state[k]:
                state[k] = now
                watch.note(("numpy", "random module")[k], *last)

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if inner(frame.f_code.co_filename):
            return None
        if event == "line":
            check()
            last[:] = frame, frame.f_lineno
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    check()


def inner(filename: str) -> bool:
    """Return whether a file is torch's, ours or Python's, where no user's line is."""
    library = filename.startswith(PYTHON) and "site-packages" not in filename
    return library or filename.startswith((TORCH, OURS, "<frozen"))
