"""Which view each step looks at: every one once, in random order, and so on."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Int, Key
from aw_jax.splat.targets import Targets


class ViewOrder:
    """One view per step; a function of the key, the step and the number of views."""

    def __init__(
        self, groups: Sequence[Targets], key: Key[Array, ""], start: int, stop: int
    ) -> None:
        """Plans steps `start` .. `stop` - 1 over the views of all groups."""
        self._groups = jax.tree.map(jnp.asarray, tuple(groups))
        self._places = [
            (group, view)
            for group, targets in enumerate(groups)
            for view in range(len(targets.images))
        ]
        self._start = start
        self._order = shuffled(key, start, stop, len(self._places))

    def __len__(self) -> int:
        """Views of all groups."""
        return len(self._places)

    def __call__(self, step: int) -> Targets:
        """The view of `step`, as targets of one image."""
        group, view = self._places[self.index(step)]
        return _one(self._groups[group], view)

    def index(self, step: int) -> int:
        """The number of that view among those of all groups, in order."""
        return int(self._order[step - self._start])


def shuffled(
    key: Key[Array, ""], start: int, stop: int, count: int
) -> Int[np.ndarray, " n"]:
    """Positions below `count` for steps `start` .. `stop` - 1, each once an epoch."""
    if not count or stop <= start:
        return np.zeros(0, int)
    first, last = start // count, (stop - 1) // count
    words = np.asarray(jax.random.key_data(key)).tolist()
    epochs = [
        np.random.default_rng([*words, epoch]).permutation(count)
        for epoch in range(first, last + 1)
    ]
    return np.concatenate(epochs)[start - first * count : stop - first * count]


@jax.jit
def _one(targets: Targets, view: int | Int[Array, ""]) -> Targets:
    pick = lambda x: jax.lax.dynamic_slice_in_dim(x, view, 1)
    return jax.tree.map(pick, targets)
