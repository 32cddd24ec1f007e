"""Vectors of eight numbers as LLVM instructions, which `tiles` and `winograd_transforms` are built from.

If numba compiles such loops from Python, it keeps their sums in memory. Here the sums stay in registers from the first
iteration to the last.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

WIDE = 8
"""Numbers in a vector. On a processor without such vectors the compiler uses several instructions for one."""

INDEX, NUMBER = ir.IntType(64), ir.FloatType()
VECTOR = ir.VectorType(NUMBER, WIDE)


class Loop:
    """A loop in the generated code: it runs `count` times, at least once.

    at: pointers with a start and a step; sums: vectors that pass from one iteration to the next. The instructions that are
    built between the constructor and `end` are its body.
    """

    def __init__(self, builder, count, moving, sums=()):
        self._builder, self._count = builder, count
        before, self._begin = builder.block, builder.append_basic_block("turn")
        builder.branch(self._begin)
        builder.position_at_end(self._begin)
        self._all = []
        for value in [INDEX(0), *(pointer for pointer, _ in moving), *sums]:
            variable = builder.phi(value.type)
            variable.add_incoming(value, before)
            self._all.append(variable)
        self._turn, self.at, self.sums = self._all[0], self._all[1 : 1 + len(moving)], self._all[1 + len(moving) :]
        self._steps = [step for _, step in moving]
        self.results = []

    def end(self, sums=()):
        """Close the body; `sums` are the new values of the sums."""
        builder = self._builder
        turn = builder.add(self._turn, INDEX(1))
        moved = [builder.gep(pointer, [step]) for pointer, step in zip(self.at, self._steps, strict=True)]
        for variable, value in zip(self._all, [turn, *moved, *sums], strict=True):
            variable.add_incoming(value, builder.block)
        after = builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", turn, self._count), self._begin, after)
        builder.position_at_end(after)
        self.results = list(sums)


class Value:
    """A vector that can be added, subtracted and multiplied by a number, so that formulas can be written as such."""

    def __init__(self, builder, vector):
        self._builder, self.vector = builder, vector

    def __add__(self, other):
        return Value(self._builder, self._builder.fadd(self.vector, other.vector, flags=("contract",)))

    def __sub__(self, other):
        return Value(self._builder, self._builder.fsub(self.vector, other.vector, flags=("contract",)))

    def __rmul__(self, number):
        factor = ir.Constant(VECTOR, [float(number)] * WIDE)
        return Value(self._builder, self._builder.fmul(self.vector, factor, flags=("contract",)))


def outer_product(builder, wide, high, high_step, vectors, sums):
    """The sums with an outer product added.

    wide: pointer to 8 `vectors` adjacent numbers; high: pointer to the first of several numbers with a distance of
    `high_step`.
    """
    columns = [load(builder, builder.gep(wide, [INDEX(v * WIDE)])) for v in range(vectors)]
    out = []
    for row in range(len(sums) // vectors):
        factor = repeated(builder, builder.load(builder.gep(high, [builder.mul(INDEX(row), high_step)])))
        out += [multiply_add(builder, columns[v], factor, sums[row * vectors + v]) for v in range(vectors)]
    return out


def multiply_add(builder, a, b, c):
    """a * b + c, rounded once."""
    function = ir.FunctionType(VECTOR, [VECTOR] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, function, f"llvm.fma.v{WIDE}f32"), [a, b, c])


def repeated(builder, number):
    """A vector of one number."""
    nothing, lanes = ir.Constant(VECTOR, ir.Undefined), ir.VectorType(ir.IntType(32), WIDE)
    first = builder.insert_element(nothing, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(lanes, [0] * WIDE))


def load(builder, pointer):
    vector = builder.load(builder.bitcast(pointer, VECTOR.as_pointer()))
    vector.align = 4
    return vector


def store(builder, vector, pointer):
    builder.store(vector, builder.bitcast(pointer, VECTOR.as_pointer())).align = 4
