"""Array types and the one axis vocabulary of the project.

    b batch      v views     f h w  frames, rows, columns    c channels
    n tokens of one stream   m tokens of a whole sequence    s segments of it
    d width      k heads     e width of a head               l text tokens
    g gaussians  p points    u spherical-harmonic coefficients

`*b` stands for any batch. Axes are indexed from the right. Checked in tests only, by
`--jaxtyping-packages=aw_jax,beartype.beartype`.
"""

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, UInt8

__all__ = [
    "Array",
    "Bool",
    "Float",
    "Int",
    "Key",
    "PyTree",
    "UInt8",
    "as_numpy",
]


def as_numpy(tree: PyTree) -> PyTree:
    """The same tree with every array fetched to the host as numpy."""
    return jax.tree.map(np.asarray, tree)
