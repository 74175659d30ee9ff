"""Our LTX-Video against diffusers' on torch: transformer and autoencoder, same weights.

  python scripts/bench/ltx.py [--figures dit_768_fwd,vae_encode] [--rounds 5]

Float32, two threads a side; runs are interleaved and the outputs of both sides compared
in the same run. A ratio is ours / diffusers', the median over rounds.

  dit_768_fwd, dit_2304_fwd    velocity of a transformer 512 wide with 8 blocks, 128
                               prompt tokens of which 100 count
  dit_768_grad, dit_2304_grad  its loss and the gradient of every parameter
  vae_encode, vae_decode       the 0.9.5 layout at a quarter of its width, 17 frames of
                               256 x 256
  temp_exponent                growth of the temporary bytes of our compiled gradient
                               over 768 to 6,144 tokens: n^exponent

Neither side rematerialises in the timed figures; `temp_exponent` has it on, as training
the published sizes does. The last line is JSON.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting torch threads steal time

import argparse
import dataclasses
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from cases import figure, machine
from diffusers import __version__ as diffusers_version
from diffusers.models.autoencoders.autoencoder_kl_ltx import AutoencoderKLLTXVideo
from diffusers.models.transformers.transformer_ltx import LTXVideoTransformer3DModel
from flax import nnx

from aw_jax.models.ltx import vae_weights, weights
from aw_jax.models.ltx.config import tiny
from aw_jax.models.ltx.positions import coordinates
from aw_jax.models.ltx.transformer import Transformer
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_config import VAE_095, VAEConfig
from aw_jax.models.ltx.vae_diffusers import to_diffusers
from aw_jax.runs.versions import versions

TIMESTEP = 0.05
"""Of the decoder."""
LEVEL, PROMPT, WORDS = 0.7, 128, 100
"""Noise level, prompt tokens, and how many of them count."""
DIT = tiny(width=512, layers=8, caption_channels=4096)
GROWTH = (768, 1536, 3072, 6144)
TOLERANCE = {"dit": 1e-3, "vae": 1e-4}
"""Relative L2 of every output or gradient."""
LIMITS = {"dit": 1.0, "vae": 1.5, "temp": 1.1}
Outputs = dict[str, np.ndarray]
Run = Callable[[], Callable[[], Outputs]]
"""Does the work, and returns what reads its results."""
NAMES = (
    *(f"dit_{n}_{kind}" for n in (768, 2304) for kind in ("fwd", "grad")),
    "vae_encode",
    "vae_decode",
)


@functools.cache
def transformers() -> tuple[Transformer, LTXVideoTransformer3DModel]:
    """Ours and theirs with the same random weights, no gain 1 and no bias 0."""
    torch.manual_seed(0)
    theirs = LTXVideoTransformer3DModel(
        num_layers=DIT.layers,
        num_attention_heads=DIT.heads,
        attention_head_dim=DIT.head_dim,
        cross_attention_dim=DIT.width,
        caption_channels=DIT.caption_channels,
    ).eval()
    for name, parameter in theirs.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter, mean=1, std=0.3)
    state = ((k, v.numpy()) for k, v in theirs.state_dict().items())
    return weights.from_upstream(DIT, state, "diffusers"), theirs


def inputs(tokens: int) -> dict[str, np.ndarray]:
    """Tokens of frames of 16 x 16, a prompt, and the cotangent of the velocity."""
    rng = np.random.default_rng(tokens)
    draw = lambda *shape: rng.standard_normal(shape, np.float32)
    coords = coordinates(tokens // 256, 16, 16, fps=24, rope_time=DIT.rope_time)
    return {
        "tokens": draw(1, tokens, DIT.in_channels),
        "text": draw(1, PROMPT, DIT.caption_channels),
        "coords": np.asarray(coords)[None],
        "outer": draw(1, tokens, DIT.out_channels),
    }


def velocity(model: Transformer, x: dict[str, Any]) -> jax.Array:
    """Ours at one noise level."""
    levels, lengths = jnp.full((1, 1), LEVEL), jnp.asarray([WORDS])
    return model(x["tokens"], x["coords"], levels, x["text"], text_lengths=lengths)


def gradient_of(model: Transformer) -> Callable[[nnx.State, dict[str, Any]], Any]:
    """(state, inputs) -> loss, and its gradient by every parameter."""
    graphdef = nnx.graphdef(model)

    def loss(state: nnx.State, x: dict[str, Any]) -> jax.Array:
        return jnp.vdot(velocity(nnx.merge(graphdef, state), x), x["outer"])

    return jax.jit(jax.value_and_grad(loss))


def their_velocity(
    model: LTXVideoTransformer3DModel, x: dict[str, torch.Tensor]
) -> torch.Tensor:
    return model(
        hidden_states=x["tokens"],
        encoder_hidden_states=x["text"],
        timestep=torch.full((1,), 1000 * LEVEL),
        encoder_attention_mask=(torch.arange(PROMPT) < WORDS)[None].float(),
        video_coords=x["coords"].mT,
        return_dict=False,
    )[0]


def forward_runs(tokens: int) -> tuple[Run, Run]:
    """(ours, theirs): the velocity."""
    (ours, theirs), x = transformers(), inputs(tokens)
    graphdef, state = nnx.split(ours)
    step = jax.jit(lambda state, x: velocity(nnx.merge(graphdef, state), x))
    x_torch = {k: torch.tensor(v) for k, v in x.items()}

    def run() -> Callable[[], Outputs]:
        out = jax.block_until_ready(step(state, x))
        return lambda: {"velocity": np.asarray(out)}

    @torch.no_grad()
    def their_run() -> Callable[[], Outputs]:
        out = their_velocity(theirs, x_torch)
        return lambda: {"velocity": out.numpy()}

    return run, their_run


def gradient_runs(tokens: int) -> tuple[Run, Run]:
    """(ours, theirs): <velocity, drawn> and its gradient by every parameter."""
    (ours, theirs), x = transformers(), inputs(tokens)
    graphdef, state = nnx.split(ours)
    step = gradient_of(ours)
    x_torch = {k: torch.tensor(v) for k, v in x.items()}

    def run() -> Callable[[], Outputs]:
        _, grads = jax.block_until_ready(step(state, x))
        return lambda: weights.to_upstream(nnx.merge(graphdef, grads), "diffusers")

    def their_run() -> Callable[[], Outputs]:
        theirs.zero_grad(set_to_none=True)
        torch.vdot(
            their_velocity(theirs, x_torch).flatten(), x_torch["outer"].flatten()
        ).backward()
        return lambda: {k: p.grad.numpy() for k, p in theirs.named_parameters()}

    return run, their_run


def narrowed(divisor: int) -> VAEConfig:
    """The 0.9.5 layout with every width divided."""
    return dataclasses.replace(
        VAE_095,
        encoder_widths=tuple(w // divisor for w in VAE_095.encoder_widths),
        decoder_widths=tuple(w // divisor for w in VAE_095.decoder_widths),
    )


@functools.cache
def autoencoders() -> tuple[VideoVAE, AutoencoderKLLTXVideo]:
    """Ours and theirs with the same random weights."""
    config = narrowed(4)
    torch.manual_seed(0)
    theirs = AutoencoderKLLTXVideo.from_config(to_diffusers(config)).eval()
    graphdef, state = vae_weights.abstract_vae(config)
    leaves, arrays = dict(nnx.to_flat_state(state)), {}
    for name, at in vae_weights.tensor_names(config, "diffusers").items():
        tensor = theirs.state_dict()[name].numpy()
        array = vae_weights.ours_from_upstream(tensor, at)
        arrays[at] = leaves[at].replace(jnp.asarray(array))
    return nnx.merge(graphdef, nnx.from_flat_state(arrays)), theirs


def encoder_runs() -> tuple[Run, Run]:
    """(ours, theirs): the mean latents of a video in [0, 1]."""
    ours, theirs = autoencoders()
    graphdef, state = nnx.split(ours)
    encode = jax.jit(lambda state, x: nnx.merge(graphdef, state).encode(x))
    video = np.random.default_rng(0).random((1, 17, 256, 256, 3), dtype=np.float32)
    pixels = torch.tensor(2 * video - 1).permute(0, 4, 1, 2, 3)

    def run() -> Callable[[], Outputs]:
        out = jax.block_until_ready(encode(state, video))
        return lambda: {"latents": np.asarray(out)}

    @torch.no_grad()
    def their_run() -> Callable[[], Outputs]:
        out = theirs.encode(pixels).latent_dist.mean
        return lambda: {"latents": out.permute(0, 2, 3, 4, 1).numpy()}

    return run, their_run


def decoder_runs() -> tuple[Run, Run]:
    """(ours, theirs): a video in [0, 1] from latents."""
    ours, theirs = autoencoders()
    graphdef, state = nnx.split(ours)
    decode = jax.jit(lambda s, z: nnx.merge(graphdef, s).decode(z, timestep=TIMESTEP))
    shape = (1, 3, 8, 8, ours.config.latent_channels)
    latents = np.random.default_rng(0).standard_normal(shape, np.float32)
    codes, t = torch.tensor(latents).permute(0, 4, 1, 2, 3), torch.tensor([TIMESTEP])

    def run() -> Callable[[], Outputs]:
        out = jax.block_until_ready(decode(state, latents))
        return lambda: {"video": np.asarray(out)}

    @torch.no_grad()
    def their_run() -> Callable[[], Outputs]:
        out = theirs.decode(codes, t).sample
        return lambda: {"video": (out.permute(0, 2, 3, 4, 1).numpy() + 1) / 2}

    return run, their_run


def runs_of(name: str) -> tuple[Run, Run]:
    kind, *rest = name.split("_")
    if kind == "vae":
        return {"encode": encoder_runs, "decode": decoder_runs}[rest[0]]()
    return {"fwd": forward_runs, "grad": gradient_runs}[rest[1]](int(rest[0]))


def compare(name: str, ours: Outputs, theirs: Outputs) -> float:
    """The largest relative L2 difference of an array, which must be small."""
    assert ours.keys() == theirs.keys()
    norm = np.linalg.norm
    errors = {k: norm(ours[k] - theirs[k]) / norm(theirs[k]) for k in theirs}
    worst = max(errors, key=lambda k: errors[k])
    if not errors[worst] < TOLERANCE[name[:3]]:
        sys.exit(f"error: {name}: {worst} differs by {errors[worst]:.1e}")
    return float(errors[worst])


def time_ratio(name: str, rounds: int) -> dict[str, Any]:
    """Interleaved runs, after one that compares the results."""
    ours, theirs = runs_of(name)
    error = compare(name, ours()(), theirs()())
    print(f"{name} relative L2: {error:.1e}", flush=True)
    pairs = [(_seconds(ours), _seconds(theirs)) for _ in range(rounds)]
    for kind, both in zip(("wall", "cpu"), np.moveaxis(pairs, 2, 0), strict=True):
        best = both.min(axis=0)
        print(f"{name} {kind} seconds (ours, theirs):", both.round(2).tolist())
        print(f"{name} {kind} best / best: {best[0] / best[1]:.2f}", flush=True)
    ratios = [ours[0] / theirs[0] for ours, theirs in pairs]
    return figure(statistics.median(ratios), [min(ratios), max(ratios)])


def _seconds(run: Run) -> tuple[float, float]:
    """On the clock, and of the processor: a busy machine only disturbs the first."""
    start, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - cpu


def temporary_bytes(tokens: int) -> int:
    """Of the gradient's program, blocks scanned and rematerialised."""
    config = dataclasses.replace(DIT, unroll=False, remat=True)
    model = nnx.eval_shape(lambda: Transformer(config, rngs=nnx.Rngs(0)))
    program = gradient_of(model).lower(nnx.state(model), inputs(tokens)).compile()
    analysis = program.memory_analysis()
    assert analysis is not None
    return analysis.temp_size_in_bytes


def growth() -> dict[str, Any]:
    """The exponent of the temporary bytes in the count of tokens."""
    sizes = [temporary_bytes(n) for n in GROWTH]
    print("temp_exponent: megabytes", [round(x / 1e6, 1) for x in sizes], "at", GROWTH)
    exponent = float(np.polyfit(np.log(GROWTH), np.log(sizes), 1)[0])
    steps = np.diff(np.log(sizes)) / np.diff(np.log(GROWTH))
    spread = [float(steps.min()), float(steps.max())]
    return figure(exponent, spread) | {"unit": "exponent"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", default=",".join((*NAMES, "temp_exponent")))
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(2)
    figures = {
        name: growth() if name == "temp_exponent" else time_ratio(name, args.rounds)
        for name in args.figures.split(",")
    }
    peers = {"diffusers": diffusers_version, "torch": torch.__version__}
    found = {"figures": figures, "machine": machine(), "versions": versions() | peers}
    print(json.dumps(found))
    sys.exit(
        any(x["value"] > LIMITS[name[:4].rstrip("_")] for name, x in figures.items())
    )


if __name__ == "__main__":
    main()
