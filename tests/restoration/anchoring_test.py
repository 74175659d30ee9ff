import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.restoration import anchoring

KEYS = jax.random.split(jax.random.key(0), 3)
ARTIFACT = jax.random.uniform(KEYS[0], (2, 25, 4, 6, 3))
FIRST = jax.random.uniform(KEYS[1], (2, 4, 6, 3))
LAST = jax.random.uniform(KEYS[2], (2, 4, 6, 3))


def test_reference_follows_equation_1_frame_by_frame():
    video = anchoring.reference_video(ARTIFACT, FIRST, LAST, trailing=8)
    for i in range(25):
        expected = FIRST if i == 0 else LAST if i >= 25 - 8 else ARTIFACT[:, i]
        np.testing.assert_array_equal(video[:, i], expected)


def test_anchored_frames_are_the_first_and_the_last_eight():
    flags = anchoring.anchored_frames(25, 8)
    assert [i for i in range(25) if flags[i]] == [0, *range(17, 25)]


def chunk_means(video):
    """A causal stand-in: frame 0 alone, then means of chunks of eight."""
    chunks = video[:, 1:].reshape(video.shape[0], -1, 8, *video.shape[2:])
    return jnp.concatenate([video[:, :1], chunks.mean(axis=2)], axis=1)


def test_pixel_space_encodes_once_and_the_whole_reference():
    calls = []

    def encode(video):
        calls.append(video.shape[1])
        return chunk_means(video)

    config = anchoring.AnchoringConfig()
    latents = anchoring.reference_latents(encode, ARTIFACT, FIRST, LAST, config)
    assert calls == [25]
    np.testing.assert_allclose(latents[:, 0], FIRST, rtol=1e-6)
    np.testing.assert_allclose(latents[:, -1], LAST, rtol=1e-5)
    np.testing.assert_allclose(latents[:, 1], ARTIFACT[:, 1:9].mean(axis=1), rtol=1e-5)


def test_latent_space_splices_separate_encodings():
    config = anchoring.AnchoringConfig(space="latent")
    latents = anchoring.reference_latents(chunk_means, ARTIFACT, FIRST, LAST, config)
    np.testing.assert_allclose(latents[:, 0], FIRST, rtol=1e-6)
    np.testing.assert_allclose(latents[:, -1], LAST, rtol=1e-5)
    np.testing.assert_array_equal(latents[:, 1:3], chunk_means(ARTIFACT)[:, 1:3])


def test_no_trailing_frames_is_refused():
    with pytest.raises(ValueError, match="trailing"):
        anchoring.AnchoringConfig(trailing=0)
