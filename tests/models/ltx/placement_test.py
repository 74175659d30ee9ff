"""A checkpoint is spread over devices as it is read, and holds the same values."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import config as ltx
from aw_jax.models.ltx import weights
from aw_jax.models.ltx.placement import spread
from aw_jax.models.ltx.transformer_files import save_transformer

ROOT = Path(__file__).parents[3]
EIGHT = """
import json, sys
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from aw_jax.models.ltx.placement import spread
from aw_jax.models.ltx.transformer_files import load_transformer
mesh = jax.make_mesh((2, 4), ("copies", "fsdp"))
by_layer = lambda path, shape: NamedSharding(
    mesh, PartitionSpec("copies" if path.startswith("blocks.") else None))
whole = jax.tree.leaves(load_transformer(sys.argv[1]))
sizes = []
for place in (spread(mesh, "fsdp"), by_layer):
    placed = jax.tree.leaves(load_transformer(sys.argv[1], place=place))
    for one, other in zip(whole, placed, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
        assert len(other.addressable_shards) == 8
    shards = [x.addressable_shards[0].data.nbytes for x in placed]
    sizes.append(sum(shards) / sum(x.nbytes for x in whole))
print(json.dumps(sizes))
"""


def checkpoint(path, config):
    rng = np.random.default_rng(0)
    tensors = (
        (name, rng.standard_normal(weights.tensor_shape(config, slot)))
        for name, slot in weights.tensor_names(config, "lightricks").items()
    )
    save_transformer(path, weights.from_upstream(config, tensors, "lightricks"))


def test_eight_devices_hold_their_parts_and_the_same_values(tmp_path):
    path = tmp_path / "m.safetensors"
    checkpoint(path, ltx.PROBE)
    done = subprocess.run(
        [sys.executable, "-c", EIGHT, str(path)],
        cwd=ROOT,
        env={
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    spread_over_four, by_layer = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(spread_over_four, 1 / 4, atol=1e-6)
    assert 1 / 2 < by_layer < 0.9  # what lies outside the blocks is whole


@pytest.mark.parametrize(
    ("path", "shape", "wanted"),
    [
        ("proj_in.kernel", (16, 32), (None, "fsdp")),
        ("proj_in.kernel", (32, 17), ("fsdp", None)),
        ("blocks.ff.up.kernel", (48, 16, 8), (None, "fsdp", None)),
        ("blocks.47.ff.up.kernel", (32, 16), ("fsdp", None)),
        ("scale_shift_table", (2, 9), (None, None)),
    ],
)
def test_the_largest_axis_that_divides_is_sharded(path, shape, wanted):
    mesh = jax.sharding.AbstractMesh((8,), ("fsdp",))
    assert tuple(spread(mesh, "fsdp")(path, shape).spec) == wanted


def test_a_tensor_that_comes_twice_is_refused():
    names = list(weights.tensor_names(ltx.PROBE, "diffusers").items())
    name, slot = names[0]
    tensor = np.zeros(weights.tensor_shape(ltx.PROBE, slot))
    with pytest.raises(UserError, match=f"{name} is there twice"):
        weights.from_upstream(ltx.PROBE, [(name, tensor)] * 2, "diffusers")


def test_arrays_are_the_models_own():
    """Writing over what they were made of changes nothing."""
    draws = {
        name: np.ones(weights.tensor_shape(ltx.PROBE, slot), np.float32)
        for name, slot in weights.tensor_names(ltx.PROBE, "diffusers").items()
    }
    model = weights.from_upstream(ltx.PROBE, draws.items(), "diffusers")
    for tensor in draws.values():
        tensor[...] = 7
    assert all(bool((x == 1).all()) for x in jax.tree.leaves(model))
