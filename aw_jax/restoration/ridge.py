"""Ridge regression in latent space: the closed-form baseline a restorer has to beat.

At every spatial position the latents of all frames of the reference and the artifact
video, with a constant, predict the residual z_target - z_artifact of all frames. No
neighbours, no attention, no training: what a linear map already knows. A path may also
start at such an estimate (`MethodConfig.source`), so that a model learns only the rest.
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from einops import rearrange

from aw_jax.core.arrays import Array, Float
from aw_jax.core.errors import UserError
from aw_jax.core.pytrees import pytree
from aw_jax.models.ltx.safetensors_files import (
    file_metadata,
    iterate_tensors,
    save_tensors,
)

VAE = "vae"


@pytree
class Estimates:
    """Weights for the targets of restorer and predictor."""

    clean: Float[Array, "p q"]
    heatmap: Float[Array, "p q"]


class Ridge:
    """Normal equations, one set per latent frame, summed over batches in float64."""

    def __init__(self, penalty: float = 1.0) -> None:
        """Args: penalty: lambda on every weight, in units of one sample."""
        self.penalty = penalty
        self._gram: np.ndarray | float = 0.0
        self._cross: np.ndarray | float = 0.0

    def add(
        self,
        reference: Float[Array, "b n y x c"],
        artifact: Float[Array, "b n y x c"],
        target: Float[Array, "b n y x c"],
        weight: Float[Array, "b n"] | None = None,
    ) -> None:
        """Adds the positions of a batch to the sums; `weight` of squared errors."""
        b, n, y, x, _ = target.shape
        inputs = np.asarray(_inputs(reference, artifact), np.float64)
        wanted = np.asarray(target - artifact, np.float64)
        wanted = rearrange(wanted, "b n y x c -> n (b y x) c")
        share = np.ones((b, n)) if weight is None else np.asarray(weight, np.float64)
        share = np.repeat(share.T, y * x, axis=1)
        left = [inputs.T * share[frame] for frame in range(n)]
        self._gram = self._gram + np.stack([part @ inputs for part in left])
        self._cross = self._cross + np.stack(
            [part @ wanted[frame] for frame, part in enumerate(left)]
        )

    def solve(self) -> Float[Array, "p q"]:
        """The weights that minimise the penalised squared error."""
        gram = np.asarray(self._gram)
        regular = gram + self.penalty * np.eye(gram.shape[-1])
        solved = np.linalg.solve(regular, np.asarray(self._cross))
        return jnp.asarray(rearrange(solved, "n p c -> p (n c)"), jnp.float32)


def estimate(
    weights: Float[Array, "p q"],
    reference: Float[Array, "b n y x c"],
    artifact: Float[Array, "b n y x c"],
) -> Float[Array, "b n y x c"]:
    """The artifact latents plus the predicted residual.

    Raises:
        UserError: weights for clips of another length.
    """
    b, n, y, x, c = artifact.shape
    if weights.shape != (2 * n * c + 1, n * c):
        raise UserError(
            f"The ridge estimate is for clips of {weights.shape[1] // c} latent frames "
            f"of {c} channels, got {n}: give clips of the length it was trained with."
        )
    residual = _inputs(reference, artifact) @ weights
    return artifact + rearrange(
        residual, "(b y x) (n c) -> b n y x c", b=b, n=n, y=y, x=x
    )


def save_ridge(path: Path, estimates: Estimates, *, vae: str) -> None:
    """Writes both in bfloat16, with the checksum of their autoencoder."""
    found = {"clean": estimates.clean, "heatmap": estimates.heatmap}
    stored = {name: np.asarray(w.astype(jnp.bfloat16)) for name, w in found.items()}
    save_tensors(path, stored, metadata={"format": "aw_jax ridge", VAE: vae})


def load_ridge(path: Path, *, vae: str) -> Estimates:
    """The estimates of a file.

    Raises:
        UserError: no such file, or one for another autoencoder than checksum `vae`.
    """
    found = file_metadata(path).get(VAE)
    if found != vae:
        raise UserError(
            f"{path}: fitted with vae={found}, got {vae}; use the files that belong "
            "together, or run the stage `ridge` again."
        )
    tensors = dict(iterate_tensors(path, ["clean", "heatmap"]))
    read = {n: jnp.asarray(w.astype(np.float32)) for n, w in tensors.items()}
    return Estimates(**read)


def _inputs(
    reference: Float[Array, "b n y x c"], artifact: Float[Array, "b n y x c"]
) -> Float[Array, "s p"]:
    parts = [_positions(reference), _positions(artifact)]
    return jnp.concatenate([*parts, jnp.ones((len(parts[0]), 1))], axis=1)


def _positions(latents: Float[Array, "b n y x c"]) -> Float[Array, "s q"]:
    return rearrange(latents, "b n y x c -> (b y x) (n c)")
