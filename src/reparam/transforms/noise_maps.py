"""Maps z = g(eps; phi) of one number of noise with a kernel each way; where no kernel serves, plain torch.

**Gradient**: exact, of the map at fixed noise. A backward pass recomputes from z and the noise what it needs; one that
is itself differentiated, and every other mode, goes through the plain map, so that all derivatives exist.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reparam.kernels import select
from reparam.kernels.cpu import explicit as kernel
from reparam.kernels.cpu.memory import empty
from reparam.kernels.cpu.product import one_or_all
from reparam.noise import Noise
from reparam.transforms.fused import native, partials
from reparam.transforms.interval import interval_quantile
from reparam.transforms.quotients import exprel


@dataclass(frozen=True)
class Map:
    """A map of noise.

    Args:
        kind: the code of its kernel.
        plain: (eps, *parameters) -> z in differentiable torch.
        law: of the noise.
        keeps: whether the kernel's backward pass reads the noise; where not, it is drawn again if it is needed.
        least: elements that the kernel takes; fewer go to `plain`, which must give the same bits there.
    """

    kind: int
    plain: Callable[..., Tensor]
    law: str = "exponential"
    keeps: bool = True
    least: int = 1

    def push(self, eps: Tensor, *parameters: Tensor) -> Tensor:
        """Return g(eps; phi), all broadcast."""
        shape = torch.broadcast_shapes(eps.shape, *(p.shape for p in parameters))
        if shape.numel() < self.least or not native(eps, *parameters):
            return self.plain(eps, *parameters)
        return self._run(None, shape, eps.expand(shape).contiguous(), *parameters)

    def draw(self, noise: Noise, shape: torch.Size, *parameters: Tensor) -> Tensor | None:
        """Return g at the noise of an address, the bits of `push`; None where no kernel draws."""
        fits = type(noise) is Noise and noise.index is None and shape.numel() >= self.least
        return self._run(noise, shape, None, *parameters) if fits and native(*parameters) else None

    def _run(self, noise: Noise | None, shape: torch.Size, eps: Tensor | None, *parameters: Tensor) -> Tensor:
        given = [p if p.numel() == 1 else p.expand(shape).contiguous() for p in parameters]
        if torch.is_grad_enabled() and any(x.requires_grad for x in (eps, *given) if x is not None):
            return _Apply.apply(self, noise, shape, eps, *given)
        z = empty(shape, given[0].dtype)
        self.fill(noise, given, z.new_empty(0) if eps is None else eps, z)
        return z

    def fill(self, noise: Noise | None, parameters: list[Tensor], eps: Tensor, z: Tensor) -> None:
        """Fill z; where there is an address, from its noise, which eps receives unless it is empty."""
        if noise is None:
            kernel.draw(self.kind, None, 0, 0, parameters, eps, z)
        else:
            address = select.signed(noise._path_key()), select.signed(noise.step)
            kernel.draw(self.kind, self.law, *address, parameters, eps, z)


class _Apply(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rule: Map, noise: Noise | None, shape: torch.Size, eps: Tensor | None, *parameters: Tensor
    ) -> Tensor:
        z = empty(shape, parameters[0].dtype)
        if eps is None:
            eps = empty(shape if rule.keeps else (0,), z.dtype)
        rule.fill(noise, list(parameters), eps, z)
        ctx.rule, ctx.noise = rule, None if rule.keeps else noise
        ctx.save_for_backward(z, eps, *parameters)
        return z

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        z, eps, *parameters = ctx.saved_tensors
        needed = ctx.needs_input_grad[3:]
        if torch.is_grad_enabled() or not select.plain() or gradient.dtype != z.dtype or needed[0]:
            if ctx.noise is not None:
                eps = ctx.noise._draw(ctx.rule.law, z.shape, z.dtype, z.device)
            return None, None, None, *partials(ctx.rule.plain, (eps, *parameters), gradient, needed)
        out = [empty(z.shape, z.dtype) for _ in parameters]
        kernel.slopes(ctx.rule.kind, parameters, eps if ctx.rule.keeps else z, z, one_or_all(gradient), out)
        fitted = (o.sum().reshape(p.shape) if p.numel() < o.numel() else o for o, p in zip(out, parameters))
        return None, None, None, None, *fitted


def _log_rest(t: Tensor) -> Tensor:
    """Return log(1 - e^-t) with its digits wherever e^-t is."""
    near = t < math.log(2)
    far = torch.log1p(-torch.exp(-torch.where(near, math.inf, t)))
    return torch.where(near, torch.log(-torch.expm1(-torch.where(near, t, 1.0))), far)


def _pareto(eps: Tensor, loc: Tensor, scale: Tensor, c: Tensor) -> Tensor:
    """Return loc + scale (e^(c eps) - 1) / c, not beyond loc - scale / c where c < 0."""
    z = loc + scale * eps * exprel(c * eps)
    end = torch.where(c < 0, loc - scale / torch.where(c < 0, c, -1.0), torch.inf)
    return torch.where(z > end, end, z)


EXPONENTIAL = Map(kernel.EXPONENTIAL, lambda eps, rate: eps / rate, keeps=False, least=1 << 12)
WEIBULL = Map(
    kernel.WEIBULL, lambda eps, scale, concentration: scale * torch.exp(torch.log(eps) / concentration)
)
KUMARASWAMY = Map(kernel.KUMARASWAMY, lambda eps, a, b: torch.exp(_log_rest(eps / b) / a))
PARETO = Map(kernel.PARETO, _pareto)
INTERVAL = Map(kernel.INTERVAL, lambda eps, l: interval_quantile(l, eps, 1 - eps), law="uniform")
