"""The nine artifact types in four domains (Sec. 3.1), in their fixed label order."""

from typing import NamedTuple


class ArtifactType(NamedTuple):
    """One row of the taxonomy."""

    name: str
    domain: str


ARTIFACTS = (
    ArtifactType("floaters", "geometry"),
    ArtifactType("dilation", "geometry"),
    ArtifactType("needles", "geometry"),
    ArtifactType("cracks", "geometry"),
    ArtifactType("aliasing", "sampling"),
    ArtifactType("blurring", "sampling"),
    ArtifactType("popping", "temporal"),
    ArtifactType("ghosting", "temporal"),
    ArtifactType("color_outliers", "photometric"),
)
"""In the order that label bits and prompt rows use."""

NAMES = tuple(artifact.name for artifact in ARTIFACTS)

RESTORE = "restore"
"""The one prompt of the restoration models."""

PROMPTS = (*NAMES, RESTORE)
"""Rows of the tiny preset's prompt table."""
