"""Text, images and videos to video with a checkpoint of LTX-Video.

--model is a single file, a diffusers pipeline, or a folder with transformer.safetensors
and vae.safetensors. The prompt is embedded by the T5 in --t5; what it made is kept in
--embeddings, and is enough the next time.

python -m aw_jax.launch.generate --model=ltxv.safetensors --t5=DIR --prompt="A fox" \
    --out=DIR
python -m aw_jax.launch.generate ... --image=first.png --image=last.png@-1:0.8
python -m aw_jax.launch.generate ... --clip=begin.mp4      (goes on with it)
python -m aw_jax.launch.generate ... --video=clip.mp4 \
    --config.sampling.sampler.start=0.7                    (changes it)
"""

import shutil
from pathlib import Path

import jax
import numpy as np
from absl import flags

from aw_jax.core.arrays import UInt8
from aw_jax.generation.config import NEGATIVE, GenerateConfig
from aw_jax.generation.run import Ready, Request, generated, prepared
from aw_jax.launch import app
from aw_jax.media import images, videos
from aw_jax.runs.folder import RunFolder
from aw_jax.runs.memory import peak_gigabytes
from aw_jax.runs.progress import Phases

flags.DEFINE_string("prompt", None, "What the video shows.")
flags.DEFINE_string("negative_prompt", NEGATIVE, "What it does not show.")
flags.DEFINE_multi_string("image", [], "A picture to keep: PATH[@FRAME[:STRENGTH]].")
flags.DEFINE_multi_string("clip", [], "A clip to keep: PATH[@FRAME[:STRENGTH]].")
flags.DEFINE_string("video", None, "A video to change, from a level below 1 on.")
flags.DEFINE_string("model", None, "The checkpoint: a file or a folder.")
flags.DEFINE_string("vae", None, "Its autoencoder, where --model has none.")
flags.DEFINE_string("upsampler", None, "Latent upsampler between two passes.")
flags.DEFINE_string("t5", None, "Folder of T5 and its tokenizer.")
flags.DEFINE_string("embeddings", None, "Folder of embedded prompts; OUT/prompts.")
flags.DEFINE_multi_string("lora", [], "An adapter: FILE[:SCALE]; several add up.")


def request(folder: Path) -> Request:
    """What the flags ask for."""
    given = app.FLAGS
    optional = lambda name: app.existing(name) if given[name].value else None
    return Request(
        prompt=app.required("prompt"),
        negative=given.negative_prompt,
        model=app.existing("model"),
        embeddings=Path(given.embeddings or folder / "prompts"),
        vae=optional("vae"),
        t5=optional("t5"),
        lora=tuple(given.lora),
        images=tuple(given.image),
        clips=tuple(given.clip),
        video=optional("video"),
        upsampler=optional("upsampler"),
    )


def run(config: GenerateConfig, folder: RunFolder) -> None:
    """Writes video.mp4 (image.png where it has one frame), and frames if asked to."""
    ready = prepared(request(folder.path), config)
    folder.begin()
    phases = Phases(folder.path / "work/seconds.json")
    key = jax.random.key(app.FLAGS.seed)
    frames = generated(ready, key, phase=phases)
    write(folder.path, frames, ready)
    folder.finish(
        {
            "frames": len(frames),
            "height": frames.shape[1],
            "width": frames.shape[2],
            "fps": ready.fps,
            "levels": ready.levels.tolist(),
            "rope_time": ready.transformer.rope_time,
            "seconds": phases.seconds,
            "peak_memory_gb": peak_gigabytes(),
        }
    )
    shutil.rmtree(folder.path / "work")


def write(folder: Path, frames: UInt8[np.ndarray, "f h w 3"], ready: Ready) -> None:
    """Writes the video, or the picture, and every frame where that was asked for."""
    if len(frames) == 1:
        images.write(folder / "image.png", frames[0])
    else:
        videos.write(folder / "video.mp4", frames, fps=ready.fps)
    if ready.config.lossless:
        videos.write_frames(folder / "frames", frames)


PRESET = GenerateConfig()
OWN = (
    "prompt",
    "negative_prompt",
    "image",
    "clip",
    "video",
    "model",
    "vae",
    "upsampler",
    "t5",
    "embeddings",
    "lora",
)

if __name__ == "__main__":
    app.launch(run, PRESET, own=OWN)
