import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.core.errors import UserError
from aw_jax.core.pytrees import replace
from aw_jax.restoration import model_files, pipeline
from aw_jax.restoration.anchoring import AnchoringConfig, reference_latents
from aw_jax.restoration.heatmap import CONSTANT
from aw_jax.restoration.method import MethodConfig

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def models():
    method = MethodConfig(steps=2, schedule=CONSTANT)
    return replace(model_files.probe(), method=method)


def clip(frames=25):
    keys = jax.random.split(KEY, 3)
    return pipeline.Clip(
        artifact=jax.random.uniform(keys[0], (frames, 32, 64, 3)),
        first=jax.random.uniform(keys[1], (32, 64, 3)),
        last=jax.random.uniform(keys[2], (32, 64, 3)),
    )


PREDICT = jax.jit(pipeline.predict_heatmap)
RESTORE = jax.jit(pipeline.restore)


def test_heatmap_is_zero_where_views_are_anchored(models):
    heatmap = np.asarray(PREDICT(models, clip(), KEY))
    assert heatmap.shape == (25, 32, 64)
    assert not heatmap[0].any()
    assert not heatmap[17:].any()
    assert heatmap[1:17].any()
    assert heatmap.min() >= 0
    assert heatmap.max() <= 1


def test_restored_frames_depend_on_heatmap_photos_and_seed(models):
    heatmap = jnp.zeros((25, 32, 64)).at[1:17].set(0.5)
    base = RESTORE(models, clip(), heatmap, KEY)
    assert base.shape == (25, 32, 64, 3)
    np.testing.assert_array_equal(base, RESTORE(models, clip(), heatmap, KEY))
    other = replace(clip(), last=clip().first)
    changed = (
        RESTORE(models, clip(), heatmap / 2, KEY),
        RESTORE(models, other, heatmap, KEY),
        RESTORE(models, clip(), heatmap, jax.random.key(1)),
    )
    for found in changed:
        assert float(jnp.abs(found - base).max()) > 1e-6


@pytest.mark.parametrize("space", ["pixel", "latent"])
def test_streams_are_those_of_encoding_each_video_by_itself(space, models):
    anchoring = AnchoringConfig(space=space)
    models = replace(models, method=MethodConfig(anchoring=anchoring))
    artifact, reference = jax.jit(pipeline._encoded)(models, clip())
    views = [view[None] for view in (clip().artifact, clip().first, clip().last)]
    encode = jax.jit(models.vae.encode)
    np.testing.assert_allclose(artifact, encode(views[0]), atol=1e-5)
    wanted = reference_latents(encode, *views, anchoring)
    np.testing.assert_allclose(reference, wanted, atol=1e-5)


def test_the_restorer_never_sees_the_last_renders(models):
    """With noise as source, Eq. 1 hides the last k renders altogether."""
    heatmap = jnp.zeros((25, 32, 64))
    other = replace(clip(), artifact=clip().artifact.at[17:].set(0.3).at[0].set(0.9))
    np.testing.assert_array_equal(
        RESTORE(models, clip(), heatmap, KEY), RESTORE(models, other, heatmap, KEY)
    )


def test_no_velocity_from_the_artifact_with_bypass_changes_nothing(models):
    still = nnx.clone(models.restorer)
    still.proj_out.kernel[...] = jnp.zeros_like(still.proj_out.kernel[...])
    still.proj_out.bias[...] = jnp.zeros_like(still.proj_out.bias[...])
    method = MethodConfig(source="artifact", bypass=True, steps=1)
    plain = replace(models, restorer=still, method=method)
    restored = RESTORE(plain, clip(), jnp.zeros((25, 32, 64)), KEY)
    np.testing.assert_allclose(restored, clip().artifact, atol=1e-5)


def test_short_clips_and_photos_of_another_size_are_refused():
    with pytest.raises(UserError, match="has 8 frames, at least 9"):
        pipeline.check_clip(clip(frames=8))
    with pytest.raises(UserError, match="last view is 32 x 64"):
        pipeline.check_clip(replace(clip(), last=jnp.zeros((64, 32, 3))))
