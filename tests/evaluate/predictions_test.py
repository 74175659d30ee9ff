"""Predictions of a whole set: their layout, and what is left after a stop."""

import jax
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.data import clips, records
from aw_jax.data.clips import ClipRecord
from aw_jax.evaluate.figures import EvaluateConfig, evaluate
from aw_jax.evaluate.predictions import check_set, restore_set, restorer
from aw_jax.evaluate.stored import stored_clips
from aw_jax.media import videos
from aw_jax.metrics.frames import FrameMetricsConfig
from aw_jax.restoration import model_files

CONFIG = EvaluateConfig(metrics=FrameMetricsConfig(lpips_net="none"))
KEY = jax.random.key(3)


def write(folder, frames=17, side=16):
    rng = np.random.default_rng(0)
    made = []
    for name in ("000-0-cracks", "000-1-needles"):
        clean, artifact = rng.integers(0, 256, (2, frames, side, side, 3), np.uint8)
        heatmap = rng.integers(0, 256, (frames, side, side), np.uint8)
        notes = {"name": name, "types": [name[6:]]}
        made.append(
            ClipRecord(clean=clean, artifact=artifact, heatmap=heatmap, notes=notes)
        )
    path = folder / f"clips{records.SUFFIX}"
    records.write_shard(path, map(clips.to_bytes, made))
    return made


def plain(clip, key):
    """A predictor that sees brightness, a restorer that blends in the last view."""
    return clip.artifact.mean(-1), (clip.artifact + clip.last) / 2


def test_predictions_have_the_layout_that_evaluate_reads(tmp_path):
    made = write(tmp_path / "gt")
    assert restore_set(stored_clips(tmp_path / "gt"), tmp_path, plain, KEY) == 2
    for one in made:
        frames = videos.read(tmp_path / "restored" / one.notes["name"]).frames
        want = (one.artifact.astype(float) + one.clean[-1]) / 2
        assert abs(frames - want).max() <= 0.51
    for task, part in (("restoration", "restored"), ("heatmap", "heatmap")):
        result = evaluate(task, tmp_path / part, tmp_path / "gt", config=CONFIG)
        assert result["count"] == 2
        assert list(result["groups"]) == ["needles", "cracks", "one type"]


def test_a_stopped_run_goes_on_with_the_clip_it_was_at(tmp_path):
    write(tmp_path / "gt")
    found = stored_clips(tmp_path / "gt")
    restore_set(found, tmp_path, plain, KEY)
    last = tmp_path / "restored/000-1-needles/00016.png"
    was = last.read_bytes()
    last.unlink()
    done = []
    assert restore_set(found, tmp_path, plain, KEY, told=done.append) == 1
    assert last.read_bytes() == was
    assert done == [0, 1, 2]


def test_clips_of_wrong_length_are_named(tmp_path):
    write(tmp_path, frames=12)
    with pytest.raises(UserError, match=r"record 0: expected clips of 8 n \+ 1 frames"):
        check_set(stored_clips(tmp_path))


@pytest.mark.slow
def test_models_restore_a_set(tmp_path):
    write(tmp_path / "gt", side=32)
    restore = restorer(model_files.probe())
    assert restore_set(stored_clips(tmp_path / "gt"), tmp_path, restore, KEY) == 2
    frames = videos.read(tmp_path / "heatmap/000-0-cracks").frames
    assert not frames[[0, *range(9, 17)]].any()
    shown = videos.read(tmp_path / "restored/000-0-cracks").frames
    assert shown.shape == (17, 32, 32, 3)
