import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.restoration.objective import masked_flow_loss
from aw_jax.restoration.triplet import Sequence, doublet, target_slice, triplet

KEYS = jax.random.split(jax.random.key(0), 6)
REFERENCE, TARGET, HEATMAP = (jax.random.normal(k, (2, 5, 4)) for k in KEYS[:3])
DATA, SOURCE = (jax.random.normal(k, (2, 5, 4)) for k in KEYS[3:5])
T = jnp.asarray([0.25, 1.0])


def test_triplet_is_reference_target_heatmap_at_times_0_t_0():
    sequence = triplet(REFERENCE, TARGET, HEATMAP, T)
    assert sequence.segments == (5, 5, 5)
    np.testing.assert_array_equal(sequence.tokens[:, :5], REFERENCE)
    np.testing.assert_array_equal(sequence.tokens[:, 5:10], TARGET)
    np.testing.assert_array_equal(sequence.tokens[:, 10:], HEATMAP)
    np.testing.assert_array_equal(sequence.timesteps, [[0, 0.25, 0], [0, 1, 0]])


def test_doublet_is_reference_target_at_times_0_t():
    sequence = doublet(REFERENCE, TARGET, T)
    assert sequence.segments == (5, 5)
    np.testing.assert_array_equal(sequence.timesteps, [[0, 0.25], [0, 1]])
    np.testing.assert_array_equal(target_slice(sequence, sequence.tokens), TARGET)


@pytest.mark.parametrize("make", [doublet, lambda r, x, t: triplet(r, x, HEATMAP, t)])
def test_gradient_on_every_other_output_slice_is_exactly_zero(make):
    sequence = make(REFERENCE, TARGET, T)
    velocity = jax.random.normal(KEYS[5], sequence.tokens.shape)
    gradient = jax.grad(masked_flow_loss)(velocity, sequence, data=DATA, source=SOURCE)
    others = jnp.concatenate([gradient[:, :5], gradient[:, 10:]], axis=1)
    assert not np.any(others)
    assert np.all(gradient[:, 5:10] != 0)


def test_the_true_velocity_has_no_loss_and_its_sign_matters():
    sequence = triplet(REFERENCE, TARGET, HEATMAP, T)
    exact = jnp.zeros_like(sequence.tokens).at[:, 5:10].set(SOURCE - DATA)
    loss = lambda v: masked_flow_loss(v, sequence, data=DATA, source=SOURCE)
    assert float(loss(exact)) == 0.0
    expected = np.mean(np.square(2 * (np.asarray(SOURCE) - np.asarray(DATA))))
    np.testing.assert_allclose(loss(-exact), expected, rtol=1e-6)


def test_segments_must_add_up():
    with pytest.raises(ValueError, match="add up"):
        Sequence(
            tokens=jnp.zeros((1, 4, 2)), timesteps=jnp.zeros((1, 2)), segments=(2, 3)
        )


def test_weights_multiply_the_error_of_their_token():
    sequence = triplet(REFERENCE, TARGET, HEATMAP, T)
    velocity = jax.random.normal(KEYS[5], sequence.tokens.shape)
    weight = jnp.arange(10.0).reshape(2, 5)
    error = np.asarray(velocity[:, 5:10] - (SOURCE - DATA))
    expected = np.mean(np.asarray(weight)[..., None] * error**2)
    found = masked_flow_loss(
        velocity, sequence, data=DATA, source=SOURCE, weight=weight
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_channel_weights_multiply_the_error_of_their_channel():
    sequence = triplet(REFERENCE, TARGET, HEATMAP, T)
    velocity = jax.random.normal(KEYS[5], sequence.tokens.shape)
    channels = jnp.asarray([0.0, 0.5, 1.0, 2.5])
    error = np.asarray(velocity[:, 5:10] - (SOURCE - DATA))
    expected = np.mean(np.asarray(channels) * error**2)
    found = masked_flow_loss(
        velocity, sequence, data=DATA, source=SOURCE, channels=channels
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)
