"""From a program of torch.export to ONNX, with named inputs and errors that say what has no ONNX form."""

import re
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

SINGLE_FILE = 1 << 30  # bytes of parameters up to which a model is one file: ONNX allows 2 GiB
WHO = "functional.to_onnx"


def onnx_program(program: torch.export.ExportedProgram, names: list[str], path: str | None) -> Any:
    """Return the ONNX program of an exported one, its inputs named in order.

    Raises:
        ImportError: the extra `onnx` is not installed.
        ValueError: an operator has no ONNX form.
    """
    check_operators(program)
    size = sum(t.numel() * t.element_size() for t in program.state_dict.values())
    with warnings.catch_warnings():  # of the exporter about itself
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return torch.onnx.export(
                program,
                f=path,
                input_names=names,
                dynamo=True,
                external_data=size > SINGLE_FILE,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            missing = re.search(r"target=torch\.ops\.([\w.]+)", str(error.__cause__))
            if missing is None:
                raise
            raise ValueError(
                f"{WHO}: every operator must have an ONNX form; got {missing[1]}, which has none; use torch.export "
                "(f.export()), or a family whose map is made of elementary functions"
            ) from error
        except ModuleNotFoundError as error:
            raise ImportError(
                f"{WHO}: needs onnx and onnxscript; got no module {error.name!r}; install reparam[onnx]"
            ) from error


def check_operators(program: torch.export.ExportedProgram) -> None:
    """Raise if a program has operators of ours, which no ONNX runtime knows, and name them."""
    ours = set()
    for node in program.graph.nodes:
        name = str(node.target)
        if name.startswith("reparam.scalar"):
            ours.add(f"{node.args[0]} (a numerical quantile or tail)")
        elif name.startswith("reparam."):
            ours.add(
                f"{name} (noise with a seed of its own: draw it from the noise that the module is given)"
            )
    if ours:
        raise ValueError(
            f"{WHO}: every operator must have an ONNX form; got {', '.join(sorted(ours))}; use torch.export "
            "(f.export(), which runs where reparam is installed), or a family whose map is made of elementary functions"
        )


def leaf_names(arguments: Mapping[str, Any]) -> list[str]:
    """Return a name for every tensor in the arguments of a call: the argument's, numbered if it holds several."""
    names = []
    for name, value in arguments.items():
        tensors = [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
        names += [name] if isinstance(value, Tensor) else [f"{name}{k}" for k in range(len(tensors))]
    return names
