"""Deterministic nets that the models are composed of: a multilayer perceptron, and convolutions for any size.

An encoder maps (..., *event) to (..., features), a decoder maps (..., features) to (..., *event); any number of
leading dimensions, so that samples and batch pass together.
"""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

SMALLEST_SIDE = 4  # convolutions halve a picture until its longer side is at most this


class MLPEncoder(nn.Module):
    """Fully connected encoder: flatten, then Linear and ReLU for each hidden width, then Linear.

    Shape: (..., *event) -> (..., features).
    """

    def __init__(self, event: Sequence[int], hidden: Sequence[int], features: int) -> None:
        super().__init__()
        self.event = tuple(event)
        self.layers = perceptron([math.prod(self.event), *hidden, features])

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of x."""
        return self.layers(x.flatten(x.ndim - len(self.event)))


class MLPDecoder(nn.Module):
    """Fully connected decoder, the mirror of `MLPEncoder`.

    Shape: (..., features) -> (..., *event).
    """

    def __init__(self, features: int, hidden: Sequence[int], event: Sequence[int]) -> None:
        super().__init__()
        self.event = tuple(event)
        self.layers = perceptron([features, *hidden, math.prod(self.event)])

    def forward(self, z: Tensor) -> Tensor:
        """Return the decoded array."""
        return self.layers(z).unflatten(-1, self.event)


class ConvEncoder(nn.Module):
    """Convolutional encoder for pictures of any size: 3x3 convolutions of stride 2, then Linear.

    Shape: (..., C, H, W) -> (..., features).
    """

    def __init__(self, event: Sequence[int], hidden: Sequence[int], features: int) -> None:
        super().__init__()
        channels, *size = event
        self.sizes, widths = pyramid(size), [channels, *conv_widths(size, hidden)]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in itertools.pairwise(widths)
        )
        self.head = nn.Linear(widths[-1] * math.prod(self.sizes[-1]), features)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of x."""
        lead = x.shape[:-3]
        x = x.reshape(-1, *x.shape[-3:])
        for convolution in self.convolutions:
            x = torch.relu(convolution(x))
        return self.head(x.flatten(1)).unflatten(0, lead)


class ConvDecoder(nn.Module):
    """Convolutional decoder for pictures of any size: nearest enlargement to each exact size, 3x3 convolutions.

    Shape: (..., features) -> (..., C, H, W).
    """

    def __init__(self, features: int, hidden: Sequence[int], event: Sequence[int]) -> None:
        super().__init__()
        channels, *size = event
        sizes = pyramid(size)
        self.sizes = sizes[::-1]
        widths = conv_widths(size, hidden)[::-1] or [hidden[0]]
        self.base = (widths[0], *self.sizes[0])
        self.head = nn.Linear(features, math.prod(self.base))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1)
            for a, b, _ in zip(widths, [*widths[1:], widths[-1]], self.sizes[1:])
        )
        self.out = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Return the decoded pictures."""
        lead = z.shape[:-1]
        x = torch.relu(self.head(z.reshape(-1, z.shape[-1]))).unflatten(1, self.base)
        for convolution, size in zip(self.convolutions, self.sizes[1:]):
            x = torch.relu(convolution(nn.functional.interpolate(x, size=size, mode="nearest")))
        return self.out(x).unflatten(0, lead)


def perceptron(widths: Sequence[int]) -> nn.Sequential:
    """Return Linear layers of the given widths with ReLU between them."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def pyramid(size: Sequence[int]) -> list[tuple[int, int]]:
    """Return the sizes of a picture under halving (rounded up), from the picture to the smallest."""
    sizes = [(size[0], size[1])]
    while max(sizes[-1]) > SMALLEST_SIDE:
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes


def conv_widths(size: Sequence[int], hidden: Sequence[int]) -> list[int]:
    """Return the channels after each halving: `hidden` in order, its last entry repeated."""
    return [hidden[min(level, len(hidden) - 1)] for level in range(len(pyramid(size)) - 1)]
