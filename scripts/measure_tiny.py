"""Figures of a restorer on held-out clips of true sparse fits, beside ridge regression.

python scripts/measure_tiny.py PARTS TRAIN_CLIPS HELD_OUT_CLIPS [SHEET.png]

Prints, as mean over clips and over frames 1 .. f - k - 1 and all frames: PSNR of the
autoencoder's round trip, of the artifact, of ridge regression in latent space (with the
same bypass), of the restored clip; and the Pearson correlation of heatmaps with LPIPS,
of the model's and, where its paths start at linear estimates, of those.
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.data import clips, records
from aw_jax.data.clips import ClipRecord
from aw_jax.data.latents import Variant, encode_clip
from aw_jax.dataengine.labels import LabelConfig, Labeller
from aw_jax.media import images
from aw_jax.metrics.pearson import moments
from aw_jax.restoration import model_files, pipeline
from aw_jax.restoration.pipeline import RestorationModels
from aw_jax.restoration.ridge import Ridge, estimate
from aw_jax.runs.progress import say

HELD_OUT, FOR_RIDGE = 20, 150


def spread(folder: str, count: int) -> list[ClipRecord]:
    """`count` clips evenly spread over a folder."""
    source = records.source(folder)
    picked = np.linspace(0, len(source) - 1, min(count, len(source))).round()
    return [clips.from_bytes(source[int(i)], where=folder) for i in picked]


def psnr(found: np.ndarray, clip: ClipRecord) -> tuple[float, float]:
    """Mean PSNR of frames the model saw a render of, and of all frames."""
    truth = clip.clean.astype(np.float32) / 255
    seen = np.round(np.clip(found, 0, 1) * 255) / 255
    error = np.maximum(np.square(seen - truth).mean(axis=(1, 2, 3)), 1e-10)
    frames = -10 * np.log10(error)
    return float(frames[1:-8].mean()), float(frames.mean())


def ridge_weights(models: RestorationModels, train: str) -> jax.Array:
    """The model's own, or weights from training clips."""
    if models.ridge is not None:
        return models.ridge.clean
    encode, ridge = jax.jit(models.vae.encode), Ridge(penalty=1000)
    for clip in spread(train, FOR_RIDGE):
        streams = encode_clip(clip, encode, models.method.anchoring, Variant())
        parts = [
            jnp.asarray(streams[name], jnp.float32)[None]
            for name in ("reference", "artifact", "clean")
        ]
        ridge.add(*parts)
    return ridge.solve()


def strip(
    clip: ClipRecord, heat: jax.Array, truth: np.ndarray, restored: jax.Array
) -> np.ndarray:
    """Frames 4 and 12: clean, artifact, true heatmap, predicted one, restored."""
    grey = [np.repeat(np.asarray(h)[..., None], 3, axis=-1) for h in (truth, heat)]
    videos = [clip.clean / 255.0, clip.artifact / 255.0, *grey, np.asarray(restored)]
    return np.concatenate([video[at] for at in (4, 12) for video in videos], axis=1)


def main(parts: str, train: str, held_out: str, sheet: str = "") -> None:
    """Measures and prints one JSON object."""
    models = model_files.load(parts)
    weights = ridge_weights(models, train)
    predict, repair = jax.jit(pipeline.predict_heatmap), jax.jit(pipeline.restore)
    encode, decode = jax.jit(models.vae.encode), jax.jit(models.vae.decode)
    labeller = Labeller(LabelConfig())
    rows: dict[str, list] = {}
    pictures = []
    for clip in spread(held_out, HELD_OUT):
        clean, artifact = (
            jnp.asarray(x, jnp.float32) / 255 for x in (clip.clean, clip.artifact)
        )
        shown = pipeline.Clip(artifact=artifact, first=clean[0], last=clean[-1])
        heat = predict(models, shown, jax.random.key(0))
        restored = repair(models, shown, heat, jax.random.key(1))
        streams = encode_clip(clip, encode, models.method.anchoring, Variant())
        z = {k: jnp.asarray(v, jnp.float32)[None] for k, v in streams.items()}
        linear = estimate(weights, z["reference"], z["artifact"])
        change = decode(linear)[0] - decode(z["artifact"])[0]
        found = {
            "round_trip": decode(encode(clean[None]))[0],
            "artifact": artifact,
            "ridge": artifact + change,
            "restored": restored,
        }
        for name, video in found.items():
            rows.setdefault(name, []).append(psnr(np.asarray(video), clip))
        truth = labeller.heatmaps(clip.clean, clip.artifact).astype(np.float32) / 255
        pearson = lambda heat, truth=truth: (
            moments(np.asarray(heat)[1:-8], truth[1:-8]).correlation
        )
        rows.setdefault("pearson", []).append(pearson(heat))
        if models.ridge is not None:
            linear = estimate(models.ridge.heatmap, z["reference"], z["artifact"])
            grey = decode(linear)[0].mean(axis=-1).clip(0, 1)
            rows.setdefault("ridge pearson", []).append(pearson(grey))
        pictures.append(strip(clip, heat, truth, restored))
        say(f"{clip.notes.get('scene')}: {rows['artifact'][-1]} {rows['restored'][-1]}")
    told = {name: np.nanmean(np.asarray(v, float), axis=0) for name, v in rows.items()}
    print(json.dumps({name: np.round(v, 3).tolist() for name, v in told.items()}))
    if sheet:
        images.write(
            Path(sheet), np.uint8(np.clip(np.concatenate(pictures, 0), 0, 1) * 255)
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
