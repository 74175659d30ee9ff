"""Measures any trainer's splat on a scene's held-out views, as `fit` does its own.

python scripts/score_splat.py SPLAT SCENE [--config.split.protocol=ratio ...]

SPLAT stands in the world of SCENE's poses (of OpenSplat, --keep-crs leaves it there)
and is rendered on black. Options are those of `aw_jax.launch.fit`: --config.split,
.photos and .metrics. The last line is JSON, with what metrics.json of a fit says of the
protocol and under `final`.
"""

import json
import sys
from pathlib import Path
from typing import Any

from aw_jax.config import overrides
from aw_jax.core.errors import UserError
from aw_jax.reconstruct.config import FitRunConfig
from aw_jax.reconstruct.inputs import load_capture
from aw_jax.reconstruct.run import figures
from aw_jax.splat.files import load_splat


def score(splat: Path, scene: Path, config: FitRunConfig) -> dict[str, Any]:
    """Protocol, figures and number of Gaussians.

    Raises:
        UserError: the splat, the scene or its split cannot be read.
    """
    gaussians = load_splat(splat)
    capture = load_capture(scene, config.split, config.photos)
    final = figures(gaussians, capture.test, config=config.metrics)
    return {**capture.told, "final": final, "gaussians": len(gaussians.means)}


def main(arguments: list[str]) -> None:
    places, wanted = overrides.take(arguments)
    if len(places) != 2:
        raise UserError(f"expected SPLAT SCENE, got {' '.join(places) or 'nothing'}.")
    splat, scene = map(Path, places)
    print(json.dumps(score(splat, scene, overrides.apply(FitRunConfig(), wanted))))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
