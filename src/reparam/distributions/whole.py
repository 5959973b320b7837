"""Methods of one-dimensional laws as single nodes of a compiled graph.

A distribution function of some hundred operations costs a compiler a minute, and its derivatives more. Under
torch.compile the methods that a family names in `whole` are calls of the operator `reparam::law`, which runs their
plain torch code. With x and the leaves of the law as arguments a_1 .. a_n, it computes

    f_0(a) = (z,),   z = method(x),   and   f_{k+1}(a, u) = sum_j u_j df_kj/da

so that the reverse derivative of f_k is f_{k+1}, of any order that the method has. All of it acts element by element,
hence the forward derivative of f_kj is sum_i t_i f_{k+1}(a, e_j)_i at arguments of one shape.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, wraps
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import _set_fwd_grad_enabled

from reparam.special.implicit import _dot, _primals

FAMILIES: dict[str, Any] = {}  # every one-dimensional family by its qualified name
# the dispatch keys of plain eager mode, in which this module is imported
PLAIN = torch._C._dispatch_tls_local_include_set(), torch._C._dispatch_tls_local_exclude_set()

_library = torch.library.Library("reparam", "FRAGMENT")
_library.define("law(str what, Tensor[] tensors) -> Tensor[]")


def rebuild(outline: Any, leaves: Iterator[Tensor]) -> Any:
    """Return the family of an outline with the next leaves as its parameters, without validation."""
    return FAMILIES[outline[0]].from_outline(outline, leaves)


def traced() -> bool:
    """Return whether a compiler reads the code; an exported program keeps the operations instead."""
    return torch.compiler.is_dynamo_compiling() and not torch.compiler.is_exporting()


def as_one_node(name: str, method: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    """Return a method that a compiler sees as one node, where the law acts element by element on its leaves."""

    @wraps(method)
    def one_node(self: Any, x: Tensor) -> Tensor:
        if not traced() or not self.elementwise:
            return method(self, x)
        wide = self._as(torch.float64)
        (z,) = law(repr((wide.outline(), name, ())), x.double(), *wide.leaves())
        return z.to(self.like().dtype if name == "push" else x.dtype)

    return one_node


@torch.compiler.allow_in_graph
def law(what: str, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Return f_k; `what` is the outline, the method and how many arguments f_0 .. f_{k-1} have."""
    return _Law.apply(what, *tensors)  # type: ignore[no-any-return]


class _Law(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(what: str, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.ops.reparam.law(what, list(tensors)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, ...]) -> None:
        ctx.what, ctx.shapes = inputs[0], [z.shape for z in output]
        ctx.save_for_backward(*inputs[1:])
        ctx.save_for_forward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        pulled = law(_next(ctx.what, len(ctx.saved_tensors)), *ctx.saved_tensors, *gradients)
        return None, *(g if need else None for g, need in zip(pulled, ctx.needs_input_grad[1:]))

    @staticmethod
    def jvp(ctx: Any, _: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        with _set_fwd_grad_enabled(True):
            tensors = torch.broadcast_tensors(*_primals(ctx))
            what, out = _next(ctx.what, len(tensors)), []
            zeros, one = [torch.zeros_like(tensors[0])] * len(ctx.shapes), torch.ones_like(tensors[0])
            for j, shape in enumerate(ctx.shapes):
                slopes = law(what, *tensors, *zeros[:j], one, *zeros[j + 1 :])
                out.append(_dot(slopes, list(tangents)).sum_to_size(shape))
            return tuple(out)


def _next(what: str, count: int) -> str:
    outline, name, counts = _parsed(what)
    return repr((outline, name, (*counts, count)))


@lru_cache(maxsize=4096)
def _parsed(what: str) -> Any:
    return literal_eval(what)


# --- the operator ------------------------------------------------------------------------------------------


def _pulled(function: Callable[..., Sequence[Tensor]], count: int) -> Callable[..., list[Tensor]]:
    """Return f_{k+1} of f_k, a function of `count` arguments."""

    def pulled(*arguments: Tensor) -> list[Tensor]:
        again = any(a.requires_grad for a in arguments)
        # views: an argument that depends on another one is still moved alone
        given = [a.view_as(a) if a.requires_grad else a.detach().requires_grad_() for a in arguments[:count]]
        moved = [(z, u) for z, u in zip(function(*given), arguments[count:]) if z.requires_grad]
        if not moved:
            return [torch.zeros_like(a) for a in given]
        return list(
            torch.autograd.grad(
                [z for z, _ in moved],
                given,
                [u for _, u in moved],
                create_graph=again,
                allow_unused=True,
                materialize_grads=True,
            )
        )

    return pulled


def _run(what: str, tensors: list[Tensor]) -> list[Tensor]:
    outline, name, counts = _parsed(what)

    def function(x: Tensor, *leaves: Tensor) -> Sequence[Tensor]:
        return [getattr(rebuild(outline, iter(leaves)), name)(x)]

    # an operator runs with autograd's dispatch keys off, and under some modes without those of lazy zeros too
    with torch._C._ForceDispatchKeyGuard(*PLAIN), torch.set_grad_enabled(bool(counts)):
        for count in counts:
            function = _pulled(function, count)
        return [z.detach().clone(memory_format=torch.contiguous_format) for z in function(*tensors)]


def _fake(what: str, tensors: list[Tensor]) -> list[Tensor]:
    *_, counts = _parsed(what)
    if counts:
        return [torch.empty_like(t, memory_format=torch.contiguous_format) for t in tensors[: counts[-1]]]
    return [tensors[0].new_empty(torch.broadcast_shapes(*(t.shape for t in tensors)))]


def _vmap(
    info: Any, in_dims: tuple[None, list[int | None]], what: str, tensors: list[Tensor]
) -> tuple[list[Tensor], list[int]]:
    """Bring the mapped dimension to the front of every argument, and ranks to one; slopes are not summed over it."""
    moved = [t.unsqueeze(0) if d is None else t.movedim(d, 0) for t, d in zip(tensors, in_dims[1])]
    wide = [t.expand(info.batch_size, *t.shape[1:]) for t in moved]
    rank = max(t.ndim for t in wide)
    aligned = [t.reshape(t.shape[0], *(1,) * (rank - t.ndim), *t.shape[1:]) for t in wide]
    out = torch.ops.reparam.law(what, aligned)
    *_, counts = _parsed(what)
    if counts:
        out = [z.reshape(t.shape) for z, t in zip(out, wide)]
    return out, [0] * len(out)


_library.impl("law", _run, "CompositeExplicitAutograd")
torch.library.register_fake("reparam::law", _fake, lib=_library)
torch.library.register_vmap("reparam::law", _vmap, lib=_library)
