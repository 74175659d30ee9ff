"""Our autoencoder against diffusers' on torch: encoding and decoding, same weights.

  python scripts/bench/ltx_vae.py [--rounds 5] [--width 4] [--size 17,256,256]

The 0.9.5 layout at a quarter of its width, 17 x 256 x 256 pixels, float32, two threads
a side. Runs are interleaved and the outputs of both sides compared in the same run. The
last line is JSON; a ratio is ours / diffusers'.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting torch threads steal time

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from diffusers import __version__ as diffusers_version
from diffusers.models.autoencoders.autoencoder_kl_ltx import AutoencoderKLLTXVideo
from flax import nnx

from aw_jax.models.ltx import vae_weights
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.models.ltx.vae_config import VAE_095, VAEConfig
from aw_jax.models.ltx.vae_diffusers import to_diffusers
from aw_jax.runs.versions import versions

TIMESTEP = 0.05
Run = Callable[[], np.ndarray]


def narrowed(divisor: int) -> VAEConfig:
    """The 0.9.5 layout with every width divided."""
    return dataclasses.replace(
        VAE_095,
        encoder_widths=tuple(w // divisor for w in VAE_095.encoder_widths),
        decoder_widths=tuple(w // divisor for w in VAE_095.decoder_widths),
    )


def both(config: VAEConfig) -> tuple[VideoVAE, AutoencoderKLLTXVideo]:
    """Ours and theirs with the same random weights."""
    torch.manual_seed(0)
    theirs = AutoencoderKLLTXVideo.from_config(to_diffusers(config)).eval()
    graphdef, state = vae_weights.abstract_vae(config)
    leaves, arrays = dict(nnx.to_flat_state(state)), {}
    for name, at in vae_weights.tensor_names(config, "diffusers").items():
        tensor = theirs.state_dict()[name].numpy()
        array = vae_weights.ours_from_upstream(tensor, at)
        arrays[at] = leaves[at].replace(jnp.asarray(array))
    return nnx.merge(graphdef, nnx.from_flat_state(arrays)), theirs


def runs(width: int, size: tuple[int, ...]) -> dict[str, tuple[Run, Run]]:
    """(ours, theirs) of each figure; both give videos or latents, channels last."""
    ours, theirs = both(narrowed(width))
    graphdef, state = nnx.split(ours)
    model = lambda state: nnx.merge(graphdef, state)
    encode = jax.jit(lambda state, x: model(state).encode(x))
    decode = jax.jit(lambda state, z: model(state).decode(z, timestep=TIMESTEP))
    video = np.random.default_rng(0).random((1, *size, 3), dtype=np.float32)
    latents = np.asarray(encode(state, video))
    t = torch.tensor([TIMESTEP])
    first = lambda x: torch.tensor(x).permute(0, 4, 1, 2, 3)
    last = lambda x: x.permute(0, 2, 3, 4, 1).numpy()
    pixels, codes = first(2 * video - 1), first(latents)
    return {
        "vae_encode": (
            lambda: np.asarray(encode(state, video)),
            lambda: last(theirs.encode(pixels).latent_dist.mean),
        ),
        "vae_decode": (
            lambda: np.asarray(decode(state, latents)),
            lambda: (last(theirs.decode(codes, t).sample) + 1) / 2,
        ),
    }


def figure(name: str, ours: Run, theirs: Run, rounds: int) -> dict[str, Any]:
    """The median ratio of interleaved runs, after one that compares the outputs."""
    difference = np.abs(ours() - theirs()).max()
    assert difference < 1e-4, f"{name}: outputs differ by {difference}"
    seconds = [(_seconds(ours), _seconds(theirs)) for _ in range(rounds)]
    print(name, f"differs by {difference:.1e};", "seconds (ours, theirs):", seconds)
    ratios = [a / b for a, b in seconds]
    spread = [min(ratios), max(ratios)]
    value = statistics.median(ratios)
    return {"value": value, "unit": "ratio", "better": "lower", "spread": spread}


def _seconds(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--width", type=int, default=4, help="divides every width")
    parser.add_argument("--size", default="17,256,256", help="frames,rows,columns")
    args = parser.parse_args()
    torch.set_num_threads(2)
    machine = {"cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}
    size = tuple(map(int, args.size.split(",")))
    with torch.no_grad():
        figures = {
            name: figure(name, *pair, args.rounds)
            for name, pair in runs(args.width, size).items()
        }
    peers = {"diffusers": diffusers_version, "torch": torch.__version__}
    found = {"figures": figures, "machine": machine, "versions": versions() | peers}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
