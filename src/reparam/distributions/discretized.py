"""The logistic law rounded to a grid: the likelihood of numbers stored on a few bits."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import logsigmoid

from reparam.distributions.base import Distribution
from reparam.distributions.narrow import HALVES, OF_A_POINT
from reparam.noise import NoiseSpec


class _Grid(constraints.Constraint):
    """The numbers low, low + w, .., high, up to one part in 10^4 of w or to the rounding of their dtype."""

    is_discrete = True

    def __init__(self, low: float, high: float, bins: int) -> None:
        self.low, self.width, self.bins = low, (high - low) / (bins - 1), bins
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        """Return whether each number is of the grid."""
        place = (value.double() - self.low) / self.width
        ulp = torch.finfo(value.dtype).eps / self.width if value.dtype in HALVES else 0.0
        near = (place - place.round()).abs() < (value.double().abs() * ulp).clamp(1e-4, 0.49)
        return near & (place.round() >= 0) & (place.round() < self.bins)

    def nearest(self, value: Tensor) -> Tensor:
        """Return the float32 number of the grid that a half-precision one stands for; others as they are."""
        if value.dtype not in HALVES:
            return value
        place = ((value.double() - self.low) / self.width).round()
        return (self.low + self.width * place).float()


class DiscretizedLogistic(Distribution):
    """Logistic law rounded to the nearest of `bins` equally spaced numbers from low to high; the ends take the tails.

        w = (high - low)/(bins - 1),   a = (x - w/2 - loc)/scale,   b = (x + w/2 - loc)/scale
        log P(x)    = log(sigmoid(b) - sigmoid(a)) = log sigmoid(b) + log sigmoid(-a) + log(1 - e^(-w/scale))
        log P(low)  = log sigmoid(b),   log P(high) = log sigmoid(-a)

    The product form keeps its digits and its gradients however far x lies from loc.

    Args:
        loc: real.
        scale: of the logistic law, > 0, in the unit of x (its standard deviation is 1.81 scale).
        low, high: the smallest and the largest number, low < high.
        bins: how many numbers, >= 2; 8-bit pictures have low = 0, high = 255, bins = 256.

    Shape: loc and scale broadcast to the batch shape; scalar events.

    Gradient: rule "none" for draws. `log_prob` is differentiable in loc and scale everywhere, second order too.

    Raises:
        ValueError: for a grid that is none.

    Source: salimans2017.

    Example:
        >>> q = DiscretizedLogistic(torch.tensor(0.0), torch.tensor(1.0), 0.0, 255.0, 256)
        >>> q.log_prob(torch.tensor(255.0))
        tensor(-254.5000)
    """

    rule = "none"
    base_law = "logistic"
    has_enumerate_support = True
    arg_constraints: ClassVar[dict] = {"loc": constraints.real, "scale": constraints.positive}

    def __init__(
        self,
        loc: Tensor | float,
        scale: Tensor | float,
        low: float,
        high: float,
        bins: int,
        validate_args: bool | None = None,
    ) -> None:
        if isinstance(bins, bool) or not isinstance(bins, int) or bins < 2:
            raise ValueError(f"DiscretizedLogistic: bins must be an int of 2 or more; got {bins!r}")
        if not low < high:
            raise ValueError(f"DiscretizedLogistic: low must be below high; got {low} and {high}; swap them")
        self.loc, self.scale = torch.distributions.utils.broadcast_all(loc, scale)
        self.low, self.high, self.bins = float(low), float(high), bins
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def support(self) -> Any:
        """The grid."""
        return _Grid(self.low, self.high, self.bins)

    @property
    def width(self) -> float:
        """The distance w of two neighbours."""
        return (self.high - self.low) / (self.bins - 1)

    def _point(self, value: Any, method: str) -> Any:
        return self.support.nearest(value) if method in OF_A_POINT else super()._point(value, method)

    def noise_spec(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> NoiseSpec:
        """Return logistic noise, one number per draw."""
        shape = tuple(self._extended_shape(torch.Size(sample_shape)))
        return NoiseSpec("logistic", shape, len(sample_shape), self.loc.dtype, self.loc.device)

    def push(self, eps: Tensor) -> Tensor:
        """Return the number of the grid that is nearest to loc + scale eps."""
        place = torch.round((self.loc + self.scale * eps - self.low) / self.width)
        return (self.low + self.width * place.clamp(0, self.bins - 1)).to(eps.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log P(x) in nats."""
        if self._validate_args:
            self._validate_sample(value)
        w = self.width
        below = logsigmoid((value + w / 2 - self.loc) / self.scale)
        above = logsigmoid(-(value - w / 2 - self.loc) / self.scale)
        inside = below + above + torch.log(-torch.expm1(-w / self.scale))
        first, last = value < self.low + w / 2, value > self.high - w / 2
        return torch.where(first, below, torch.where(last, above, inside))

    def cdf(self, value: Tensor) -> Tensor:
        """Return P(x <= value)."""
        place = torch.floor((value - self.low) / self.width + 1e-4)
        edge = self.low + self.width * (place + 0.5)
        inside = torch.sigmoid((edge - self.loc) / self.scale)
        return torch.where(place < 0, 0.0, torch.where(place >= self.bins - 1, 1.0, inside))

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return the grid, of shape (bins, *B), or (bins, 1, ..) without `expand`."""
        steps = torch.arange(self.bins, dtype=self.loc.dtype, device=self.loc.device)
        grid = (self.low + self.width * steps).reshape(-1, *(1,) * len(self.batch_shape))
        return grid.expand(-1, *self.batch_shape) if expand else grid

    @property
    def mean(self) -> Tensor:
        """The sum of x P(x) over the grid."""
        x = self.enumerate_support(expand=False)
        return (x * torch.exp(self.log_prob(x))).sum(0)

    @property
    def variance(self) -> Tensor:
        """The sum of (x - mean)^2 P(x) over the grid."""
        x = self.enumerate_support(expand=False)
        return ((x - self.mean) ** 2 * torch.exp(self.log_prob(x))).sum(0)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "DiscretizedLogistic":
        """Return the distribution with a larger batch shape."""
        loc, scale = self.loc.expand(batch_shape), self.scale.expand(batch_shape)
        grown = DiscretizedLogistic(loc, scale, self.low, self.high, self.bins, validate_args=False)
        grown._validate_args = self._validate_args
        return grown


class DiscretizedLogisticMixture(Distribution):
    """Mixture of K logistic laws rounded to a grid of `bins` numbers: the likelihood of 8-bit pictures.

        P(x) = sum_k pi_k P_k(x),  P_k as in DiscretizedLogistic,  pi = softmax(logits)
        x = the smallest number of the grid with F(x) >= u,  u = sigmoid(eps), eps ~ Logistic(0, 1)

    Args:
        logits: weights of the components, real (*B, K).
        loc: real (*B, K).
        scale: > 0 (*B, K), in the unit of x.
        low, high: the smallest and the largest number, low < high.
        bins: how many numbers, >= 2; 8-bit pictures have low = 0, high = 255, bins = 256.

    Shape: logits, loc and scale broadcast to (*B, K); batch (*B); scalar events; one noise number per draw.

    Gradient: rule "none" for draws. `log_prob` is differentiable in logits, loc and scale everywhere, second order
    too, and keeps its digits however far x lies from every component.

    Raises:
        ValueError: for a grid that is none, or parameters without an axis of components.

    Source: salimans2017.

    Example:
        >>> q = DiscretizedLogisticMixture(torch.zeros(2), torch.tensor([9.0, 200.0]), torch.ones(2), 0.0, 255.0, 256)
        >>> q.log_prob(torch.tensor(100.0)) > -100
        tensor(True)
    """

    rule = "none"
    base_law = "logistic"
    has_enumerate_support = True
    arg_constraints: ClassVar[dict] = {
        "logits": constraints.real_vector,
        "loc": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
    }

    def __init__(
        self,
        logits: Tensor,
        loc: Tensor,
        scale: Tensor,
        low: float,
        high: float,
        bins: int,
        validate_args: bool | None = None,
    ) -> None:
        logits, loc, scale = torch.distributions.utils.broadcast_all(logits, loc, scale)
        if not logits.ndim:
            raise ValueError(
                "DiscretizedLogisticMixture: logits must have an axis of components, the last one; got a scalar; "
                "use DiscretizedLogistic for a single one"
            )
        self.logits, self.loc, self.scale = logits, loc, scale
        self.part = DiscretizedLogistic(loc, scale, low, high, bins, validate_args=False)
        super().__init__(logits.shape[:-1], validate_args=validate_args)

    @property
    def support(self) -> Any:
        """The grid."""
        return self.part.support

    def _point(self, value: Any, method: str) -> Any:
        return self.support.nearest(value) if method in OF_A_POINT else super()._point(value, method)

    def noise_spec(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> NoiseSpec:
        """Return logistic noise, one number per draw."""
        shape = tuple(self._extended_shape(torch.Size(sample_shape)))
        return NoiseSpec("logistic", shape, len(sample_shape), self.loc.dtype, self.loc.device)

    def push(self, eps: Tensor) -> Tensor:
        """Return the quantile at sigmoid(eps), by bisection of the grid in the nearer tail."""
        low = torch.zeros(torch.broadcast_shapes(eps.shape, self.batch_shape), dtype=torch.int64)
        low = low.to(eps.device)
        high = torch.full_like(low, self.part.bins - 1)
        log_u = torch.nn.functional.logsigmoid(-eps.double().abs())
        for _ in range((self.part.bins - 1).bit_length()):
            middle = (low + high) // 2
            cdf, survival = self._log_tails(middle)
            above = torch.where(eps < 0, cdf >= log_u, survival <= log_u)
            low, high = torch.where(above, low, middle + 1), torch.where(above, middle, high)
            low = torch.minimum(low, high)
        return (self.part.low + self.part.width * high).to(eps.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log P(x) in nats."""
        if self._validate_args:
            self._validate_sample(value)
        log_pi = torch.log_softmax(self.logits, -1)
        return torch.logsumexp(log_pi + self.part.log_prob(value.unsqueeze(-1)), -1)

    def cdf(self, value: Tensor) -> Tensor:
        """Return P(x <= value)."""
        return (torch.softmax(self.logits, -1) * self.part.cdf(value.unsqueeze(-1))).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return the grid, of shape (bins, *B), or (bins, 1, ..) without `expand`."""
        grid = self.part.enumerate_support(expand=False).reshape(-1, *(1,) * len(self.batch_shape))
        return grid.expand(-1, *self.batch_shape) if expand else grid

    @property
    def mean(self) -> Tensor:
        """The mean of the components' means."""
        return (torch.softmax(self.logits, -1) * self.part.mean).sum(-1)

    @property
    def variance(self) -> Tensor:
        """The components' variances and the spread of their means."""
        inner = self.part.variance + (self.part.mean - self.mean.unsqueeze(-1)) ** 2
        return (torch.softmax(self.logits, -1) * inner).sum(-1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "DiscretizedLogisticMixture":
        """Return the distribution with a larger batch shape."""
        shape = (*batch_shape, self.logits.shape[-1])
        grown = DiscretizedLogisticMixture(
            self.logits.expand(shape),
            self.loc.expand(shape),
            self.scale.expand(shape),
            self.part.low,
            self.part.high,
            self.part.bins,
            validate_args=False,
        )
        grown._validate_args = self._validate_args
        return grown

    def _log_tails(self, place: Tensor) -> tuple[Tensor, Tensor]:
        """Return log F and log S at the numbers of the grid with these indices."""
        edge = (self.part.low + self.part.width * (place.double() + 0.5)).unsqueeze(-1)
        t = (edge - self.loc.double()) / self.scale.double()
        log_pi = torch.log_softmax(self.logits.double(), -1)
        last = place >= self.part.bins - 1
        cdf = torch.logsumexp(log_pi + logsigmoid(t), -1)
        survival = torch.logsumexp(log_pi + logsigmoid(-t), -1)
        return torch.where(last, 0.0, cdf), torch.where(last, -torch.inf, survival)
