import contextlib

import grain
import numpy as np
import pytest

from aw_jax.core import atomic
from aw_jax.core.errors import UserError
from aw_jax.data import clips, records

RNG = np.random.default_rng(0)


def clip(seed, *, heatmap=False):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (2, 9, 4, 6, 3), dtype=np.uint8)
    heat = rng.integers(0, 256, (9, 4, 6), dtype=np.uint8) if heatmap else None
    return clips.ClipRecord(
        clean=frames[0], artifact=frames[1], heatmap=heat, notes={"seed": seed}
    )


@pytest.mark.parametrize("heatmap", [False, True])
def test_a_clip_comes_back_without_loss(heatmap):
    there = clip(3, heatmap=heatmap)
    data = clips.to_bytes(there)
    assert data == clips.to_bytes(there)
    back = clips.from_bytes(data, where="memory")
    np.testing.assert_array_equal(back.clean, there.clean)
    np.testing.assert_array_equal(back.artifact, there.artifact)
    assert back.notes == {"seed": 3}
    assert back.mask is None
    if heatmap:
        np.testing.assert_array_equal(back.heatmap, there.heatmap)
    else:
        assert back.heatmap is None


def test_every_flipped_byte_is_noticed_or_harmless():
    data = clips.to_bytes(clip(1))
    for _ in range(60):
        place = int(RNG.integers(0, len(data)))
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(RNG.integers(0, 8))
        with contextlib.suppress(UserError):
            back = clips.from_bytes(bytes(damaged), where="a.arrayrecord, record 4")
            np.testing.assert_array_equal(back.clean, clip(1).clean)


def test_a_truncated_record_names_its_place():
    data = clips.to_bytes(clip(1))
    for length in (0, 3, 7, 20, len(data) - 1):
        with pytest.raises(UserError, match="shard, record 2"):
            clips.from_bytes(data[:length], where="shard, record 2")


def test_shards_appear_whole_and_read_back_in_order(tmp_path):
    path = tmp_path / "clips-0000.arrayrecord"

    def failing():
        yield clips.to_bytes(clip(0))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        records.write_shard(path, failing())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="found none"):
        records.shards(tmp_path)
    assert records.write_shard(path, (clips.to_bytes(clip(i)) for i in range(5))) == 5
    assert [c.notes["seed"] for c in clips.read_clips(path)] == [0, 1, 2, 3, 4]
    again = tmp_path / "again.arrayrecord"
    records.write_shard(again, (clips.to_bytes(clip(i)) for i in range(5)))
    assert again.read_bytes() == path.read_bytes()


def test_a_damaged_shard_is_the_users_error(tmp_path):
    path = tmp_path / "clips-0000.arrayrecord"
    path.write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(UserError, match="clips-0000"):
        clips.read_clips(path)


def test_grain_goes_on_exactly_where_it_was(tmp_path):
    for shard in range(2):
        data = [clips.to_bytes(clip(10 * shard + i)) for i in range(4)]
        records.write_shard(tmp_path / f"clips-{shard}.arrayrecord", data)
    data = clips.dataset(tmp_path).shuffle(seed=1).repeat().to_iter_dataset()
    seeds = lambda iterator, count: [next(iterator).notes["seed"] for _ in range(count)]
    iterator = iter(data)
    seeds(iterator, 5)
    state = iterator.get_state()
    ahead = seeds(iterator, 6)
    other = iter(data)
    other.set_state(state)
    assert seeds(other, 6) == ahead
    assert isinstance(data, grain.IterDataset)


def test_a_shard_still_being_written_is_none(tmp_path):
    records.write_shard(tmp_path / "a.arrayrecord", [b"x"])
    with atomic.replacing(tmp_path / "b.arrayrecord") as aside:
        aside.write_bytes(b"half")
        assert [p.name for p in records.shards(tmp_path)] == ["a.arrayrecord"]
