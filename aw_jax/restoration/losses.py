"""What predictor and restorer are trained on: Eq. 3 over doublets and triplets."""

from aw_jax.core.arrays import Array, Float
from aw_jax.core.pytrees import pytree
from aw_jax.flow.path import interpolate
from aw_jax.restoration.heatmap import HeatmapSchedule, scheduled_heatmap
from aw_jax.restoration.method import Source
from aw_jax.restoration.objective import Velocity, masked_flow_loss
from aw_jax.restoration.triplet import doublet, triplet


@pytree
class Example:
    """Tokens of a batch of clips."""

    clean: Float[Array, "b n c"]
    artifact: Float[Array, "b n c"]
    reference: Float[Array, "b n c"]
    """z_ref of Eq. 1."""
    heatmap: Float[Array, "b n c"]
    """Latents of the heatmap video: the truth, or a prediction of it."""
    weight: Float[Array, "b n"] | None = None
    """Of the target tokens' squared errors; None: all 1."""
    channels: Float[Array, " c"] | None = None
    """Of the channels' squared errors; None: all 1."""
    estimate: Float[Array, "b n c"] | None = None
    """Linear estimate of the target, for the source `ridge`."""


@pytree
class Permissions:
    """The two constant heatmaps of Eq. 2."""

    full: Float[Array, "n c"]
    null: Float[Array, "n c"]


def source_tokens(
    example: Example, noise: Float[Array, "b n c"], source: Source
) -> Float[Array, "b n c"]:
    """z_1: where the path of the target starts."""
    if source == "noise":
        return noise
    if source == "artifact":
        return example.artifact
    if example.estimate is None:
        raise ValueError("source `ridge` needs an example with its estimate.")
    return example.estimate


def predictor_loss(
    velocity: Velocity,
    example: Example,
    t: Float[Array, " b"],
    noise: Float[Array, "b n c"],
    *,
    source: Source,
) -> Float[Array, ""]:
    """Eq. 3 over the doublet: the target is the heatmap."""
    start = source_tokens(example, noise, source)
    target = interpolate(example.heatmap, start, t)
    sequence = doublet(example.reference, target, t)
    return masked_flow_loss(
        velocity(sequence),
        sequence,
        data=example.heatmap,
        source=start,
        weight=example.weight,
        channels=example.channels,
    )


def restorer_loss(
    velocity: Velocity,
    example: Example,
    t: Float[Array, " b"],
    noise: Float[Array, "b n c"],
    *,
    permissions: Permissions,
    schedule: HeatmapSchedule,
    source: Source,
) -> Float[Array, ""]:
    """Eq. 3 over the triplet: the target is the clean video."""
    start = source_tokens(example, noise, source)
    target = interpolate(example.clean, start, t)
    heatmap = scheduled_heatmap(
        example.heatmap,
        t,
        full=permissions.full,
        null=permissions.null,
        schedule=schedule,
    )
    sequence = triplet(example.reference, target, heatmap, t)
    return masked_flow_loss(
        velocity(sequence),
        sequence,
        data=example.clean,
        source=start,
        weight=example.weight,
        channels=example.channels,
    )
