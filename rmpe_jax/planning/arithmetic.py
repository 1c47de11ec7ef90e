"""How much arithmetic a program asks for: convolutions and matrix products, counted on its jaxpr.

A compiler's own figure counts the body of a loop once, however often it runs.
"""

import math
from collections.abc import Iterator
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn


def flops(program: ClosedJaxpr | Jaxpr) -> int:
    """Return the FLOPs of one run, on all devices together; a multiply-add counts as two.

    A loop of unknown length counts once, and of a choice the dearer way.
    """
    jaxpr = program.jaxpr if isinstance(program, ClosedJaxpr) else program
    return sum(map(_flops_of, jaxpr.eqns))


def _flops_of(equation: JaxprEqn) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "conv_general_dilated":
        return _convolution(equation)
    if name == "dot_general":
        left = _shape(equation.invars[0])
        (contracted, _), _ = params["dimension_numbers"]
        summed = math.prod(left[axis] for axis in contracted)
        return 2 * summed * math.prod(_shape(equation.outvars[0]))
    inside = [flops(program) for program in _programs(params.values())]
    if name == "cond":
        return max(inside)
    times = {"scan": params.get("length")}.get(name) or 1
    if name == "shard_map":
        times = params["mesh"].size
    return times * sum(inside)


def _convolution(equation: JaxprEqn) -> int:
    """Return the FLOPs of a convolution; products with the zeros between dilated rows are none."""
    params = equation.params
    kernel = _shape(equation.invars[1])
    features, *spatial = (kernel[axis] for axis in params["dimension_numbers"].rhs_spec[1:])
    summed = features * math.prod(spatial)
    outputs = math.prod(_shape(equation.outvars[0]))
    return 2 * outputs * summed // math.prod(params["lhs_dilation"])


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _programs(values: Any) -> Iterator[ClosedJaxpr | Jaxpr]:
    """Yield the programs inside an equation's parameters."""
    for value in values:
        if isinstance(value, ClosedJaxpr | Jaxpr):
            yield value
        elif isinstance(value, tuple | list):
            yield from _programs(value)
