"""Latents of clips, encoded once: what the transformer trains on.

A clip becomes four latent videos: clean, artifact, the reference of Eq. 1 and, where it
is labelled, the heatmap. The VAE is no linear map, so a mirrored clip is encoded again:
each of `variants` is one clip more. Latents are stored as float16.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grain
import jax.numpy as jnp
import numpy as np

from aw_jax.core import atomic
from aw_jax.core.arrays import Array, Float, UInt8
from aw_jax.core.errors import UserError
from aw_jax.data import clips, records
from aw_jax.data.clips import ClipRecord
from aw_jax.restoration.anchoring import AnchoringConfig, reference_latents
from aw_jax.runs.progress import progress

Encode = Callable[[Float[Array, "b f h w 3"]], Float[Array, "b n y x c"]]
STREAMS = ("clean", "artifact", "reference", "heatmap")
INDEX = "latents.json"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to look at a clip that is as likely as the clip itself."""

    mirrored: bool = False
    reversed: bool = False

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """The frames, time first, seen this way."""
        frames = frames[:, :, ::-1] if self.mirrored else frames
        return frames[::-1] if self.reversed else frames


VARIANTS = (
    Variant(),
    Variant(mirrored=True),
    Variant(reversed=True),
    Variant(mirrored=True, reversed=True),
)


def encode_folder(
    source: str | Path,
    target: str | Path,
    encode: Encode,
    *,
    codec: str,
    anchoring: AnchoringConfig,
    variants: int = 1,
    first: int | None = None,
) -> None:
    """Encodes every shard of clips in `source` to a shard of latents in `target`.

    Finished shards are not made again.

    Args:
        source: folder of clip records.
        target: folder of latents; new, or begun with the same codec and choices.
        encode: the VAE, videos in [0, 1] to normalised latents.
        codec: checksum of the VAE, so that latents of two VAEs never mix.
        anchoring: how references are made.
        variants: how many of `VARIANTS` are encoded.
        first: how many shards are encoded; None: all.

    Raises:
        UserError: `target` holds latents made otherwise.
    """
    target = Path(target)
    _claim(target, {"codec": codec, "variants": variants, "anchoring": str(anchoring)})
    paths = records.shards(source)[:first]
    with progress("latents", len(paths)) as bar:
        for done, path in enumerate(paths, start=1):
            file = target / path.name
            if not file.exists():
                made = _encoded(path, encode, anchoring, VARIANTS[:variants])
                records.write_shard(file, made)
            bar.update(done)


def _claim(target: Path, asked: dict[str, Any]) -> None:
    index = target / INDEX
    if index.exists() and atomic.read_json(index) != asked:
        raise UserError(
            f"{index}: expected latents of {asked}, got {atomic.read_json(index)}; "
            "delete the folder or name another."
        )
    atomic.write_json(index, asked)


def _encoded(
    path: Path,
    encode: Encode,
    anchoring: AnchoringConfig,
    variants: tuple[Variant, ...],
) -> Iterator[bytes]:
    for clip in clips.read_clips(path):
        for variant in variants:
            streams = encode_clip(clip, encode, anchoring, variant)
            yield records.pack(streams, {"clip": clip.notes, "variant": str(variant)})


def encode_clip(
    clip: ClipRecord, encode: Encode, anchoring: AnchoringConfig, variant: Variant
) -> dict[str, Float[np.ndarray, "n y x c"]]:
    """The latents of one clip, float16, by stream; no heatmap where none is known."""
    clean, artifact = _video(clip.clean, variant), _video(clip.artifact, variant)
    first, last = clean[:, 0], clean[:, -1]
    streams = {
        "clean": encode(clean),
        "artifact": encode(artifact),
        "reference": reference_latents(encode, artifact, first, last, anchoring),
    }
    if clip.heatmap is not None:
        grey = np.repeat(clip.heatmap[..., None], 3, axis=-1)
        streams["heatmap"] = encode(_video(grey, variant))
    return {name: np.asarray(z[0], np.float16) for name, z in streams.items()}


def _video(
    frames: UInt8[np.ndarray, "f h w 3"], variant: Variant
) -> Float[Array, "1 f h w 3"]:
    seen = np.ascontiguousarray(variant(frames))
    return jnp.asarray(seen, jnp.float32)[None] / 255


def one_pass(
    folder: str | Path, *, first: int | None = None
) -> Iterator[dict[str, np.ndarray]]:
    """The examples of `batches`, one shard at a time, each once, in their order."""
    for path in records.shards(folder)[:first]:
        found = [_example(record, str(path)) for record in records.read_shard(path)]
        if found:
            yield {name: np.stack([one[name] for one in found]) for name in found[0]}


def batches(
    folder: str | Path,
    *,
    size: int,
    seed: int,
    first: int | None = None,
    labelled: int = 0,
) -> grain.IterDataset:
    """Endless shuffled batches of {stream: "b n y x c" float32, "labelled": "b"}.

    Args:
        folder: of latents.
        size: clips in a batch.
        seed: of the order.
        first: how many shards are used; None: all.
        labelled: so many clips of every batch are drawn from those with a heatmap, the
            others from all. Within a batch, clips with heatmaps come first.

    Raises:
        UserError: labelled clips are asked for and there is none.
    """
    source = records.source(folder, first=first)
    data = _endless(range(len(source)), seed)
    if labelled:
        some = _endless(_labelled(source, str(folder)), seed + 1)
        shares = [labelled / size, 1 - labelled / size]
        data = grain.MapDataset.mix([some, data], shares) if labelled < size else some
    data = data.map(lambda index: _example(source[index], str(folder)))
    return data.to_iter_dataset().batch(size).map(_labelled_first)


def _endless(indices: Sequence[int], seed: int) -> grain.MapDataset:
    return grain.MapDataset.source(list(indices)).shuffle(seed=seed).repeat()


def _labelled(source: grain.sources.ArrayRecordDataSource, folder: str) -> list[int]:
    """The places of the records that hold a heatmap."""
    names = lambda index: records.array_names(source[index], where=folder)
    known = [index for index in range(len(source)) if "heatmap" in names(index)]
    if not known:
        raise UserError(
            f"{folder}: expected clips with heatmaps, got none; run the launcher label."
        )
    return known


def _labelled_first(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    order = np.argsort(~batch["labelled"], kind="stable")
    return {name: values[order] for name, values in batch.items()}


def _example(record: bytes, folder: str) -> dict[str, np.ndarray]:
    streams, _ = records.unpack(record, where=folder)
    labelled = "heatmap" in streams
    streams.setdefault("heatmap", np.zeros_like(streams["clean"]))
    example = {name: streams[name].astype(np.float32) for name in STREAMS}
    return example | {"labelled": np.asarray(labelled)}
