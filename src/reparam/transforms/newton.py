"""The root of an equation as a differentiable function of its parameters, to third order and in every mode.

Let z0 be a root of G(z; phi) = 0, found by any means. Newton's map z -> z - G(z; phi) / G_z(z; phi) moves a root
nowhere, but carries derivatives: after n applications to the constant z0 the derivatives of z in phi are exact up to
order 2^n - 1, because the error of Newton's map is quadratic. It is made of plain tensor operations, so that reverse,
forward and nested modes, vmap and compilation need nothing special.
"""

from collections.abc import Callable

from torch import Tensor


def differentiable_root(
    z: Tensor, equation: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor], steps: int = 2
) -> Tensor:
    """Return the root z as a function of what `equation` depends on; first, second and third derivatives are exact.

    Args:
        z: a root, found without a graph.
        equation: G(z), zero at the root up to rounding.
        slope: G_z(z).
        steps: n; derivatives are exact to order 2^n - 1.

    Example:
        >>> import torch
        >>> a = torch.tensor(4.0, requires_grad=True)
        >>> root = differentiable_root(torch.tensor(2.0), lambda z: z * z - a, lambda z: 2 * z)
        >>> torch.autograd.grad(root, a)
        (tensor(0.2500),)
    """
    z = z.detach()
    for _ in range(steps):
        z = z - equation(z) / slope(z)
    return z
