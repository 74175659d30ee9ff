"""Samples and tokens spread over eight devices give the values of one."""

import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import pytest

from aw_jax.nn.sharded_attention import sharded_attend

ROOT = Path(__file__).parents[3]
EIGHT = """
import dataclasses, sys
import jax, jax.numpy as jnp, numpy as np
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec as P
from aw_jax.models.ltx import config as ltx, weights
from aw_jax.models.ltx.placement import spread

mesh = jax.make_mesh((4, 2), ("fsdp", "seq"), (jax.sharding.AxisType.Auto,) * 2)
jax.set_mesh(mesh)
rng = np.random.default_rng(0)
drawn = {name: 0.3 * rng.standard_normal(weights.tensor_shape(ltx.PROBE, slot))
         for name, slot in weights.tensor_names(ltx.PROBE, "diffusers").items()}
inputs = (rng.standard_normal((4, 16, 128), np.float32),
          100 * rng.random((4, 16, 3), np.float32),
          rng.random((4, 2), np.float32),
          rng.standard_normal((4, 5, 16), np.float32))
lengths = np.array([5, 3, 1, 4])

def velocity(model, inputs, lengths):
    return model(*inputs, text_lengths=lengths, segments=(8, 8))

loss = lambda *args: (velocity(*args) ** 2).mean()
run = jax.jit({"velocity": velocity, "gradient": jax.grad(loss)}[sys.argv[1]])

def outcome(config, place, inputs):
    model = weights.from_upstream(config, drawn.items(), "diffusers", place=place)
    return run(model, inputs, lengths)

wanted = outcome(ltx.PROBE, None, inputs)
tokens, rows = NamedSharding(mesh, P("fsdp", "seq")), NamedSharding(mesh, P("fsdp"))
placed = jax.device_put(inputs, (tokens, tokens, rows, rows))
config = dataclasses.replace(ltx.PROBE, sequence="seq")
got = outcome(config, spread(mesh, "fsdp"), placed)
atol = {"velocity": 2e-5, "gradient": 1e-5}[sys.argv[1]]  # velocities reach 28
for one, other in zip(jax.tree.leaves(wanted), jax.tree.leaves(got), strict=True):
    np.testing.assert_allclose(other, one, atol=atol)
    assert np.linalg.norm(other - one) < 2e-6 * np.linalg.norm(one)
assert all(len(x.addressable_shards) == 8 for x in jax.tree.leaves(got))
print("same")
"""


@pytest.mark.parametrize(
    "what", ["velocity", pytest.param("gradient", marks=pytest.mark.slow)]
)
def test_eight_devices_compute_what_one_does(what):
    done = subprocess.run(
        [sys.executable, "-c", EIGHT, what],
        cwd=ROOT,
        env={
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=8 "
            "--xla_backend_optimization_level=0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "same"


def test_a_mesh_without_the_axis_is_named():
    x = jnp.zeros((1, 4, 2, 8))
    with pytest.raises(ValueError, match="mesh axis 'seq' needs a mesh"):
        sharded_attend(x, x, x, axis="seq", spread_keys=True)
