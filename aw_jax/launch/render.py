"""Renders a splat along a camera path: an mp4 and its frames.

python -m aw_jax.launch.render --splat=splat.ply --path=orbit --out=DIR
python -m aw_jax.launch.render --splat=splat.ply --path=cameras.json --out=DIR
python -m aw_jax.launch.render --splat=a.ply --path=between:A:B --scene=DIR --out=DIR
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from absl import flags

from aw_jax.data.camera_files import write_cameras
from aw_jax.images.quantise import quantise
from aw_jax.launch import app
from aw_jax.media import videos
from aw_jax.reconstruct.camera_path import camera_path
from aw_jax.runs.folder import RunFolder
from aw_jax.runs.progress import progress
from aw_jax.splat.files import load_splat
from aw_jax.splat.rasterize import RenderSettings, render

flags.DEFINE_string("splat", None, "3D Gaussians: a .ply, .spz or .splat.")
flags.DEFINE_string(
    "path", "orbit", "`orbit`, `between:NAME_A:NAME_B`, or a JSON file of cameras."
)
flags.DEFINE_string("scene", None, "The capture whose views `between` names.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """What is rendered."""

    frames: int = 96
    """Of an orbit, or between two views."""
    width: int | None = None
    """None: 640 for an orbit; between views, the first one's, at most 1280."""
    height: int | None = None
    """None: 480 for an orbit; between views, the first one's, at most 1280."""
    fps: float = 24.0
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    settings: RenderSettings = RenderSettings()


def run(config: RenderConfig, folder: RunFolder) -> None:
    """Writes path.json, render.mp4 and render/00000.png and on."""
    splat = load_splat(app.existing("splat"))
    cameras = camera_path(
        app.FLAGS.path,
        scene=app.existing("scene") if app.FLAGS.scene else None,
        points=np.asarray(splat.means),
        frames=config.frames,
        size=(config.width, config.height),
    )
    folder.begin()
    background = jnp.asarray(config.background, jnp.float32)
    count = len(cameras.intrinsics)
    frames = []
    with progress("render", count) as bar:
        for index in range(count):
            shown = render(
                splat,
                cameras[index],
                settings=config.settings,
                background=background,
            )
            frames.append(np.asarray(quantise(shown.color)))
            bar.update(index + 1)
    write_cameras(folder.path / "path.json", cameras)
    videos.write(folder.path / "render.mp4", np.stack(frames), fps=config.fps)
    videos.write_frames(folder.path / "render", np.stack(frames))
    folder.finish({"frames": count, "gaussians": len(splat.means)})


PRESET = RenderConfig()
OWN = ("splat", "path", "scene")

if __name__ == "__main__":
    app.launch(run, PRESET, own=OWN)
