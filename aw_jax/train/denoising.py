"""Training of the transformer: the base in full, or one adapter on a frozen base.

Clips come as cached latents. A window of them may be cut out, with its own positions:
then every position of the full frame is learned at the cost of a small one.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from einops import rearrange

from aw_jax.core.arrays import Array, Bool, Float, Key, PyTree
from aw_jax.core.keys import named
from aw_jax.core.pytrees import pytree
from aw_jax.flow import timesteps
from aw_jax.flow.timesteps import TimestepLaw
from aw_jax.restoration.losses import (
    Example,
    Permissions,
    predictor_loss,
    restorer_loss,
)
from aw_jax.restoration.method import MethodConfig, bind
from aw_jax.train.step import Loss, Metrics

Task = Literal["base", "predictor", "restorer"]


@pytree
class LatentClips:
    """A batch of clips as latents."""

    clean: Float[Array, "b n y x c"]
    artifact: Float[Array, "b n y x c"]
    reference: Float[Array, "b n y x c"]
    """z_ref of Eq. 1."""
    heatmap: Float[Array, "b n y x c"]
    """Latents of the heatmap video; meaningless where not `labelled`."""
    labelled: Bool[Array, " b"]


@pytree
class Context:
    """What the loss needs beside the model and the batch; never trained."""

    prompt: Float[Array, "l t"]
    coords: Float[Array, "n y x 3"]
    full: Float[Array, "n y x c"]
    """z_full of Eq. 2."""
    null: Float[Array, "n y x c"]
    """z_null of Eq. 2."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenoisingConfig:
    """What is drawn for a training example."""

    method: MethodConfig = MethodConfig()
    times: TimestepLaw = TimestepLaw()
    window: int | None = None
    """Side, in latent pixels, of the window that is cut out; None: the whole frame."""
    label_share: float = 1.0
    """Probability that the restorer sees the heatmap of a labelled clip, not z_full."""


def denoising_loss(
    task: Task,
    model_of: Callable[[PyTree, PyTree], Callable[..., Array]],
    config: DenoisingConfig,
) -> Loss:
    """The loss of one task, as the train step takes it.

    Args:
        task: `predictor` is the doublet with the heatmap as target, `base` and
            `restorer` the triplet with the clean clip as target.
        model_of: builds the transformer from (trained, frozen) parameters.
        config: what is drawn.

    Returns:
        A loss over (trained, (frozen, context), batch of `LatentClips`, key).
    """

    def loss(
        params: PyTree,
        frozen: tuple[PyTree, Context],
        batch: LatentClips,
        key: Key[Array, ""],
    ) -> tuple[Float[Array, ""], Metrics]:
        base, context = frozen
        batch, context = _windowed(batch, context, config.window, named(key, "window"))
        permissions = Permissions(full=_flat(context.full), null=_flat(context.null))
        example = _example(batch, permissions, config.label_share, named(key, "label"))
        count, tokens, _ = example.clean.shape
        t = timesteps.sample(config.times, named(key, "t"), count, tokens=tokens)
        noise = jax.random.normal(named(key, "noise"), example.clean.shape)
        velocity = bind(
            model_of(params, base),
            prompt=context.prompt,
            coords=_flat(context.coords),
            segment_offset=config.method.segment_offset,
        )
        if task == "predictor":
            source = config.method.source
            return predictor_loss(velocity, example, t, noise, source=source), {}
        value = restorer_loss(
            velocity,
            example,
            t,
            noise,
            permissions=permissions,
            schedule=config.method.schedule,
            source=config.method.source,
        )
        return value, {}

    return loss


def _example(
    batch: LatentClips,
    permissions: Permissions,
    label_share: float,
    key: Key[Array, ""],
) -> Example:
    """The batch as tokens; clips without a label show z_full in its place."""
    shown = jax.random.bernoulli(key, label_share, batch.labelled.shape)
    shown = (shown & batch.labelled)[:, None, None]
    return Example(
        clean=_flat(batch.clean),
        artifact=_flat(batch.artifact),
        reference=_flat(batch.reference),
        heatmap=jnp.where(shown, _flat(batch.heatmap), permissions.full),
    )


def _flat(grid: Float[Array, "*b n y x c"]) -> Float[Array, "*b m c"]:
    return rearrange(grid, "... n y x c -> ... (n y x) c")


def _windowed(
    batch: LatentClips, context: Context, window: int | None, key: Key[Array, ""]
) -> tuple[LatentClips, Context]:
    """Both cut to one window at a random place, the same for the whole batch."""
    rows, columns = batch.clean.shape[2:4]
    if window is None or window >= min(rows, columns):
        return batch, context
    span = jnp.asarray([rows - window + 1, columns - window + 1])
    corner = jax.random.randint(key, (2,), 0, span)

    def cut(grid: Array) -> Array:
        if grid.ndim < 4:
            return grid
        for axis, start in ((-3, corner[0]), (-2, corner[1])):
            grid = jax.lax.dynamic_slice_in_dim(grid, start, window, axis % grid.ndim)
        return grid

    return jax.tree.map(cut, batch), jax.tree.map(cut, context)
