"""The pseudo ground truth of the predictor: where a render differs from the truth.

A heatmap is the LPIPS distance map of a frame divided by one constant of the net and
clipped to [0, 1]. The constant is the 99.5th percentile of the maps over the simulated
training set, measured once and kept in `constants.json` beside the net's name: there is
no scaling per clip and no filter over time.
"""

import json
from pathlib import Path

import numpy as np

from aw_jax.core.arrays import Float
from aw_jax.core.errors import UserError
from aw_jax.models.lpips.network import Range

FED: Range = "[-1,1]"
"""Heatmaps feed the nets what they were made for."""
CONSTANTS = Path(__file__).with_name("constants.json")


def scale(
    distances: Float[np.ndarray, "*b"], *, constant: float
) -> Float[np.ndarray, "*b"]:
    """Heatmaps in [0, 1] from distance maps of features fed `FED`."""
    return np.clip(distances / constant, 0.0, 1.0)


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
