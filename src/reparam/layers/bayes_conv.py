"""Bayesian convolutions: the three methods of `bayes.py` with a convolution as the linear map.

Under "local" every output pixel has its own noise: right in each pixel, without the correlation that one shared
filter gives to neighbouring pixels. Under "flipout" the signs belong to rows and channels.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reparam.layers.bayes import Bayes

Size = int | tuple[int, ...]


class _BayesConv(Bayes):
    plain: ClassVar[type]
    ndim: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        *,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        method: str = "weight",
        prior: torch.distributions.Distribution | None = None,
        initial_scale: float = 0.05,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        plain = self.plain(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device=device,
            dtype=dtype,
        )
        super().__init__(
            plain.weight.detach(),
            None if plain.bias is None else plain.bias.detach(),
            method=method,
            prior=prior,
            initial_scale=initial_scale,
        )
        self.shape_like(plain)

    def shape_like(self, layer: Any) -> None:
        """Take stride, padding, dilation and groups from a torch convolution; other paddings than zeros come first."""
        zeros = layer.padding_mode == "zeros"
        self.geometry = (layer.stride, layer.padding if zeros else 0, layer.dilation, layer.groups)
        self.border = None if zeros else (layer._reversed_padding_repeated_twice, layer.padding_mode)

    def apply_map(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the convolution of x with the weight, plus the bias."""
        if x.ndim != self.ndim + 2:
            raise ValueError(
                f"{type(self).__name__}: x must have shape (B, C, {'L' if self.ndim == 1 else 'H, W'}); got "
                f"{tuple(x.shape)}; add the batch axis with x.unsqueeze(0)"
            )
        if self.border is not None:
            x = F.pad(x, self.border[0], mode=self.border[1])
        convolve = F.conv1d if self.ndim == 1 else F.conv2d
        return convolve(x, weight, bias, *self.geometry)

    def signs(self, x: Tensor, y: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return (B, C, 1..) for the input and the output."""
        ones = (1,) * self.ndim
        return (x.shape[0], x.shape[1], *ones), (y.shape[0], y.shape[1], *ones)

    def extra_repr(self) -> str:
        """Return sizes and method for printing."""
        out, per_group, *kernel = self.weight_loc.shape
        return f"{per_group * self.geometry[3]}, {out}, kernel_size={tuple(kernel)}, method={self.method!r}"


class BayesConv1d(_BayesConv):
    """One-dimensional convolution whose weights and bias have independent normal laws.

    Args: as torch.nn.Conv1d ; method, prior and initial_scale as `BayesLinear`.
    Shape: x (B, C, L) -> (B, C', L').

    Gradient: unbiased; see `BayesLinear`.

    Example:
        >>> import reparam as rp
        >>> BayesConv1d(2, 3, 3, method="flipout")(torch.ones(4, 2, 8), noise=rp.Noise(0)).shape
        torch.Size([4, 3, 6])
    """

    plain = nn.Conv1d
    ndim = 1


class BayesConv2d(_BayesConv):
    """Two-dimensional convolution whose weights and bias have independent normal laws.

    Args: as torch.nn.Conv2d ; method, prior and initial_scale as `BayesLinear`.
    Shape: x (B, C, H, W) -> (B, C', H', W').

    Gradient: unbiased; see `BayesLinear`.
    """

    plain = nn.Conv2d
    ndim = 2
