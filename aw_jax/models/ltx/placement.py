"""How parameters lie on a mesh: the largest axis that divides, over one mesh axis.

The leading axis of stacked blocks stays whole: the scan takes one block at a time, and
gathers that block alone.
"""

from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from aw_jax.models.ltx.weights import Place
from aw_jax.nn.layers import is_stacked


def spread(mesh: Mesh | AbstractMesh, axis: str) -> Place:
    """Shards every array over mesh axis `axis`; what none divides is replicated."""
    count = mesh.shape[axis]

    def place(path: str, shape: tuple[int, ...]) -> NamedSharding:
        sizes = {i: size for i, size in enumerate(shape) if size % count == 0}
        if is_stacked(path):
            sizes.pop(0, None)
        spec: list[str | None] = [None] * len(shape)
        if sizes:
            spec[max(sizes, key=lambda i: sizes[i])] = axis
        return NamedSharding(mesh, PartitionSpec(*spec))

    return place
