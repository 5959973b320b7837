# mypy: allow-untyped-defs
"""Formulas for many numbers at once, written as if for one.

LLVM turns a loop into vector code one register wide; a long chain of dependent operations then leaves the units of
the CPU idle most of the time. A `Lanes` is a vector several registers wide: every operation on it becomes independent
instructions, side by side. The width is fixed in the source, so the numbers are the same on every CPU; one without
vector units takes the lanes one by one.

    @inline(types.none, types.uintp, types.uintp)
    def square(builder, source, target):
        x = load(builder, source, FLOAT, 32)
        store(x * x, target)
"""

import inspect
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

FLOAT, DOUBLE, INT, WIDE = ir.FloatType(), ir.DoubleType(), ir.IntType(32), ir.IntType(64)
UNALIGNED = 4  # bytes


def inline(result, *arguments) -> Any:
    """Turn `body(builder, *values)`, which writes LLVM and returns a value or None, into a function for kernels."""

    def make(body):
        def function(typing, *_):
            def build(context, builder, signature, values):
                value = body(builder, *values)
                return context.get_dummy_value() if value is None else value

            return result(*arguments), build

        names = ["typing", *(f"value{k}" for k in range(len(arguments)))]
        parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
        function.__signature__ = inspect.Signature(parameters)  # Numba reads it; * would be one tuple
        return intrinsic(function)

    return make


class Lanes:
    """A vector of numbers of one type under elementwise arithmetic; a Python number stands for all lanes."""

    def __init__(self, builder, value) -> None:
        self.builder, self.value = builder, value
        self.kind, self.count = value.type.element, value.type.count

    def _all(self, x):
        return x.value if isinstance(x, Lanes) else ir.Constant(self.value.type, [x] * self.count)

    def _do(self, name, *others):
        real = self.kind in (FLOAT, DOUBLE) and name in ("add", "sub", "mul", "div", "neg")
        method = getattr(self.builder, "f" + name if real else name)
        return Lanes(self.builder, method(self.value, *(self._all(x) for x in others)))

    def __add__(self, other):
        return self._do("add", other)

    def __sub__(self, other):
        return self._do("sub", other)

    def __mul__(self, other):
        return self._do("mul", other)

    def __truediv__(self, other):
        return self._do("div", other)

    def __neg__(self):
        return self._do("neg")

    def __and__(self, other):
        return self._do("and_", other)

    def __or__(self, other):
        return self._do("or_", other)

    def __xor__(self, other):
        return self._do("xor", other)

    def __lshift__(self, other):
        return self._do("shl", other)

    def __rshift__(self, other):
        return self._do("lshr", other)

    def fma(self, factor, summand):
        """Return self * factor + summand, rounded once."""
        vector = self.value.type
        name = f"llvm.fma.v{self.count}f{32 if self.kind == FLOAT else 64}"
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(vector, [vector] * 3), name
        )
        return Lanes(
            self.builder, self.builder.call(function, [self.value, self._all(factor), self._all(summand)])
        )

    def polynomial(self, coefficients):
        """Return sum_k c_k self^k by Horner's rule with fused steps."""
        value = Lanes(self.builder, self._all(coefficients[-1]))
        for c in reversed(coefficients[:-1]):
            value = value.fma(self, c)
        return value

    def to(self, kind):
        """Return signed 32-bit integers, or numbers, as numbers of another type, rounded."""
        vector, b = ir.VectorType(kind, self.count), self.builder
        if self.kind == INT:
            return Lanes(b, b.sitofp(self.value, vector))
        return Lanes(b, b.fptrunc(self.value, vector) if kind == FLOAT else b.fpext(self.value, vector))

    def as_type(self, kind):
        """Return the same bits read as another type; lanes split or join where the sizes differ."""
        size = {FLOAT: 32, INT: 32, DOUBLE: 64, WIDE: 64}
        count = self.count * size[self.kind] // size[kind]
        return Lanes(self.builder, self.builder.bitcast(self.value, ir.VectorType(kind, count)))

    def widened(self):
        """Return unsigned 32-bit integers as 64-bit ones."""
        return Lanes(self.builder, self.builder.zext(self.value, ir.VectorType(WIDE, self.count)))

    def interleaved(self, other):
        """Return self[0], other[0], self[1], other[1], ..."""
        order = [k for i in range(self.count) for k in (i, self.count + i)]
        mask = ir.Constant(ir.VectorType(INT, 2 * self.count), order)
        return Lanes(self.builder, self.builder.shuffle_vector(self.value, other.value, mask))

    def limited(self, low, high):
        """Return self moved into [low, high]; NaN stays."""
        b = self.builder
        value = b.select(b.fcmp_ordered("<", self.value, self._all(low)), self._all(low), self.value)
        return Lanes(b, b.select(b.fcmp_ordered(">", value, self._all(high)), self._all(high), value))

    def spread(self):
        """Return integers as 0 where they are positive or 0 and -1 where they are negative."""
        size = 31 if self.kind == INT else 63
        return self._do("ashr", size)

    def signs(self):
        """Return an integer whose bit i is the sign bit of lane i."""
        whole = self.as_type(INT)
        negative = self.builder.icmp_signed("<", whole.value, whole._all(0))
        return self.builder.bitcast(negative, ir.IntType(self.count))


@intrinsic
def _trailing_zeros(typing, bits):
    """Return the number of the lowest bit that is set in a uint32 other than 0."""

    def build(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.uint32(types.uint32), build


trailing_zeros: Any = _trailing_zeros


def load(builder, address, kind, count):
    """Return `count` numbers of a type from an address (an integer)."""
    pointer = builder.inttoptr(address, ir.VectorType(kind, count).as_pointer())
    return Lanes(builder, builder.load(pointer, align=UNALIGNED))


def store(lanes, address) -> None:
    """Write lanes to an address (an integer)."""
    builder = lanes.builder
    builder.store(lanes.value, builder.inttoptr(address, lanes.value.type.as_pointer()), align=UNALIGNED)


def same(builder, value, count):
    """Return lanes that all hold a scalar value."""
    nothing = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    one = builder.insert_element(nothing, value, INT(0))
    zeros = ir.Constant(ir.VectorType(INT, count), [0] * count)
    return Lanes(builder, builder.shuffle_vector(one, nothing, zeros))


def numbered(builder, first, count):
    """Return first, first + 1, ..."""
    return same(builder, first, count) + Lanes(
        builder, ir.Constant(ir.VectorType(first.type, count), list(range(count)))
    )
