"""Families without what torch's constructors build beside the parameters: it is built when somebody asks for it.

For its own draws torch keeps a base law and transforms, or gamma laws, of the size of the parameters. Ours draws by
`push`; building them took as long as the draw itself.
"""

from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from reparam.distributions.explicit import Univariate


class Lean(Univariate):
    """Mix in before torch's class of the family, whose constructor builds its attributes `late` at their first use."""

    late: ClassVar[tuple[str, ...]] = ()

    def settle(self, batch_shape: torch.Size, validate_args: bool | None) -> None:
        """Finish the constructor: parameters are in place."""
        torch.distributions.Distribution.__init__(self, batch_shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """Return the distribution with a larger batch shape."""
        ours = next(c for c in type(self).__mro__ if c.__module__.startswith("reparam."))
        new = self._get_checked_instance(ours, _instance)  # raises for a subclass with another constructor
        for name, value in self.parameters().items():
            setattr(new, name, value.expand(batch_shape))
        Lean.settle(new, torch.Size(batch_shape), False)
        new._validate_args = self._validate_args
        return new  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        if name not in type(self).late:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        torch_class: Any = next(c for c in type(self).__mro__ if c.__module__.startswith("torch."))
        built = torch_class(**self.parameters(), validate_args=False)
        for part in self.late:
            self.__dict__[part] = getattr(built, part)
        return self.__dict__[name]


def stored(name: str) -> Any:
    """Return a property that is an attribute, where torch's class has one that it computes."""
    place = f"_{name}"

    def read(self: Any) -> Tensor:
        return self.__dict__[place]  # type: ignore[no-any-return]

    def write(self: Any, value: Tensor) -> None:
        self.__dict__[place] = value

    return property(read, write)
