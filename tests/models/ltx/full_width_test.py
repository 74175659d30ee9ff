"""One block of the 13B at full width against diffusers' output (scripts/goldens)."""

import dataclasses
import json
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from aw_jax.models.ltx import weights
from aw_jax.models.ltx.config import LTX_13B
from aw_jax.models.ltx.positions import coordinates
from aw_jax.models.ltx.transformer import Block
from aw_jax.nn.rope import rotation

GOLDEN = Path(__file__).parents[2] / "golden/ltx_transformer"
GRID, TOKENS, STRIDE = (4, 4, 4), 64, 61
CONFIG = dataclasses.replace(
    LTX_13B, layers=1, param_dtype="float32", dtype="float32", remat=False
)
WIDTH = CONFIG.width


def draw(name, shape):
    """As scripts/goldens/ltx_transformer.py draws it."""
    seed = json.loads(GOLDEN.with_suffix(".json").read_text())["seed"]
    rng = np.random.default_rng([seed, zlib.crc32(f"block.{name}".encode())])
    values = rng.standard_normal(shape)
    if "norm" in name:
        values = 1 + 0.3 * values
    elif name.endswith("weight"):
        values = values / np.sqrt(shape[-1])
    else:
        values = 0.5 * values
    return values.astype(np.float32)


def block_of(tensor):
    """Ours, of `tensor(diffusers' name, its shape)`."""
    abstract = nnx.eval_shape(lambda: Block(CONFIG, rngs=nnx.Rngs(0)))
    arrays = {}
    for path, leaf in flatten_dict(nnx.to_pure_dict(nnx.state(abstract))).items():
        name = weights.upstream_name("blocks." + ".".join(path), "diffusers")
        name = name.format(layer=0).removeprefix("transformer_blocks.0.")
        turned = path[-1] == "kernel"
        array = tensor(name, leaf.shape[::-1] if turned else leaf.shape)
        arrays[path] = jnp.asarray(array.T if turned else array)
    return nnx.merge(nnx.graphdef(abstract), unflatten_dict(arrays))


def run_block(block):
    """At a noise level of its own for every token."""
    fractions = coordinates(*GRID, fps=25, rope_time="causal") / jnp.asarray(
        CONFIG.max_position
    )
    turn = rotation(fractions[None], width=WIDTH)
    shared = draw("modulation", (1, TOKENS, 6, WIDTH))
    tokens, text = draw("tokens", (1, TOKENS, WIDTH)), draw("text", (1, 7, WIDTH))
    call = jax.jit(lambda block, *args: block(*args))
    return np.asarray(call(block, tokens, shared, text, turn, jnp.array([5])))


@pytest.mark.slow
def test_a_block_of_the_13b_equals_diffusers():
    out = run_block(block_of(draw))
    with np.load(GOLDEN.with_suffix(".npz")) as golden:
        wanted, norm = golden["block"], golden["block.norm"]
    np.testing.assert_allclose(out.ravel()[::STRIDE], wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(out.astype(np.float64)), norm, rtol=1e-5)
