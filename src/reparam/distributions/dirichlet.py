"""The Dirichlet family: drawn in log space, moved by the field of each coordinate's own Beta quantile.

    log z_j = log of the Gamma(alpha_j) quantile at Phi(eps_j),   x = softmax(log z)
    dx_i/dalpha_j = g_j (delta_ij - x_i),   g_j = x_j v_j,   v_j = dxi_j/dalpha_j at fixed noise, xi_j = logit x_j,

where x_j ~ Beta(alpha_j, A - alpha_j), A = sum alpha, and the other coordinates keep their proportions. In logits
l = log x this reads d log x = w - <x, w>, w_j = v_j dalpha_j: the derivative of a log-softmax.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import _set_fwd_grad_enabled

from reparam import special
from reparam.distributions.multivariate import Multivariate
from reparam.kernels.scalar import scalar
from reparam.special.densities import stirling_remainder
from reparam.special.implicit import _primals

HALF_LOG_2PI = 0.91893853320467274178


class Dirichlet(Multivariate, torch.distributions.Dirichlet):
    """Dirichlet law on the simplex, density proportional to prod_j x_j^(alpha_j - 1).

        x = softmax(log z),  z_j ~ Gamma(alpha_j, 1) by quantile at a normal eps_j

    Drawn in log space, so that tiny concentrations keep their law: a coordinate is 0 only where the number itself
    underflows.

    Args:
        concentration: alpha > 0 (*B, K).

    Shape: batch (*B), event (K,).

    Gradient: implicit, unbiased; dx_i/dalpha_j = x_j v_j (delta_ij - x_i), where v_j is the velocity of logit x_j
    under Beta(alpha_j, A - alpha_j): the field of torch, of lower variance than the ratio of gammas, and not the
    derivative of `push` at fixed eps, which is another field of the same law. `pathwise`: shape (*S, *B, K, K).
    Double backward and forward mode work; derivatives in eps are those of `push`.

    Source: jankowiak2018.

    Example:
        >>> import reparam as rp
        >>> q = Dirichlet(torch.full((4,), 1e-3, dtype=torch.float64))
        >>> float((q.sample((2000,), noise=rp.Noise(0)).amax(-1) > 0.9).float().mean()) > 0.98
        True
    """

    rule = "implicit"
    base_law = "normal"

    def parameters(self) -> dict[str, Tensor]:
        """Return the concentration."""
        return {"concentration": self.concentration}

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(x) in nats, computed in float64 without the cancellation of large log gammas."""
        if self._validate_args:
            self._validate_sample(value)
        alpha = self.concentration
        dtype = torch.promote_types(value.dtype, alpha.dtype)
        return log_density(value.double(), alpha.double()).to(dtype)

    def entropy(self) -> Tensor:
        """Return -E log q in nats, computed in the same way."""
        return entropy(self.concentration.double()).to(self.concentration.dtype)

    def push(self, eps: Tensor) -> Tensor:
        """Return softmax(log z); computed in float64 and rounded once."""
        alpha = self.concentration
        if alpha.device.type == "cpu" and alpha.dtype == eps.dtype == torch.float32:
            return draw(eps, alpha)
        alpha = alpha.double()
        log_z = special.quantile(special.GAMMA, eps.double(), alpha.detach())
        return torch.exp(attach(torch.log_softmax(log_z, -1), alpha)).to(eps.dtype)

    def pull(self, x: Tensor) -> Tensor:
        """Return log of x / sum x in float64, which `move` carries along the field."""
        log_x = torch.log(x.double())
        return log_x - torch.log(x.double().sum(-1, keepdim=True))

    def move(self, eps: Tensor) -> Tensor:
        """Return x at log x = eps, moving with the concentration."""
        return torch.exp(attach(eps, self.concentration.double())).to(self.concentration.dtype)


def log_density(x: Tensor, alpha: Tensor) -> Tensor:
    """Return sum_j [alpha_j log(x_j A/alpha_j) + log(alpha_j/2 pi)/2 - R(alpha_j) - log x_j] - log(A/2 pi)/2 + R(A).

    R is the remainder of Stirling's formula; at x_j = 0 the term (alpha_j - 1) log x_j is its limit.
    """
    A = alpha.sum(-1, keepdim=True)
    u = torch.where(x > 0, x, 1.0)
    gap = (u * A - alpha) / alpha
    near = gap.abs() < 0.5
    log_ratio = torch.where(near, torch.log1p(torch.where(near, gap, 0.0)), u.log() + (A / alpha).log())
    edge = torch.where(x > 0, 0.0, torch.xlogy(alpha - 1.0, torch.where(x > 0, 1.0, x)))
    parts = alpha * log_ratio + half_log(alpha) - stirling_remainder(alpha) - u.log() + edge
    return parts.sum(-1) - (half_log(A) - stirling_remainder(A)).squeeze(-1)


def entropy(alpha: Tensor) -> Tensor:
    """Return sum_j [R - chi - log(alpha_j/2 pi)/2 + psi](alpha_j) - [R - chi - log(A/2 pi)/2 + K psi](A).

    chi = alpha (psi(alpha) - log alpha), of which the parts alpha log alpha of log Gamma and alpha psi leave no more.
    """
    A = alpha.sum(-1)

    def part(a: Tensor) -> Tensor:
        return stirling_remainder(a) - chi(a) - half_log(a)

    return (part(alpha) + torch.digamma(alpha)).sum(-1) - part(A) - alpha.shape[-1] * torch.digamma(A)


def half_log(alpha: Tensor) -> Tensor:
    """Return log(alpha/2 pi)/2."""
    return 0.5 * alpha.log() - HALF_LOG_2PI


def chi(alpha: Tensor) -> Tensor:
    """Return alpha (psi(alpha) - log alpha) = -1/2 - sum_k B_2k/(2k) alpha^(1-2k)."""
    large = alpha >= 15.0
    r = 1.0 / torch.where(large, alpha, 15.0)
    total = torch.zeros_like(r)
    for b in (1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12):
        total = total * r * r + b
    low = torch.where(large, 1.0, alpha)
    return torch.where(large, -0.5 - total * r, low * (torch.digamma(low) - low.log()))


def rest(values: Tensor) -> Tensor:
    """Return the sum of all other entries of the last axis, without subtraction."""
    zero = torch.zeros_like(values[..., :1])
    before = torch.cat((zero, values[..., :-1]), -1).cumsum(-1)
    after = torch.cat((values[..., 1:], zero), -1).flip(-1).cumsum(-1).flip(-1)
    return before + after


def centred(x: Tensor, gradient: Tensor) -> Tensor:
    """Return G_j - x_j sum G as G_j sum_{i != j} x_i - x_j sum_{i != j} G_i: exact also where x_j rounds to 1."""
    return gradient * rest(x) - x * rest(gradient)


def deviations(x: Tensor, w: Tensor) -> Tensor:
    """Return w_j - <x, w> in the same way."""
    return w * rest(x) - rest(x * w)


def log_odds(log_x: Tensor) -> Tensor:
    """Return logit x_j = log x_j - log sum_{i != j} x_i, finite for coordinates that round to 1."""
    top = log_x.amax(-1, keepdim=True)
    others = torch.log(rest(torch.exp(log_x - top))) + top
    # beyond 700 nothing of the derivative is left in a double: x_j or 1 - x_j is below the smallest number
    return (log_x - others).clamp(-700.0, 700.0)


def velocities(log_x: Tensor, alpha: Tensor) -> Tensor:
    """Return v_j = d logit x_j/dalpha_j at fixed noise under Beta(alpha_j, A - alpha_j)."""
    return special.velocity(special.BETA, log_odds(log_x), alpha, rest(alpha))[0]


class _Attach(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(log_x: Tensor, alpha: Tensor) -> Tensor:
        return log_x.expand(torch.broadcast_shapes(log_x.shape, alpha.shape)).clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output, *inputs)
        ctx.save_for_forward(output, *inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        log_x, given, alpha = ctx.saved_tensors
        of_alpha = velocities(log_x, alpha) * centred(torch.exp(log_x), gradient)
        return gradient.sum_to_size(given.shape), of_alpha.sum_to_size(alpha.shape)

    @staticmethod
    def jvp(ctx: Any, of_x: Tensor | None, of_alpha: Tensor | None) -> Tensor:
        with _set_fwd_grad_enabled(True):
            log_x, _given, alpha = _primals(ctx)
            total = torch.zeros_like(log_x) if of_x is None else of_x.expand_as(log_x)
            if of_alpha is None:
                return total
            return total + deviations(torch.exp(log_x), velocities(log_x, alpha) * of_alpha)


@torch.compiler.allow_in_graph
def attach(log_x: Tensor, alpha: Tensor) -> Tensor:
    """Return the given log x, moving with alpha along the field of the Dirichlet law."""
    return _Attach.apply(log_x, alpha)


def composed(eps: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return x, v_j = d logit x_j/dalpha_j and d log z_j/deps_j in float64, each differentiable again."""
    eps, alpha = eps.double(), alpha.double()
    fixed = alpha.detach()
    log_z = special.quantile(special.GAMMA, eps, fixed)
    log_x = attach(torch.log_softmax(log_z, -1), alpha)
    spread = torch.exp(-0.5 * eps * eps - HALF_LOG_2PI - special.gamma_log_density(log_z, fixed))
    return torch.exp(log_x), velocities(log_x, alpha), spread


class _Draw(torch.autograd.Function):
    """x of a float32 Dirichlet; the kernel also gives 1 - x and the field g for a first backward pass."""

    generate_vmap_rule = True

    @staticmethod
    def forward(eps: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, others, field = scalar("dirichlet_draw_moving", alpha, eps)
        return x, others, field

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*output, *inputs)
        ctx.save_for_forward(
            *output, *inputs
        )  # the same list: torch keeps one set of vmap dimensions for both

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, Tensor]:
        x, others, field, eps, alpha = ctx.saved_tensors
        if not torch.is_grad_enabled() and not ctx.needs_input_grad[0]:
            return None, scalar("dirichlet_pull", gradient, x, others, field)[0].sum_to_size(alpha.shape)
        p, v, spread = composed(eps, alpha)
        pulled = centred(p, p * gradient)
        of_eps, of_alpha = pulled * spread, pulled * v
        return of_eps.sum_to_size(eps.shape).to(eps.dtype), of_alpha.sum_to_size(alpha.shape).to(alpha.dtype)

    @staticmethod
    def jvp(ctx: Any, of_eps: Tensor | None, of_alpha: Tensor | None) -> tuple[Tensor, None, None]:
        with _set_fwd_grad_enabled(True):
            eps, alpha = _primals(ctx)[3:]
            p, v, spread = composed(eps, alpha)
            w = torch.zeros_like(p)
            w = w if of_eps is None else w + spread * of_eps
            w = w if of_alpha is None else w + v * of_alpha
            return (p * deviations(p, w)).to(eps.dtype), None, None


@torch.compiler.allow_in_graph
def draw(eps: Tensor, alpha: Tensor) -> Tensor:
    """Return x in float32, moving with alpha along the field and with eps as `softmax(log z)` does."""
    if not torch.is_grad_enabled() and not torch._C._are_functorch_transforms_active():
        return scalar("dirichlet_draw", alpha, eps)[0]
    return _Draw.apply(eps, alpha)[0]
