import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from aw_jax.core.arrays import as_numpy
from aw_jax.splat.gaussians import Splat


@pytest.fixture
def draw_splat():
    """Gaussians all over, with values that every file format holds."""

    def call(count=40, degree=3, seed=0):
        draw = np.random.default_rng(seed)
        given = {
            "means": draw.normal(0, 2, (count, 3)),
            "log_scales": draw.normal(-3, 1, (count, 3)),
            "quats": draw.normal(0, 1, (count, 4)),
            "logit_opacities": draw.normal(0, 1.5, count),
            "sh": draw.uniform(-0.9, 0.9, (count, (degree + 1) ** 2, 3)),
        }
        return Splat(**{k: jnp.asarray(v, jnp.float32) for k, v in given.items()})

    return call


@pytest.fixture
def errors():
    """The largest error of each parameter between two splats, as a file sees it."""

    def turned(splat):
        quats = splat.quats.astype(np.float64)
        return quats / np.linalg.norm(quats, axis=1, keepdims=True)

    def call(a, b):
        a, b = as_numpy(a), as_numpy(b)
        far = lambda x, y: np.abs(x - y).max(initial=0)
        opacity = lambda splat: special.expit(splat.logit_opacities)
        sign = np.sign(np.sum(turned(a) * turned(b), axis=1, keepdims=True))
        return {
            "position": far(a.means, b.means),
            "size": far(a.log_scales, b.log_scales),
            "rotation": far(turned(a), sign * turned(b)),
            "opacity": far(opacity(a), opacity(b)),
            "color": far(a.sh[:, 0], b.sh[:, 0]),
            "first": far(a.sh[:, 1:4], b.sh[:, 1:4]),
            "higher": far(a.sh[:, 4:], b.sh[:, 4:]),
        }

    return call
