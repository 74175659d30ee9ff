"""Where given frames go, at which coordinates, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.models.ltx.conditioning import Given, Grid, canvas

GRID = Grid(fps=10, rope_time="causal")
FRAMES, HEIGHT, WIDTH = 5, 2, 3
AREA = HEIGHT * WIDTH


def latents(frames, seed):
    return jax.random.normal(jax.random.key(seed), (2, frames, HEIGHT, WIDTH, 4))


@pytest.fixture(scope="module")
def start():
    return latents(FRAMES, 0)


def rows(x):
    return np.asarray(x).reshape(2, -1, 4)


def test_without_given_frames_all_tokens_are_one_segment(start):
    got = canvas(start, grid=GRID)
    np.testing.assert_array_equal(got.tokens, rows(start))
    assert got.segments == (FRAMES * AREA,)
    np.testing.assert_array_equal(got.strengths, [0])
    np.testing.assert_allclose(got.coords[0, ::AREA, 0], [0, 0.1, 0.9, 1.7, 2.5])


def test_the_first_frame_is_mixed_in_place_by_its_strength(start):
    image = latents(1, 1)
    got = canvas(start, [Given(latents=image, strength=0.75)], grid=GRID)
    mixed = 0.75 * rows(image) + 0.25 * rows(start)[:, :AREA]
    np.testing.assert_allclose(got.tokens[:, :AREA], mixed, atol=1e-6)
    np.testing.assert_array_equal(got.tokens[:, AREA:], rows(start)[:, AREA:])
    np.testing.assert_array_equal(got.strengths, [0.75, 0, 0, 0, 0])
    assert (got.segments, got.extra) == ((AREA,) * FRAMES, 0)


@pytest.mark.parametrize(("frame", "seconds"), [(5, 0.5), (-1, 3.2)])
def test_an_image_elsewhere_is_put_in_front_at_its_time(start, frame, seconds):
    image = latents(1, 1)
    got = canvas(start, [Given(latents=image, frame=frame)], grid=GRID)
    np.testing.assert_array_equal(got.tokens[:, :AREA], rows(image))
    np.testing.assert_array_equal(got.tokens[:, AREA:], rows(start))
    np.testing.assert_allclose(got.coords[0, :AREA, 0], seconds, rtol=1e-6)
    plain = GRID.coordinates(start)
    np.testing.assert_array_equal(got.coords[:, :AREA, 1:], plain[:, :AREA, 1:])
    np.testing.assert_array_equal(got.coords[:, AREA:], plain)
    np.testing.assert_array_equal(got.strengths, [1, 0, 0, 0, 0, 0])
    assert got.extra == AREA


def test_a_clip_elsewhere_is_split_after_two_latent_frames(start):
    clip = latents(3, 1)
    got = canvas(start, [Given(latents=clip, frame=8)], grid=GRID)
    np.testing.assert_array_equal(got.tokens[:, : 2 * AREA], rows(clip)[:, : 2 * AREA])
    kept = rows(start.at[:, 3].set(clip[:, 2]))
    np.testing.assert_array_equal(got.tokens[:, 2 * AREA :], kept)
    times = got.coords[0, : 2 * AREA : AREA, 0]
    np.testing.assert_allclose(times, [0.8, 0.9], rtol=1e-6)
    np.testing.assert_array_equal(got.strengths, [1, 0, 0, 0, 1, 0])
    assert got.segments == (2 * AREA,) + (AREA,) * FRAMES


def test_softly_given_extra_tokens_start_from_noise_of_their_own(start):
    image = jnp.full((2, 1, HEIGHT, WIDTH, 4), 3.0)
    soft = Given(latents=image, frame=5, strength=0.75)
    got = canvas(start, [soft], grid=GRID, key=jax.random.key(0))
    noise = (got.tokens[:, :AREA] - 0.75 * 3) / 0.25
    assert 0.5 < noise.std() < 1.5
    assert abs(noise.mean()) < 0.5
    with pytest.raises(UserError, match="pass a key"):
        canvas(start, [soft], grid=GRID)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame": 33}, "leave room for 1 frames in a video of 33, got 33"),
        ({"latents": latents(3, 1), "frame": 4}, "must be a multiple of 8, got 4"),
        ({"latents": latents(3, 1), "frame": 24}, "room for 17 frames"),
        ({"strength": 0.0}, r"must be in \(0, 1\], got 0.0"),
        ({"latents": jnp.zeros((2, 1, 1, 3, 4))}, "resize it before encoding"),
    ],
)
def test_what_does_not_fit_is_refused(start, changes, message):
    with pytest.raises(UserError, match=message):
        canvas(start, [Given(**{"latents": latents(1, 1)} | changes)], grid=GRID)
