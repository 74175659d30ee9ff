"""Ridge regression in latent space: the closed-form baseline a restorer has to beat.

At every spatial position the latents of all frames of the reference and the artifact
video, with a constant, predict the residual z_clean - z_artifact of all frames. No
neighbours, no attention, no training: what a linear map already knows.
"""

import jax.numpy as jnp
import numpy as np
from einops import rearrange

from aw_jax.core.arrays import Array, Float


class Ridge:
    """Normal equations, summed over batches in float64."""

    def __init__(self, penalty: float = 1.0) -> None:
        """Args: penalty: lambda on every weight, in units of one sample."""
        self.penalty = penalty
        self._gram: np.ndarray | float = 0.0
        self._cross: np.ndarray | float = 0.0

    def add(
        self,
        reference: Float[Array, "b n y x c"],
        artifact: Float[Array, "b n y x c"],
        clean: Float[Array, "b n y x c"],
    ) -> None:
        """Adds the positions of a batch to the sums."""
        inputs = np.asarray(_inputs(reference, artifact), np.float64)
        wanted = np.asarray(_positions(clean - artifact), np.float64)
        self._gram = self._gram + inputs.T @ inputs
        self._cross = self._cross + inputs.T @ wanted

    def solve(self) -> Float[Array, "p q"]:
        """The weights that minimise the penalised squared error."""
        gram = np.asarray(self._gram)
        regular = gram + self.penalty * np.eye(len(gram))
        return jnp.asarray(np.linalg.solve(regular, self._cross), jnp.float32)


def restore_latents(
    weights: Float[Array, "p q"],
    reference: Float[Array, "b n y x c"],
    artifact: Float[Array, "b n y x c"],
) -> Float[Array, "b n y x c"]:
    """The artifact latents plus the predicted residual."""
    b, n, y, x, _ = artifact.shape
    residual = _inputs(reference, artifact) @ weights
    return artifact + rearrange(
        residual, "(b y x) (n c) -> b n y x c", b=b, n=n, y=y, x=x
    )


def _inputs(
    reference: Float[Array, "b n y x c"], artifact: Float[Array, "b n y x c"]
) -> Float[Array, "s p"]:
    parts = [_positions(reference), _positions(artifact)]
    return jnp.concatenate([*parts, jnp.ones((len(parts[0]), 1))], axis=1)


def _positions(latents: Float[Array, "b n y x c"]) -> Float[Array, "s q"]:
    return rearrange(latents, "b n y x c -> (b y x) (n c)")
