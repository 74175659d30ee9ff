"""One statistic for each artifact type: how much of it a clip shows."""

from aw_jax.dataengine.artifacts import statistics_geometry as geometry
from aw_jax.dataengine.artifacts import statistics_rendering as rendering
from aw_jax.dataengine.artifacts.seen import Seen

STATISTICS = {
    "floaters": geometry.floaters,
    "dilation": geometry.dilation,
    "needles": geometry.needles,
    "cracks": geometry.cracks,
    "aliasing": rendering.aliasing,
    "blurring": rendering.blurring,
    "popping": rendering.popping,
    "ghosting": rendering.ghosting,
    "color_outliers": rendering.color_outliers,
}


def statistics(seen: Seen) -> dict[str, float]:
    """Of every type; 0 or little where it does not show."""
    return {name: statistic(seen) for name, statistic in STATISTICS.items()}
