"""From a severity to the numbers of an edit."""

from aw_jax.core.arrays import Array, Float


def between(span: tuple[float, float], severity: Float[Array, ""]) -> Float[Array, ""]:
    """The first end of `span` at severity 0, the second at 1."""
    low, high = span
    return low + (high - low) * severity
