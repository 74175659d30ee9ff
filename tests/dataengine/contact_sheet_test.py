import numpy as np

from aw_jax.data.clips import ClipRecord
from aw_jax.dataengine.contact_sheet import CAPTION, LINES, contact_sheet


def clip(value, *, mask=True):
    clean = np.full((3, 96, 96, 3), value, np.uint8)
    return ClipRecord(
        clean=clean,
        artifact=clean + 1,
        mask=np.full(clean.shape[:3], 255, np.uint8) if mask else None,
        notes={"route": "mixed", "severities": {"needles": 0.5, "cracks": 0.25}},
    )


def test_the_middle_frames_of_evenly_taken_clips_stand_under_their_types():
    made = [clip(10 * i) for i in range(23)]
    sheet = contact_sheet(made)
    tall, wide = 96 + LINES * CAPTION, 3 * 96
    assert sheet.shape == (6 * tall, 2 * wide, 3)
    second = sheet[:tall, wide:]
    assert second[: LINES * CAPTION].any()
    left, middle, right = np.split(second[LINES * CAPTION :], 3, axis=1)
    assert np.all(left == 20)
    assert np.all(middle == 21)
    assert np.all(right == 255)
    assert np.array_equal(sheet, contact_sheet(made))


def test_small_frames_are_enlarged_and_odd_numbers_padded():
    small = ClipRecord(
        clean=np.ones((1, 16, 16, 3), np.uint8),
        artifact=np.ones((1, 16, 16, 3), np.uint8),
        notes={"route": "optimisation stage", "severities": None, "steps": 70},
    )
    sheet = contact_sheet([small])
    assert sheet.shape == (96 + LINES * CAPTION, 2 * 2 * 96, 3)
    assert not sheet[:, 192:].any()
