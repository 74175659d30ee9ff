"""What shows in pixels of aliasing, blurring, popping, ghosting and color outliers.

One number a type, 0 where broken and clean are the same, larger where the type shows
more. Changes are followed over frames along surfaces: poses and clean depth are known,
so a change that is fixed to a surface stays what it is when one frame is warped to the
next.
"""

import numpy as np
from scipy import ndimage
from scipy.optimize import nnls

from aw_jax.core.arrays import Bool, Float
from aw_jax.dataengine.artifacts.detail import coarse, detail
from aw_jax.dataengine.artifacts.seen import Seen

SHIFTS = range(3, 17)
"""Steps from one copy of a ghost to the next, in pixels."""
COPIES = 3
BLOCK = 6.0
"""Standard deviation, in pixels, of what is larger than stairs."""
LATER = (2, 3, 4)
"""Frames: several, since a motion of whole samples leaves stairs where they are."""
LIGHT = 1e-6
PLAIN = 0.02
"""Mean over channels, in [0, 1], around a pixel: a change of color that one sees."""
AROUND = 15
"""Pixels a side of what counts as around."""
SLIGHT = 0.01
"""Mean over channels, in [0, 1]: a change of chroma that one hardly sees."""
SAME = 0.05
"""Of the depth: a warped point is the same surface where its depth is so close."""


def aliasing(seen: Seen) -> float:
    """How much fine change does not move with the surfaces, mean over pixels.

    Fine is what is smaller than `BLOCK`: stairs are as large as their samples. From one
    frame to the next they hardly move on the surface, so frames `LATER` are compared.
    """
    change = _change(seen)
    fine = change - coarse(change, BLOCK)
    found = [_unsteady(seen, fine, later) for later in LATER]
    return float(np.mean([np.mean(gap / (share + LIGHT)) for gap, share in found]))


def blurring(seen: Seen) -> float:
    """Share of the fine detail that is lost where no other is put in its place."""
    clean, broken = detail(seen.clean), detail(seen.broken)
    lost = np.maximum(clean - broken, 0) - np.maximum(broken - clean, 0)
    return float(np.sum(lost) / (np.sum(clean) + LIGHT))


def popping(seen: Seen) -> float:
    """The largest coarse change from one frame to the next, mean over the picture.

    What is not seen again counts as steady: a few pixels make no frame pop.
    """
    return float(np.max(_unsteady(seen, coarse(_change(seen)))[0]))


def ghosting(seen: Seen) -> float:
    """How well change is explained by what stands some pixels to one side.

    Of translucent copies over the background, at even steps of d, remains

        broken - clean ~ sum_k a_k (clean(x - k d) - clean(x)),   a_k >= 0

    where change is plain. Blur is explained by both sides alike, so what the other side
    explains is taken off; of the rest, at the best step, the root mean square counts.
    Ghosts last: every second frame is enough.
    """
    change, clean = _change(seen)[::2], seen.clean[::2]
    around = coarse(np.abs(change).mean(axis=-1, keepdims=True))[..., 0]
    plain = around > PLAIN
    if not plain.any():
        return 0.0
    best = max(_lopsided(change, clean, plain, d) for d in SHIFTS)
    return float(np.sqrt(best * np.mean(change**2 * plain[..., None])))


def color_outliers(seen: Seen) -> float:
    """How far chroma leaves all that the clean frame shows around, mean over pixels.

    Chroma is what a color differs from its own mean over channels. What is blurred,
    moved or laid open has the colors of its surroundings; two fits to the same photos
    differ by `SLIGHT`.
    """
    clean, broken = (
        x - x.mean(axis=-1, keepdims=True) for x in (seen.clean, seen.broken)
    )
    around = (1, AROUND, AROUND, 1)
    above = broken - ndimage.maximum_filter(clean, size=around)
    below = ndimage.minimum_filter(clean, size=around) - broken
    beyond = np.maximum(np.maximum(above, below), 0).mean(axis=-1)
    return float(np.mean(np.maximum(beyond - SLIGHT, 0)))


def _change(seen: Seen) -> Float[np.ndarray, "f h w 3"]:
    return seen.broken - seen.clean


def _lopsided(
    change: Float[np.ndarray, "f h w 3"],
    clean: Float[np.ndarray, "f h w 3"],
    plain: Bool[np.ndarray, "f h w"],
    d: int,
) -> float:
    """What copies to one side, d pixels apart, explain, less the other side's."""
    sides = [_explained(change[plain], _copies(clean, plain, d * s)) for s in (-1, 1)]
    return abs(sides[0] - sides[1])


def _copies(
    clean: Float[np.ndarray, "f h w 3"], plain: Bool[np.ndarray, "f h w"], step: int
) -> Float[np.ndarray, "n 3 k"]:
    """What each of `COPIES` copies at even steps would change if it were opaque."""
    columns = np.arange(clean.shape[2])
    places = [columns + step * (k + 1) for k in range(COPIES)]
    aside = [clean[:, :, np.clip(at, 0, columns[-1])] for at in places]
    return np.stack([(x - clean)[plain] for x in aside], axis=-1)


def _explained(
    change: Float[np.ndarray, "n 3"], copies: Float[np.ndarray, "n 3 k"]
) -> float:
    """Share of the change's square that copies of any opacity explain."""
    turned, square = np.linalg.qr(copies.reshape(-1, copies.shape[-1]))
    inside = change.ravel() @ turned
    _, rest = nnls(square, inside)
    return float((inside @ inside - rest**2) / np.sum(change**2))


def _unsteady(
    seen: Seen, change: Float[np.ndarray, "f h w 3"], later: int = 1
) -> tuple[Float[np.ndarray, " e"], Float[np.ndarray, " e"]]:
    """Mean |change `later` frames on - change here|, for every frame that has such.

    Over the picture, 0 where the surface is not seen again; and the share that is.
    """
    gaps, shares = [], []
    for frame in range(len(change) - later):
        column, row, same = _seen_again(seen, frame, frame + later)
        gap = np.abs(change[frame + later][row, column] - change[frame]).mean(axis=-1)
        gaps.append(np.mean(gap * same))
        shares.append(np.mean(same))
    return np.array(gaps), np.array(shares)


def _seen_again(
    seen: Seen, frame: int, later: int
) -> tuple[np.ndarray, np.ndarray, Bool[np.ndarray, "h w"]]:
    """Column and row of each pixel's surface in a later frame, and if it shows."""
    depth = seen.clean_depth[frame]
    height, width = depth.shape
    poses = np.asarray(seen.cameras.camera_from_world, np.float64)
    k = np.asarray(seen.cameras.intrinsics, np.float64)
    row, column = np.indices(depth.shape) + 0.5
    image = np.stack([column, row, np.ones_like(row)], axis=-1) * depth[..., None]
    local = image @ np.linalg.inv(k[frame]).T
    motion = poses[later] @ np.linalg.inv(poses[frame])
    moved = (local @ motion[:3, :3].T + motion[:3, 3]) @ k[later].T
    z = np.maximum(moved[..., 2], LIGHT)
    x, y = (np.floor(moved[..., i] / z).astype(int) for i in range(2))
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    near = np.abs(seen.clean_depth[later][y, x] - z) < SAME * z
    return x, y, inside & near & (depth > 0)
