import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data import clips, latents, records
from aw_jax.restoration.anchoring import AnchoringConfig


def encode(video):
    """A stand-in of the right strides: frame 0, then means of eight; 2 x 2 pixels."""
    chunks = video[:, 1:].reshape(video.shape[0], -1, 8, *video.shape[2:])
    frames = jnp.concatenate([video[:, :1], chunks.mean(axis=2)], axis=1)
    return frames[:, :, ::2, ::2]


def clip(seed, *, heatmap):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (2, 25, 4, 6, 3), dtype=np.uint8)
    heat = rng.integers(0, 256, (25, 4, 6), dtype=np.uint8) if heatmap else None
    return clips.ClipRecord(
        clean=frames[0], artifact=frames[1], heatmap=heat, notes={"seed": seed}
    )


@pytest.fixture
def folder(tmp_path):
    data = [clips.to_bytes(clip(i, heatmap=i % 2 == 0)) for i in range(4)]
    records.write_shard(tmp_path / "clips" / "a.arrayrecord", data)
    return tmp_path / "clips"


def run(folder, target, **changes):
    choices = {"codec": "x", "anchoring": AnchoringConfig(), "variants": 2} | changes
    latents.encode_folder(folder, target, encode, **choices)


def test_streams_are_encoded_with_the_clean_ends_in_the_reference(folder, tmp_path):
    run(folder, tmp_path / "z")
    stored = records.read_shard(tmp_path / "z" / "a.arrayrecord")
    assert len(stored) == 8
    streams, notes = records.unpack(stored[0], where="")
    assert notes["clip"] == {"seed": 0}
    original = clip(0, heatmap=True)
    clean = original.clean[:, ::2, ::2].astype(np.float32) / 255
    np.testing.assert_allclose(streams["clean"][0], clean[0], atol=1e-3)
    np.testing.assert_allclose(streams["reference"][0], clean[0], atol=1e-3)
    np.testing.assert_allclose(streams["reference"][-1], clean[-1], atol=1e-3)
    np.testing.assert_array_equal(streams["reference"][1:-1], streams["artifact"][1:-1])
    assert "heatmap" in streams
    assert "heatmap" not in records.unpack(stored[2], where="")[0]


def test_a_reversed_clip_swaps_its_ends():
    original = clip(0, heatmap=True)
    variant = latents.Variant(reversed=True, mirrored=True)
    streams = latents.encode_clip(original, encode, AnchoringConfig(), variant)
    first = original.clean[-1, ::2, ::-1][:, ::2].astype(np.float32) / 255
    np.testing.assert_allclose(streams["reference"][0], first, atol=1e-3)


def test_batches_say_what_is_labelled(folder, tmp_path):
    run(folder, tmp_path / "z")
    batch = next(iter(latents.batches(tmp_path / "z", size=8, seed=0)))
    assert batch["clean"].shape == (8, 4, 2, 3, 3)
    assert batch["clean"].dtype == np.float32
    assert batch["labelled"].sum() == 4


def test_latents_of_two_codecs_never_mix(folder, tmp_path):
    run(folder, tmp_path / "z")
    run(folder, tmp_path / "z")
    with pytest.raises(UserError, match="delete the folder"):
        run(folder, tmp_path / "z", codec="y")


def test_a_batch_begins_with_the_labelled_clips_that_were_asked_for(tmp_path):
    data = [clips.to_bytes(clip(i, heatmap=i == 4)) for i in range(9)]
    records.write_shard(tmp_path / "clips" / "a.arrayrecord", data)
    run(tmp_path / "clips", tmp_path / "z", variants=1)
    draw = lambda labelled: iter(
        latents.batches(tmp_path / "z", size=3, seed=0, labelled=labelled)
    )
    found = [next(batches) for batches in [draw(2)] * 9]
    assert all(batch["labelled"][:2].all() for batch in found)
    rest = {batch["clean"][2].tobytes() for batch in found}
    assert len(rest) > 5
    assert next(draw(3))["labelled"].all()


def test_labelled_clips_that_are_not_there_are_an_error(tmp_path):
    data = [clips.to_bytes(clip(0, heatmap=False))]
    records.write_shard(tmp_path / "clips" / "a.arrayrecord", data)
    run(tmp_path / "clips", tmp_path / "z")
    with pytest.raises(UserError, match="run the launcher label"):
        latents.batches(tmp_path / "z", size=1, seed=0, labelled=1)
