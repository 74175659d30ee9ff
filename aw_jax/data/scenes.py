"""Captures of all supported forms, recognised by what lies in the folder.

    sparse/0/{cameras,images,points3D}.{bin,txt} and images/    COLMAP, Mip-NeRF 360
    transforms.json, or nerfstudio/transforms.json              nerfstudio, instant-ngp,
                                                                DL3DV

Where a folder has both, COLMAP wins: it knows which photo sees which point.
"""

from pathlib import Path

from aw_jax.core.errors import UserError
from aw_jax.data import colmap, transforms
from aw_jax.data.views import Scene


def load_scene(path: str | Path, *, folder: str | None = None) -> Scene:
    """The capture at `path`: cameras, photo files and points; no photo is decoded yet.

    Args:
        path: The capture's folder, or a transforms.json.
        folder: Name of the folder of photos, such as images_4; by default the largest
            of images, images_2, images_4 and images_8.

    Raises:
        UserError: Nothing is recognised, or what is there is damaged.
    """
    path = Path(path)
    if path.is_file():
        return transforms.read_scene(path, folder=folder)
    if not path.is_dir():
        raise UserError(f"scene {path} does not exist: expected a folder with photos.")
    model = colmap.find_model(path)
    if model is not None:
        return colmap.read_scene(path, model, folder=folder)
    file = transforms.find_file(path)
    if file is not None:
        return transforms.read_scene(file, folder=folder)
    raise UserError(
        f"scene {path}: expected a COLMAP model (sparse/0/cameras.bin or .txt, ...) or"
        " a transforms.json; found neither."
    )
