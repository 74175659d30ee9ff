import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.restoration.ridge import Ridge, restore_latents

KEYS = jax.random.split(jax.random.key(0), 4)
REFERENCE, ARTIFACT = (jax.random.normal(k, (6, 2, 4, 5, 3)) for k in KEYS[:2])


def test_a_linear_residual_is_found_exactly():
    mix = jax.random.normal(KEYS[2], (12, 6)) / 4
    stacked = jnp.concatenate([REFERENCE, ARTIFACT], axis=1)
    flat = stacked.transpose(0, 2, 3, 1, 4).reshape(-1, 12)
    residual = (flat @ mix + 0.3).reshape(6, 4, 5, 2, 3).transpose(0, 3, 1, 2, 4)
    clean = ARTIFACT + residual
    ridge = Ridge(penalty=1e-6)
    for part in (slice(0, 2), slice(2, 6)):
        ridge.add(REFERENCE[part], ARTIFACT[part], clean[part])
    found = restore_latents(ridge.solve(), REFERENCE, ARTIFACT)
    np.testing.assert_allclose(found, clean, atol=1e-4)


def test_a_heavy_penalty_leaves_the_artifact_alone():
    ridge = Ridge(penalty=1e12)
    ridge.add(REFERENCE, ARTIFACT, ARTIFACT + 1)
    found = restore_latents(ridge.solve(), REFERENCE, ARTIFACT)
    np.testing.assert_allclose(found, ARTIFACT, atol=1e-5)
