"""Discrete draws as maps of noise, and the continuous points that stand in for their derivative.

z = logits + eps          perturbed logits, eps logistic (binary) or Gumbel (one-hot)
b = hard(z)               the draw: 1[z > 0], or the unit vector of argmax z
soft(z, t)                its relaxation: sigmoid(z / t), or softmax(z / t)
z~ = given(b, eps')       perturbed logits drawn anew from their law given b
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, one_hot

from reparam.kernels import select
from reparam.kernels.cpu import softmax as kernel
from reparam.kernels.cpu.memory import empty
from reparam.kernels.cpu.pieces import run_pieces
from reparam.noise import Noise, NoiseSpec
from reparam.transforms.fused import Fused, native, partials


@dataclass(frozen=True)
class Site:
    """The logits of discrete sites, of shape (*B, *E), and whether they are binary or one-hot."""

    logits: Tensor
    binary: bool

    def hard(self, z: Tensor) -> Tensor:
        """Return the draw that perturbed logits stand for."""
        return (z > 0).to(z.dtype) if self.binary else one_hot(z.argmax(-1), z.shape[-1]).to(z.dtype)

    def soft(self, z: Tensor, temperature: float | Tensor) -> Tensor:
        """Return the relaxed draw."""
        return torch.sigmoid(z / temperature) if self.binary else torch.softmax(z / temperature, -1)

    def given(self, b: Tensor, eps: Tensor) -> Tensor:
        """Return perturbed logits z~ from their law given the draw b, differentiable in the logits.

        binary    z~ = softplus(eps + softplus(logits))  if b = 1,   -softplus(eps + softplus(-logits))  if b = 0
        one-hot   z~_k = eps_k for the chosen k,  z~_i = -log(e^{-eps_k} + e^{-(log p_i + eps_i)}) for the others
        """
        if self.binary:
            sign = 2 * b - 1
            return -sign * logsigmoid(logsigmoid(-sign * self.logits) - eps)
        top = (b * eps).sum(-1, keepdim=True)
        others = -torch.logaddexp(-top, -(torch.log_softmax(self.logits, -1) + eps))
        return torch.where(b > 0, top, others)


def zero(x: Tensor) -> Tensor:
    """Return x - x held fixed: 0 in value, with the gradient of x."""
    return x - x.detach()


def straight_through(site: Site, b: Tensor) -> Tensor:
    """Return b with the derivative of the probabilities. Source: bengio2013."""
    return b + zero(site.soft(site.logits, 1.0))


def gumbel_straight_through(site: Site, z: Tensor, temperature: float | Tensor) -> Tensor:
    """Return hard(z) with the derivative of soft(z, temperature). Source: jang2017."""
    return site.hard(z.detach()) + zero(site.soft(z, temperature))


def gumbel_rao(site: Site, b: Tensor, eps: Tensor, temperature: float | Tensor) -> Tensor:
    """Return b with the derivative of soft(., temperature), averaged over noises eps (k, ...) given b.

    The noise is fixed, so that dz~/dlogits = 1. Source: paulus2021.
    """
    anew = zero(site.logits) + site.given(b, eps).detach()
    return b + zero(site.soft(anew, temperature).mean(0))


def reinmax(site: Site, b: Tensor, temperature: float | Tensor) -> Tensor:
    """Return b with Heun's derivative, 2 J(h) - J(p) / 2, h = (b + soft(logits, temperature)) / 2.

    J(p) = diag(p) - p p' is the Jacobian of the softmax at p (binary: p (1 - p)). Source: liu2023.
    """
    h = (b + site.soft(site.logits.detach(), temperature)) / 2
    log_h = torch.special.logit(h) if site.binary else h.log()
    at_h = site.soft(zero(site.logits) + log_h, 1.0)  # equals h, with J(h) as its Jacobian
    return b + zero(2 * at_h - site.soft(site.logits, 1.0) / 2)


def relaxed_one_hot(logits: Tensor, eps: Tensor, temperature: Tensor) -> Tensor:
    """Return softmax((logits + eps) / temperature) along the last axis.

    **Gradient**: closed form, from a kernel each way in eager mode on the CPU; second derivatives, those in the
    temperature, and every other mode through plain torch.

    Example:
        >>> relaxed_one_hot(torch.zeros(2), torch.zeros(2), torch.tensor(0.5))
        tensor([0.5000, 0.5000])
    """
    if temperature.numel() != 1 or not eps.numel() or not native(logits, eps, temperature):
        return _relaxed(logits, eps, temperature)
    if not (temperature.requires_grad and torch.is_grad_enabled()):
        return RELAXED(*torch.broadcast_tensors(logits, eps), temperature)
    with torch.no_grad():  # the numbers of the kernel, with the derivatives of plain torch
        z = RELAXED(*torch.broadcast_tensors(logits, eps), temperature)
    return z + zero(_relaxed(logits, eps, temperature))


def _relaxed(logits: Tensor, eps: Tensor, temperature: Tensor) -> Tensor:
    return torch.softmax((logits + eps) / temperature, -1)


def relaxed_one_hot_draw(logits: Tensor, noise: Noise, spec: NoiseSpec, temperature: Tensor) -> Tensor | None:
    """Return `relaxed_one_hot(logits, noise.draw(spec), temperature)`, bit for bit; None where no kernel serves.

    Args:
        noise: an address without rows and schemes.
        spec: Gumbel noise; the logits broadcast to its shape.
    """
    fits = type(noise) is Noise and noise.index is None and native(logits, temperature)
    fits = fits and temperature.numel() == 1 and math.prod(spec.shape) > 0
    if not fits or (temperature.requires_grad and torch.is_grad_enabled()):
        return None
    logits = logits.expand(spec.shape)
    if torch.is_grad_enabled() and logits.requires_grad:
        return _Draw.apply(noise, spec, logits, temperature)
    return _drawn(noise, logits, temperature)


def _drawn(noise: Noise, logits: Tensor, temperature: Tensor) -> Tensor:
    z, K = empty(logits.shape, logits.dtype), logits.shape[-1]
    address = select.signed(noise._path_key()), select.signed(noise.step)
    kernel.draw(*address, logits.contiguous().view(-1, K), float(temperature), z.view(-1, K))
    return z


class _Draw(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, noise: Noise, spec: NoiseSpec, logits: Tensor, temperature: Tensor) -> Tensor:
        z = _drawn(noise, logits, temperature)
        ctx.address = noise, spec
        ctx.save_for_backward(z, logits, temperature)
        return z

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        z, logits, temperature = ctx.saved_tensors
        if torch.is_grad_enabled() or not select.plain():
            noise, spec = ctx.address  # the noise is drawn again
            inputs = logits, noise.draw(spec), temperature
            return None, None, partials(_relaxed, inputs, gradient, (True, False, False))[0], None
        return None, None, _slope(z, gradient, temperature), None


def _forward(logits: Tensor, eps: Tensor, temperature: Tensor) -> tuple[Tensor, tuple[()]]:
    z, K = empty(eps.shape, eps.dtype), eps.shape[-1]
    t = temperature.detach().view(-1).numpy()[0]
    rows = tuple(x.contiguous().view(-1, K) for x in (logits, eps))
    run_pieces(lambda a, b, c: kernel.forward(a, b, t, c), rows, (z.view(-1, K),), K)
    return z, ()


def _backward(inputs: Any, z: Tensor, kept: Any, gradient: Tensor, needed: Any) -> tuple[Tensor | None, ...]:
    slope = _slope(z, gradient, inputs[2])
    return slope if needed[0] else None, slope if needed[1] else None, None


def _slope(z: Tensor, gradient: Tensor, temperature: Tensor) -> Tensor:
    slope, K = empty(z.shape, z.dtype), z.shape[-1]
    t = temperature.detach().view(-1).numpy()[0]
    rows = (z.view(-1, K), gradient.contiguous().view(-1, K))
    run_pieces(lambda a, b, c: kernel.backward(a, b, t, c), rows, (slope.view(-1, K),), K)
    return slope


RELAXED = Fused(_forward, _backward, _relaxed)
