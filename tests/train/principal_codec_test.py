import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.nn.initialize import initialized
from aw_jax.train.principal_codec import CODES, PRINCIPAL, principal_codec


@pytest.fixture(scope="module")
def videos():
    """Smooth moving waves: 2 batches of 3 videos, far fewer dimensions than codes."""
    y, x = np.mgrid[0:16, 0:24] / 16
    t = np.arange(17)[:, None, None] / 17
    rng = np.random.default_rng(0)

    def video():
        phase, speed = rng.uniform(0, 6, 3), rng.uniform(-1, 1, 3)
        waves = [
            np.sin(2 * x + y + p + s * t) for p, s in zip(phase, speed, strict=True)
        ]
        return 0.5 + 0.4 * np.stack(waves, axis=-1)

    return np.stack([video() for _ in range(6)]).reshape(2, 3, 17, 16, 24, 3)


@pytest.fixture(scope="module")
def vae(videos):
    fresh = initialized(lambda: VideoVAE(PRINCIPAL, rngs=nnx.Rngs(0)))
    return principal_codec(fresh, list(videos))


def test_what_the_components_span_comes_back(vae, videos):
    found = jax.jit(lambda v, x: v.decode(v.encode(x)))(vae, jnp.asarray(videos[0]))
    error = np.mean(np.square(np.asarray(found) - videos[0]))
    assert -10 * np.log10(error) > 38  # silu's second order, at 1 part in 100


def test_latents_are_the_codes_of_two_groups_of_four_frames(vae, videos):
    """Interleaved: even channels tell of the first four frames, odd of the last."""
    encode = jax.jit(lambda v, x: v.moments(x)[0])
    video = jnp.asarray(videos[0])
    base = encode(vae, video)
    changed = encode(vae, video.at[:, 5:9].add(0.1))
    moved = np.abs(np.asarray(changed - base))[:, 1].max(axis=(0, 1, 2))
    assert base.shape[-1] == 2 * CODES
    scale = np.abs(np.asarray(base)).max()
    assert moved[0::2].max() < 1e-3 * scale
    assert moved[1::2].max() > 1e-2 * scale
