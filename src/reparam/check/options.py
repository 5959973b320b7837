"""What a check is asked for."""

from dataclasses import dataclass, replace

MISS = 1e-3  # least level of the upper bound behind "unbiased"


@dataclass(frozen=True)
class Options:
    """The options of a check.

    Attributes:
        who: the public function that was called, for its errors.
        tolerance: the largest relative bias that still counts as "unbiased", > 0.
        scale: the least norm that a bias is measured against, > 0; None: 1e-3 of the spread of the value.
        false_alarm: the probability of the verdict "biased" on a right gradient, in (0, 1).
        max_seconds: time after which the verdict is "inconclusive", > 0.
        max_draws: the same for gradient draws, >= 1; None: no limit.
    """

    who: str
    tolerance: float
    scale: float | None
    false_alarm: float
    max_seconds: float
    max_draws: int | None

    def __post_init__(self) -> None:
        who, draws = self.who, self.max_draws
        if not self.tolerance > 0:
            raise ValueError(f"{who}: tolerance must be > 0; got {self.tolerance!r}; 0.01 is one per cent")
        if self.scale is not None and not self.scale > 0:
            raise ValueError(
                f"{who}: scale must be > 0 or None; got {self.scale!r}; None takes it from the value"
            )
        if not 0 < self.false_alarm < 1:
            raise ValueError(f"{who}: false_alarm must be in (0, 1); got {self.false_alarm!r}; 1e-6 is usual")
        if not self.max_seconds > 0:
            raise ValueError(f"{who}: max_seconds must be > 0; got {self.max_seconds!r}; 60 is usual")
        if draws is not None and (isinstance(draws, bool) or not isinstance(draws, int) or draws < 1):
            raise ValueError(f"{who}: max_draws must be an int >= 1 or None; got {draws!r}; None is no limit")

    @property
    def miss(self) -> float:
        """Return the level of the upper bounds."""
        return max(self.false_alarm, MISS)

    def shared_by(self, n: int) -> "Options":
        """Return the options of each of n checks that share the false alarm and the time."""
        return replace(self, false_alarm=self.false_alarm / n, max_seconds=self.max_seconds / n)
