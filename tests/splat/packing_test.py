import numpy as np

from aw_jax.splat import packing


def test_every_byte_of_opacity_round_trips():
    every = np.arange(256, dtype=np.uint8)
    logits = packing.opacity_logits(every)
    assert np.isfinite(logits).all()
    assert (np.diff(logits) > 0).all()
    np.testing.assert_array_equal(packing.opacity_bytes(logits), every)


def test_largest_part_of_a_quaternion_follows_from_the_others():
    draw = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    quats = packing.unit_quats(draw)
    three, largest = packing.drop_largest(quats)
    assert set(largest) == {0, 1, 2, 3}
    assert (np.abs(three) <= 0.5**0.5).all()
    again = packing.insert_largest(three, largest)
    sign = np.sign(np.sum(again * quats, axis=1, keepdims=True))
    np.testing.assert_allclose(again, sign * quats, atol=1e-6)


def test_quaternion_of_length_zero_is_no_rotation():
    found = packing.unit_quats(np.asarray([[0, 0, 0, 0], [0, 0, 2, 0]], np.float32))
    np.testing.assert_array_equal(found, [[1, 0, 0, 0], [0, 0, 1, 0]])


def test_bytes_are_the_nearest_and_clamped(caplog):
    steps = np.asarray([[-0.6, 0.4], [-0.4, 255.4], [3.6, 300]], np.float32)
    found = packing.to_bytes(steps, "values")
    np.testing.assert_array_equal(found, [[0, 0], [0, 255], [4, 255]])
    assert "values of 2 Gaussians" in caplog.text
