"""Fresh modules, built as one program that is compiled without optimisation.

An initialisation runs once, and XLA takes minutes to optimise the drawing of a hundred
kernels of different shapes: eight times as long as it takes to compile it plainly.
"""

from collections.abc import Callable
from typing import TypeVar

import jax

T = TypeVar("T")

_PLAIN = {"xla_backend_optimization_level": 0}


def initialized(build: Callable[[], T]) -> T:
    """What `build` returns; it takes no arguments and draws from keys of its own."""
    return jax.jit(build, compiler_options=_PLAIN)()
