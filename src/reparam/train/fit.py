"""`fit`: the training loop for anyone's module."""

import contextlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reparam.data import Dataset
from reparam.noise import Noise, given
from reparam.objectives import Terms
from reparam.train.checkpoint import flatten_optimizer
from reparam.train.config import ConfigError
from reparam.train.folder import RunError, claim, create, environment, open_run
from reparam.train.loop import Examples, Loop
from reparam.train.progress import Reporter


@dataclass(frozen=True)
class TensorExamples:
    """Examples held in tensors of one length: a batch is a tensor, or a tuple of them."""

    tensors: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.tensors[0])

    def batch(self, positions: Tensor) -> Any:
        """Return the examples at positions."""
        rows = tuple(t[positions.to(t.device)] for t in self.tensors)
        return rows[0] if len(rows) == 1 else rows

    def numbers(self, positions: Tensor) -> Tensor:
        """Return the positions."""
        return positions


@dataclass(frozen=True)
class DatasetExamples:
    """The part `index` of a data set, as floats on a device; an example is labelled by its number in the whole."""

    dataset: Dataset
    index: Tensor
    dtype: torch.dtype = torch.float32
    device: str = "cpu"

    def __len__(self) -> int:
        return len(self.index)

    def batch(self, positions: Tensor) -> Tensor:
        """Return the examples at positions of the part."""
        return self.dataset.batch(self.index[positions], dtype=self.dtype).to(self.device)

    def numbers(self, positions: Tensor) -> Tensor:
        """Return the numbers of the examples in the whole data set."""
        return self.index[positions]


@dataclass(frozen=True)
class FitResult:
    """What `fit` returns.

    Attributes:
        history: one record per epoch: losses (mean per example), steps, skipped steps.
        steps, skipped_steps: taken; skipped because a loss or gradient was not finite.
        best_epoch, best_loss: by the validation loss; 0 and None without validation.
        best_state: the weights then; None without validation.
    """

    history: list[dict[str, Any]]
    steps: int
    skipped_steps: int
    best_epoch: int
    best_loss: float | None
    best_state: dict[str, Tensor] | None


def fit(
    module: nn.Module,
    data: Tensor | tuple[Tensor, ...] | Dataset,
    *,
    loss: Callable[[nn.Module, Any, Noise], Tensor | Terms],
    noise: Noise | None = None,
    epochs: int = 10,
    batch_size: int = 128,
    lr: float = 1e-3,
    optimizer: torch.optim.Optimizer | None = None,
    validation: Tensor | tuple[Tensor, ...] | Dataset | None = None,
    grad_clip: float = 0.0,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = True,
) -> FitResult:
    """Train a module in place; with `out`, keep checkpoints from which it resumes bit for bit.

    Args:
        module: any nn.Module.
        data: examples along the first axis: a tensor, a tuple of tensors, or a Dataset.
        loss: (module, batch, noise) -> scalar loss to minimise, or Terms. `noise` has the address of the step
            and the numbers of the batch's examples as rows.
        noise: the address of the run: order of the examples and all noise are pure functions of it.
        epochs, batch_size: of the run; the last batch of an epoch may be smaller.
        lr, optimizer: Adam at this rate, unless an optimizer of the module's parameters is given.
        validation: examples whose mean loss chooses the best weights.
        grad_clip: largest norm of the gradient; 0 is no clipping.
        out: a run folder to make (see `reparam.train.folder`).
        resume: continue the run in `out`; start it where there is none.
        overwrite: replace a run in `out`.
        quiet: show no progress.

    Raises:
        RunError, TrainingError: a folder that cannot be used; losses that stay nan.

    Example:
        >>> x = Noise(0).normal((64, 1))
        >>> with torch.random.fork_rng():
        ...     _ = torch.manual_seed(0)
        ...     module = nn.Linear(1, 1)
        >>> result = fit(module, (x, 3 * x), loss=lambda m, b, n: ((m(b[0]) - b[1]) ** 2).mean(),
        ...              noise=Noise(0), epochs=80, lr=0.1)
        >>> result.steps, round(module.weight.item())
        (80, 3)
    """
    if not (type(epochs) is type(batch_size) is int) or min(epochs, batch_size) < 1:
        raise ConfigError(
            f"fit: epochs and batch_size must be integers, 1 or more; got {epochs!r} and {batch_size!r}"
        )
    if not grad_clip >= 0:
        raise ConfigError(f"fit: grad_clip must be 0 (none) or more; got {grad_clip!r}")
    if optimizer is not None:
        _check_optimizer(optimizer, module)
    examples = as_examples(data, "data")
    loop = Loop(
        module,
        adam(module, lr) if optimizer is None else optimizer,
        examples,
        None if validation is None else as_examples(validation, "validation"),
        lambda m, batch, n, _: loss(m, batch, n),
        given(noise, "fit"),
        epochs,
        batch_size,
        grad_clip,
    )
    if not quiet:
        loop.reporter = Reporter(loop.total, loop.per_epoch)
    if out is not None:
        loop.folder = _folder(Path(out), loop, resume, overwrite)
    elif resume:
        raise RunError("fit: resume continues the run in `out`; got out=None; name the folder")
    with contextlib.nullcontext() if loop.folder is None else claim(loop.folder):
        if resume:
            loop.resume()
        state = loop.run()
    return FitResult(loop.history, state.step, state.skipped, state.best_epoch, state.best, loop.best_state)


def _check_optimizer(optimizer: torch.optim.Optimizer, module: nn.Module) -> None:
    """Raise unless an optimizer trains the module, steps without a closure, and can be stored."""
    name = type(optimizer).__name__
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise TypeError(
            f"fit: optimizer must step without a closure; got {name}; use Adam, SGD or their like"
        )
    own = {id(p) for p in module.parameters()}
    if not any(id(p) in own for group in optimizer.param_groups for p in group["params"]):
        raise ValueError(f"fit: optimizer must hold parameters of module; got {name} of others; rebuild it")
    flatten_optimizer(optimizer)


def _folder(out: Path, loop: Loop, resume: bool, overwrite: bool) -> Path:
    plan = {
        "epochs": loop.epochs,
        "batch_size": loop.batch_size,
        "lr": [group["lr"] for group in loop.optimizer.param_groups],
        "noise": repr(loop.noise),
        "model": "module",
    }
    if not (resume and out.exists()):
        return create(str(out), {"config": plan, "environment": environment()}, overwrite=overwrite).path
    before = open_run(out).record["config"]
    changed = [name for name in ("batch_size", "lr", "noise") if before.get(name, plan[name]) != plan[name]]
    if changed:
        raise RunError(
            f"fit: a resumed run must keep its {' and '.join(changed)}; got {[plan[n] for n in changed]} after "
            f"{[before.get(n) for n in changed]}; pass the old ones, or another folder"
        )
    return out


def as_examples(data: Tensor | tuple[Tensor, ...] | Dataset, what: str) -> Examples:
    """Return data as examples, checked to be of one length."""
    if isinstance(data, Dataset):
        return DatasetExamples(data, torch.arange(len(data)))
    tensors = (data,) if isinstance(data, Tensor) else data
    if (
        not isinstance(tensors, (tuple, list))
        or not tensors
        or not all(isinstance(t, Tensor) and t.ndim for t in tensors)
        or not len(tensors[0])
    ):
        got = f"shape {tuple(data.shape)}" if isinstance(data, Tensor) else type(data).__name__
        raise TypeError(
            f"fit: {what} must be a tensor, a tuple of tensors or a Dataset, with examples; got {got}"
        )
    if len({len(t) for t in tensors}) > 1:
        raise ValueError(f"fit: the tensors of {what} must have one length; got {[len(t) for t in tensors]}")
    return TensorExamples(tuple(tensors))


def adam(module: nn.Module, lr: float) -> torch.optim.Adam:
    """Return Adam over the module's parameters, as one fused kernel where torch has it."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(
            f"fit: module must have parameters to train; got {type(module).__name__} without any"
        )
    fused = all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)
    return torch.optim.Adam(parameters, lr, fused=fused)
