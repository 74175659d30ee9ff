"""Random streams by name: adding one never changes another."""

import zlib

import jax

from aw_jax.core.arrays import Array, Key


def named(key: Key[Array, ""], name: str) -> Key[Array, ""]:
    """The stream `name` of `key`."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def at_step(key: Key[Array, ""], step: int | Array) -> Key[Array, ""]:
    """The key of one step: a resumed run draws what an uninterrupted one would."""
    return jax.random.fold_in(key, step)
