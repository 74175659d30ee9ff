import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.restoration.ridge import (
    Estimates,
    Ridge,
    estimate,
    load_ridge,
    save_ridge,
)

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
    found = estimate(ridge.solve(), REFERENCE, ARTIFACT)
    np.testing.assert_allclose(found, clean, atol=1e-4)


def test_weights_count_a_clip_as_often_as_they_say():
    clean = ARTIFACT + jax.random.normal(KEYS[3], ARTIFACT.shape)
    weight = jnp.ones((6, 2)).at[2, 1].set(3)
    weighed, repeated = Ridge(), Ridge()
    weighed.add(REFERENCE, ARTIFACT, clean, weight)
    again = jnp.asarray([0, 1, 2, 2, 2, 3, 4, 5])
    repeated.add(*(x[again] for x in (REFERENCE, ARTIFACT, clean)))
    found, thrice = (
        estimate(ridge.solve(), REFERENCE, ARTIFACT) for ridge in (weighed, repeated)
    )
    np.testing.assert_allclose(found[:, 1], thrice[:, 1], atol=1e-4)
    plain = Ridge()
    plain.add(REFERENCE, ARTIFACT, clean)
    once = estimate(plain.solve(), REFERENCE, ARTIFACT)
    np.testing.assert_allclose(found[:, 0], once[:, 0], atol=1e-4)
    assert np.abs(found[:, 1] - once[:, 1]).max() > 1e-2


def test_clips_of_another_length_are_refused():
    weights = jnp.zeros((2 * 4 * 3 + 1, 4 * 3))
    with pytest.raises(UserError, match=r"clips of 4 latent frames of 3 .*got 2"):
        estimate(weights, REFERENCE, ARTIFACT)


def test_files_keep_both_estimates_and_know_their_autoencoder(tmp_path):
    weights = [jax.random.normal(key, (13, 6)) for key in KEYS[2:]]
    path = tmp_path / "ridge.safetensors"
    save_ridge(path, Estimates(clean=weights[0], heatmap=weights[1]), vae="abc")
    found = load_ridge(path, vae="abc")
    np.testing.assert_allclose(found.clean, weights[0], rtol=1e-2)
    np.testing.assert_allclose(found.heatmap, weights[1], rtol=1e-2)
    with pytest.raises(UserError, match="fitted with vae=abc, got other"):
        load_ridge(path, vae="other")


def test_a_heavy_penalty_leaves_the_artifact_alone():
    ridge = Ridge(penalty=1e12)
    ridge.add(REFERENCE, ARTIFACT, ARTIFACT + 1)
    found = estimate(ridge.solve(), REFERENCE, ARTIFACT)
    np.testing.assert_allclose(found, ARTIFACT, atol=1e-5)
