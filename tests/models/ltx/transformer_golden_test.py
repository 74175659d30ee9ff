"""The transformer against diffusers' and PEFT's outputs (scripts/goldens)."""

import functools
import hashlib
import json
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aw_jax.models.ltx import config as ltx
from aw_jax.models.ltx import weights
from aw_jax.models.ltx.lora_files import adapter_tensors
from aw_jax.models.ltx.positions import coordinates
from aw_jax.nn import lora
from aw_jax.nn.rope import rotation

GOLDEN = Path(__file__).parents[2] / "golden/ltx_transformer"
PROVENANCE = json.loads(GOLDEN.with_suffix(".json").read_text())
GRID, STRIDE = (5, 3, 4), 7
TOKENS = 60
HEADS = {"width64": (4, 16), "width32": (4, 8)}
FULL = {"13b": ltx.LTX_13B, "2b": ltx.LTX_2B}


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDEN.with_suffix(".npz")))


def draw(name, shape):
    """As scripts/goldens/ltx_transformer.py draws it."""
    rng = np.random.default_rng([PROVENANCE["seed"], zlib.crc32(name.encode())])
    values = rng.standard_normal(shape)
    if "norm" in name:
        values = 1 + 0.3 * values
    elif name.endswith("weight"):
        values = values / np.sqrt(shape[-1])
    else:
        values = 0.5 * values
    return values.astype(np.float32)


def config_of(width):
    heads, head_dim = HEADS[width]
    return ltx.TransformerConfig(
        layers=2,
        heads=heads,
        head_dim=head_dim,
        caption_channels=32,
        in_channels=8,
        out_channels=8,
        rope_time="causal",
    )


@functools.cache
def transformer(width):
    config = config_of(width)
    slots = weights.tensor_names(config, "diffusers").items()
    shapes = ((name, weights.tensor_shape(config, slot)) for name, slot in slots)
    tensors = ((name, draw(name, shape)) for name, shape in shapes)
    return weights.from_upstream(config, tensors, "diffusers")


@jax.jit
def run(model, levels):
    tokens = jnp.asarray(draw("input.tokens", (2, TOKENS, 8)))
    text = jnp.asarray(draw("input.text", (2, 7, 32)))
    coords = coordinates(*GRID, fps=25, rope_time="causal")[None]
    return model(tokens, coords, levels, text, text_lengths=jnp.array([5, 7]))


def levels_of(columns):
    rng = np.random.default_rng([PROVENANCE["seed"], columns])
    return jnp.asarray(rng.uniform(size=(2, columns)), jnp.float32)


@pytest.mark.parametrize("kind", ["scalar", "token"])
@pytest.mark.parametrize("width", HEADS)
def test_velocity_equals_upstream(golden, width, kind):
    levels = levels_of(1 if kind == "scalar" else TOKENS)
    got = run(transformer(width), levels)
    np.testing.assert_allclose(got, golden[f"{width}.{kind}"], atol=1e-5)


def adapted_model():
    """The golden's adapter, drawn under PEFT's names, on a split model."""
    base = transformer("width32")
    model = lora.attach(base, name="x", rank=4, alpha=8, rngs=nnx.Rngs(0))
    updates = {}
    for path, layer in lora.adapted_layers(model).items():
        name = weights.upstream_name(f"{path}.kernel", "diffusers")
        keys = [name.removesuffix(".weight").format(layer=i) for i in range(2)]
        old = layer.adapters["x"]
        a, b = (
            np.stack([draw(f"{key}.{part}.weight", p.shape[:0:-1]).T for key in keys])
            for part, p in (("lora_A", old.a), ("lora_B", old.b))
        )
        updates[path] = lora.LowRank(jnp.asarray(a), jnp.asarray(b), scale=old.scale)
    return lora.insert(base, "x", updates)


def test_adapted_velocity_and_every_gradient_equal_peft(golden):
    graphdef, adapter, frozen = lora.split(adapted_model(), "x")
    weight = jnp.asarray(draw("loss.weight", (2, TOKENS, 8)))

    @jax.jit
    def value_and_grad(adapter, frozen):
        def loss(adapter):
            velocity = run(lora.join(graphdef, adapter, frozen), levels_of(TOKENS))
            return (velocity * weight).sum(), velocity

        return jax.grad(loss, has_aux=True)(adapter)

    grads, velocity = value_and_grad(adapter, frozen)
    np.testing.assert_allclose(velocity, golden["adapted"], atol=1e-5)
    # Gradients leave under upstream's names as if they were the adapter itself; B's
    # carries alpha / r = 2 on its way out.
    named = adapter_tensors(lora.join(graphdef, grads, frozen), "x")
    assert len(named) == 40
    for name, got in named.items():
        wanted = golden["gradient." + name.removeprefix("transformer.")]
        scale = 2 if "lora_B" in name else 1
        error = np.linalg.norm(got / scale - wanted) / np.linalg.norm(wanted)
        assert error < 1e-3, (name, error)


@pytest.mark.parametrize("fps", [24, 25, 30])
@pytest.mark.parametrize("kind", ["causal", "plain"])
@pytest.mark.parametrize("width", HEADS)
def test_rotary_tables_equal_upstream(golden, width, kind, fps):
    coords = coordinates(*GRID, fps=fps, rope_time=kind)
    fractions = coords / jnp.asarray(ltx.LTX_13B.max_position)
    turn = rotation(fractions, width=config_of(width).width)
    got = np.stack([turn.cos, turn.sin])[:, ::STRIDE]
    np.testing.assert_allclose(got, golden[f"rope.{width}.{kind}.{fps}"], atol=1e-6)


@pytest.mark.parametrize("layout", ["diffusers", "lightricks"])
@pytest.mark.parametrize("size", FULL)
def test_full_size_names_and_shapes_equal_upstream(size, layout):
    names = weights.tensor_names(FULL[size], layout)
    lines = "\n".join(
        f"{name} {list(weights.tensor_shape(FULL[size], names[name]))}"
        for name in sorted(names)
    )
    expected = PROVENANCE["names"][f"{size}.{layout}"]
    assert len(names) == expected["count"] == {"13b": 1215, "2b": 715}[size]
    assert hashlib.sha256(lines.encode()).hexdigest() == expected["sha256"]
