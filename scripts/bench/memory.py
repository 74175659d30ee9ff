"""Memory of a step at full size, compiled for devices that need not exist.

  python scripts/bench/memory.py [--size 2b] [--step train] [--tokens 2688]
      [--rank 128] [--mesh 8,1]

Compiles the project's step from abstract arrays: of training an adapter on a frozen
base (LTX-Video 2B or 13B, bfloat16, every block rematerialised), or of sampling with
it, prompt and negative prompt together. The mesh (fsdp, seq) is of virtual CPU devices:
parameters and samples lie over `fsdp`, one sample for each row of the mesh, tokens over
`seq`. 2,688 tokens are 49 frames of 512 x 768. Megabytes are per device; `temporary` is
an upper bound, for XLA widens bfloat16 on a CPU. The last line is JSON.
"""

import argparse
import dataclasses
import json
import os
import time
from typing import Any

import numpy as np

SIZES = {"2b": "LTX_2B", "13b": "LTX_13B"}
PROMPT = 128
MEGA = 1e6


def abstract(shape: tuple[int, ...], mesh: Any, *axes: str | None) -> Any:
    """A float32 array of this shape that lies on the mesh so."""
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    sharding = NamedSharding(mesh, PartitionSpec(*axes))
    return jax.ShapeDtypeStruct(shape, np.float32, sharding=sharding)


def placed(tree: Any, mesh: Any) -> Any:
    """Abstract parameters (nested dicts) that lie over `fsdp` as in training."""
    import jax
    from flax.traverse_util import flatten_dict, unflatten_dict

    from aw_jax.models.ltx.placement import spread

    place = spread(mesh, "fsdp")
    lying = {
        path: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=place(".".join(map(str, path)), leaf.shape)
        )
        for path, leaf in flatten_dict(tree).items()
    }
    return unflatten_dict(lying)


def batch_of(config: Any, mesh: Any, tokens: int) -> dict[str, Any]:
    """One sample for each row of the mesh."""
    rows = mesh.shape["fsdp"]
    spread = ("fsdp", "seq")
    return {
        "tokens": abstract((rows, tokens, config.in_channels), mesh, *spread),
        "coords": abstract((rows, tokens, 3), mesh, *spread),
        "target": abstract((rows, tokens, config.out_channels), mesh, *spread),
        "levels": abstract((rows, 1), mesh, "fsdp"),
        "text": abstract((rows, PROMPT, config.caption_channels), mesh, "fsdp"),
    }


def abstract_adapter(size: str, rank: int) -> tuple[Any, Any, Any, Any]:
    """(config, graphdef, adapter, frozen) of a model nobody holds."""
    from flax import nnx

    from aw_jax.models.ltx import config as ltx
    from aw_jax.models.ltx.transformer import Transformer
    from aw_jax.nn import lora

    config = dataclasses.replace(getattr(ltx, SIZES[size]), sequence="seq")

    def build() -> Transformer:
        model = Transformer(config, rngs=nnx.Rngs(0))
        return lora.attach(model, name="x", rank=rank, alpha=rank, rngs=nnx.Rngs(0))

    return config, *lora.split(nnx.eval_shape(build), "x")


def abstract_state(adapter: Any, optimizer: Any) -> Any:
    """What training carries; averages and moments lie as the adapter does."""
    import jax
    import optax

    from aw_jax.core.pytrees import replace
    from aw_jax.train.state import initial_state

    state = jax.eval_shape(lambda x: initial_state(x, optimizer), adapter)
    as_adapter = lambda _, leaf: leaf
    moments = optax.tree.map_params(optimizer, as_adapter, state.opt_state, adapter)
    return replace(state, params=adapter, average=adapter, opt_state=moments)


def compile_training(size: str, tokens: int, rank: int, mesh: Any) -> Any:
    """Loss, gradient and update of the adapter."""
    import jax
    import jax.numpy as jnp

    from aw_jax.nn import lora
    from aw_jax.train.optimizer import OptimizerConfig, make_optimizer
    from aw_jax.train.step import make_step

    config, graphdef, adapter, frozen = abstract_adapter(size, rank)
    adapter, frozen = placed(adapter, mesh), placed(frozen, mesh)

    def loss(adapter: Any, frozen: Any, batch: dict[str, Any], key: Any) -> Any:
        model = lora.join(graphdef, adapter, frozen)
        inputs = (batch[k] for k in ("tokens", "coords", "levels", "text"))
        return jnp.mean((model(*inputs) - batch["target"]) ** 2), {}

    optimizer = make_optimizer(OptimizerConfig(), 1000)
    step = make_step(loss, optimizer, average_decay=0.999)
    state, batch = abstract_state(adapter, optimizer), batch_of(config, mesh, tokens)
    key = jax.eval_shape(lambda: jax.random.key(0))
    with jax.set_mesh(mesh):
        return step.lower(state, frozen, batch, key).compile()


def compile_sampling(size: str, tokens: int, rank: int, mesh: Any) -> Any:
    """One guided Euler step of videos without given frames."""
    import jax

    from aw_jax.flow import guidance
    from aw_jax.models.ltx.conditioning import Canvas
    from aw_jax.models.ltx.guided_sampling import GuidedConfig, Prompts, sample_guided
    from aw_jax.models.ltx.sampling import SamplerConfig
    from aw_jax.nn import lora

    config, graphdef, adapter, frozen = abstract_adapter(size, rank)
    model = lora.join(graphdef, placed(adapter, mesh), placed(frozen, mesh))
    batch, rows = batch_of(config, mesh, tokens), mesh.shape["fsdp"]
    start = Canvas(
        tokens=batch["tokens"],
        coords=abstract((1, tokens, 3), mesh, None, "seq"),
        strengths=abstract((1,), mesh),
        segments=(tokens,),
    )
    lengths = jax.ShapeDtypeStruct((rows,), np.int32)
    prompts = Prompts(
        positive=batch["text"],
        positive_lengths=lengths,
        negative=batch["text"],
        negative_lengths=lengths,
    )
    key = jax.eval_shape(lambda: jax.random.key(0))
    once = GuidedConfig(
        sampler=SamplerConfig(steps=1), guidance=guidance.constant(guidance=3.0)
    )
    with jax.set_mesh(mesh):
        return sample_guided.lower(model, start, prompts, key, config=once).compile()


STEPS = {"train": compile_training, "sample": compile_sampling}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="2b")
    parser.add_argument("--step", choices=STEPS, default="train")
    parser.add_argument("--tokens", type=int, default=2688)
    parser.add_argument("--rank", type=int, default=128)
    parser.add_argument("--mesh", default="8,1", help="fsdp,seq")
    args = parser.parse_args()
    shape = tuple(map(int, args.mesh.split(",")))
    count = f"--xla_force_host_platform_device_count={np.prod(shape)}"
    os.environ |= {"XLA_FLAGS": count, "JAX_PLATFORMS": "cpu"}
    import jax

    mesh = jax.make_mesh(shape, ("fsdp", "seq"), (jax.sharding.AxisType.Auto,) * 2)
    start = time.perf_counter()
    compiled = STEPS[args.step](args.size, args.tokens, args.rank, mesh)
    found = compiled.memory_analysis()
    assert found is not None
    megabytes = {
        "arguments": found.argument_size_in_bytes / MEGA,
        "temporary": found.temp_size_in_bytes / MEGA,
    }
    seconds = time.perf_counter() - start
    print(json.dumps({**vars(args), "per_device_mb": megabytes, "seconds": seconds}))


if __name__ == "__main__":
    main()
