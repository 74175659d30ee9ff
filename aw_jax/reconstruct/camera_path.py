"""The path a splat is rendered along, as a user names it.

orbit        a level turn around the splat's Gaussians
between:A:B  from view A of a capture to its view B, as the loop's clips run
FILE         a JSON file of cameras, ours or nerfstudio's
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.core.errors import UserError
from aw_jax.data.camera_files import read_cameras
from aw_jax.data.scenes import load_scene
from aw_jax.data.views import Scene, View
from aw_jax.geometry.cameras import Cameras
from aw_jax.geometry.trajectories import reference_trajectory
from aw_jax.geometry.turntable import turntable
from aw_jax.reconstruct.framing import frame_cameras

ORBIT_SIZE = (640, 480)
LONGEST = 1280
"""Most pixels a side that a path takes from its views; photos may be larger."""

Size = tuple[int | None, int | None]


def camera_path(
    text: str,
    *,
    scene: Path | None,
    points: Float[np.ndarray, "p 3"],
    frames: int,
    size: Size = (None, None),
) -> Cameras:
    """The (f,) cameras that `--path=text` stands for.

    Args:
        text: one of the three forms above.
        scene: the capture that `between` takes its views from.
        points: what an orbit goes around.
        frames: of an orbit, and between views; a file has its own.
        size: width and height, likewise. None: 640x480 for an orbit; between views
            the first one's, at most `LONGEST` pixels a side.

    Raises:
        UserError: no such file, view or scene.
    """
    if text == "orbit":
        width, height = (a or b for a, b in zip(size, ORBIT_SIZE, strict=True))
        return turntable(points, frames=frames, width=width, height=height)
    kind, _, names = text.partition(":")
    if kind == "between":
        first, _, last = names.partition(":")
        if scene is None or not (first and last):
            raise UserError(
                f"--path={text}: expected between:NAME_A:NAME_B, and --scene=DIR to say"
                " which capture the two views are of."
            )
        return between(load_scene(scene), first, last, frames=frames, size=size)
    if not Path(text).is_file():
        raise UserError(
            f"--path={text}: there is no such file; expected orbit, between:NAME_A:"
            "NAME_B, or a JSON file of cameras."
        )
    return read_cameras(Path(text))


def between(
    scene: Scene, first: str, last: str, *, frames: int, size: Size = (None, None)
) -> Cameras:
    """A reference-guided path (Sec. 4.4) from view `first` to view `last`.

    All views take part in its shape. The short side keeps its field of view.
    """
    ends = [scene.find(name, "--path=between") for name in (first, last)]
    start, end = (scene.views.index(view) for view in ends)
    if start == end:
        raise UserError(f"--path=between: expected two views, got {first} twice.")
    width, height = image_size(ends[0], size)
    framed = [
        frame_cameras(_pinhole(view), width=width, height=height)
        for view in scene.views
    ]
    cameras = Cameras(
        camera_from_world=jnp.stack([camera.camera_from_world for camera in framed]),
        intrinsics=jnp.stack([camera.intrinsics for camera in framed]),
        width=width,
        height=height,
    )
    return reference_trajectory(cameras, start=start, end=end, frames=frames)


def image_size(view: View, size: Size) -> tuple[int, int]:
    """Width and height; what is not given follows the view's proportions."""
    width, height = size
    scale = min(1, LONGEST / max(view.width, view.height))
    if width is not None:
        scale = width / view.width
    elif height is not None:
        scale = height / view.height
    found = width or round(view.width * scale), height or round(view.height * scale)
    return max(1, found[0]), max(1, found[1])


def _pinhole(view: View) -> Cameras:
    """The view's camera, free of its distortion."""
    return Cameras(
        camera_from_world=jnp.asarray(view.camera_from_world, jnp.float32),
        intrinsics=jnp.asarray(view.intrinsics, jnp.float32),
        width=view.width,
        height=view.height,
    )
