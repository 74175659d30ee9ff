"""The pseudo ground truth of the predictor: where a render differs from the truth.

A heatmap is the LPIPS distance map of a frame divided by one constant of the net and
clipped to [0, 1]. The constant is the 99.5th percentile of the maps over the simulated
training set, measured once and kept in `constants.json` beside the net's name: there is
no scaling per clip and no filter over time.
"""

import json
from pathlib import Path

import jax.numpy as jnp

from aw_jax.core.arrays import Array, Float
from aw_jax.core.errors import UserError
from aw_jax.models.lpips.network import Features, Lpips, Range, distance_map

FED: Range = "[-1,1]"
"""Heatmaps feed the nets what they were made for."""
CONSTANTS = Path(__file__).with_name("constants.json")


def heatmap(
    net: Lpips,
    clean: Features,
    artifact: Features,
    *,
    size: tuple[int, int],
    constant: float,
) -> Float[Array, "b h w"]:
    """Heatmaps in [0, 1] of artifact frames, from features fed `FED`."""
    distances = distance_map(net, clean, artifact, size=size)
    return jnp.clip(distances / constant, 0.0, 1.0)


def stored_constant(name: str) -> float:
    """The committed constant of the net `name`.

    Raises:
        UserError: none was ever measured for this net.
    """
    constants = json.loads(CONSTANTS.read_text())
    if name not in constants:
        raise UserError(
            f"heatmap net {name}: no constant in {CONSTANTS.name}, only for "
            f"{', '.join(constants)}; measure it over simulated pairs and set it."
        )
    return float(constants[name]["constant"])
