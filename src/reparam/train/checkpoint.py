"""Checkpoints: one safetensors file holds weights, optimizer and counters, so that they can never disagree."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reparam.data.files import write_json, write_json_lines
from reparam.train.folder import RunError, read_tensors, write_tensors

Found = tuple[dict[str, Any], dict[str, Tensor] | None, list[dict[str, Any]]]


def save_checkpoint(
    folder: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    counters: dict[str, Any],
    best: dict[str, Tensor] | None,
    history: list[dict[str, Any]],
) -> None:
    """Write model.safetensors, metrics.jsonl, state.safetensors and state.json, each atomically.

    state.safetensors alone decides where a run resumes; the others are written anew from it.
    """
    moments, groups = flatten_optimizer(optimizer)
    state = {f"model.{name}": t for name, t in module.state_dict().items()}
    state |= {f"best.{name}": t for name, t in (best or {}).items()}
    state |= {f"optimizer.{name}": t for name, t in moments.items()}
    header = {"counters": counters, "groups": groups, "history": history}
    write_tensors(folder / "model.safetensors", module.state_dict() if best is None else best)
    write_json_lines(folder / "metrics.jsonl", history, who="train")
    write_tensors(folder / "state.safetensors", state, header)
    write_json(folder / "state.json", counters, who="train")


def load_checkpoint(folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> Found | None:
    """Put the folder's checkpoint into module and optimizer; return counters, best weights and history.

    Returns None where no checkpoint was written yet.

    Raises:
        RunError: a corrupted checkpoint, or one of another model.
    """
    path = folder / "state.safetensors"
    if not path.exists():
        return None
    state, header = read_tensors(path, who="resume")
    try:
        counters, groups, history = header["counters"], header["groups"], header["history"]
        module.load_state_dict(part(state, "model."))
        restore_optimizer(optimizer, part(state, "optimizer."), groups)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise RunError(
            f"resume: {path} must hold the state of this model; got another ({text}); train again"
        ) from None
    return counters, part(state, "best.") or None, history


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Return an optimizer's state as named tensors, and its groups as plain values."""
    content = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    for number, moments in content["state"].items():
        for name, value in moments.items():
            tensors[f"{number}.{name}"] = value if isinstance(value, Tensor) else torch.tensor(value)
    try:
        return tensors, json.loads(json.dumps(content["param_groups"]))
    except TypeError:
        raise TypeError(
            f"fit: the optimizer's settings must be plain numbers; got {type(optimizer).__name__} with others; "
            "pass tensors as floats"
        ) from None


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], groups: list[dict[str, Any]]
) -> None:
    """Put back what `flatten_optimizer` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = value
    groups = [{k: tuple(v) if k == "betas" else v for k, v in group.items()} for group in groups]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
