"""`generate` end to end: random networks around the shipped autoencoder."""

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

import aw_jax
from aw_jax.media import images, videos
from aw_jax.models.ltx import config as ltx
from aw_jax.models.ltx import conversion, weights
from aw_jax.models.ltx.lora_pairs import Pair, save_pairs
from aw_jax.models.ltx.safetensors_files import save_tensors
from aw_jax.models.ltx.transformer_files import PREFIX
from aw_jax.models.ltx.upsampler import LatentUpsampler, UpsamplerConfig
from aw_jax.models.ltx.upsampler_files import save_upsampler
from aw_jax.models.ltx.vae_files import PREFIX as VAE_PREFIX
from aw_jax.models.ltx.vae_files import load_vae, upstream_tensors
from aw_jax.models.ltx.vae_lightricks import to_lightricks

SHIPPED = Path(aw_jax.__file__).parent / "restoration/ltx_tiny/vae.safetensors"
T5 = Path(__file__).parents[1] / "models/t5/conftest.py"
SIZE = (9, 20, 28)
SMALL = (
    "--config.frames=9",
    "--config.height=20",
    "--config.width=28",
    "--config.precision=float32",
    "--config.text.length=12",
    "--config.text.dtype=float32",
    "--config.sampling.sampler.steps=2",
    "--config.sampling.sampler.schedule=uniform",
    "--config.sampling.guidance.blocks=1",
    "--config.sampling.cond_noise=0",
    "--config.lossless=true",
    "--negative_prompt=holes",
)
PROMPT = "--prompt=a red car"


def write_t5(folder):
    """A tiny T5 and its tokenizer, of the tests of the encoder."""
    spec = importlib.util.spec_from_file_location("tiny_t5", T5)
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    tiny.write_encoder(folder / "text_encoder", tiny.drawn())
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer/spiece.model").write_bytes(tiny.train_tokenizer())
    return folder


def write_model(path, **metadata):
    """A single file: a random transformer beside the autoencoder, as published."""
    rng = np.random.default_rng(0)
    config = dataclasses.replace(ltx.PROBE, rope_time="plain")
    tensors = {
        PREFIX + name: 0.1
        * rng.standard_normal(weights.tensor_shape(config, slot)).astype(np.float32)
        for name, slot in weights.tensor_names(config, "lightricks").items()
    }
    vae = load_vae(SHIPPED)
    own = upstream_tensors(vae, "lightricks").items()
    tensors |= {VAE_PREFIX + name: tensor for name, tensor in own}
    entry = {
        "transformer": ltx.to_upstream(config),
        "vae": to_lightricks(vae.config),
    }
    save_tensors(path, tensors, metadata={"config": json.dumps(entry | metadata)})
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generate")
    write_model(folder / "model.safetensors")
    write_t5(folder / "t5")
    rows, columns = np.mgrid[0:40, 0:56]
    picture = np.stack([4 * rows, 4 * columns, 200 - 4 * rows], axis=-1)
    images.write(folder / "picture.png", picture.astype(np.uint8))
    clip = np.stack([np.roll(picture, k, axis=1) for k in range(11)]).astype(np.uint8)
    videos.write_frames(folder / "clip", clip)
    return folder


@pytest.fixture
def generate(launch, files, tmp_path):
    """Runs the launcher into a folder of this name."""

    def run(name, *arguments, model=files / "model.safetensors"):
        out = f"--out={tmp_path / name}"
        given = (f"--model={model}", out, *SMALL, *arguments)
        told = launch("generate", *given)
        return told, tmp_path / name

    return run


def frames_of(folder):
    shown = videos.read(folder / "frames").frames
    assert shown.shape == (*SIZE, 3)
    return shown.astype(np.float32) / 255


def psnr(one, two):
    return -10 * np.log10(np.mean((one - two) ** 2))


@pytest.fixture(scope="module")
def shrunk(files):
    """The picture in the size of the video."""
    picture = images.read(files / "picture.png").astype(np.float32) / 255
    return picture.reshape(20, 2, 28, 2, 3).mean(axis=(1, 3))


def test_text_to_video_and_again_without_t5(generate, files, tmp_path):
    told, out = generate("first", PROMPT, f"--t5={files / 't5'}")
    assert told.status == 0, told.lines
    assert frames_of(out).std() > 0.01
    assert videos.read(out / "video.mp4").frames.shape == (*SIZE, 3)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["levels"] == [1.0, 0.5, 0.0]
    assert metrics["rope_time"] == "plain"
    assert metrics["fps"] == 30
    assert set(metrics["seconds"]) == {"prompts", "encode", "load", "sample", "decode"}
    assert json.loads((out / "config.json").read_text())["prompt"] == "a red car"
    told, again = generate("again", PROMPT, f"--embeddings={out / 'prompts'}")
    assert told.status == 0, told.lines
    assert (again / "video.mp4").read_bytes() == (out / "video.mp4").read_bytes()
    np.testing.assert_array_equal(frames_of(again), frames_of(out))
    told, other = generate(
        "other", PROMPT, f"--embeddings={out / 'prompts'}", "--seed=1"
    )
    assert told.status == 0, told.lines
    assert abs(frames_of(other) - frames_of(out)).max() > 0.02
    told, _ = generate("none", "--prompt=a blue car", f"--embeddings={out / 'prompts'}")
    assert told.status == 2
    assert "expected one embedding of 'a blue car'" in told.errors[0]


def test_a_given_picture_is_the_first_frame(generate, files, shrunk):
    told, out = generate(
        "image", PROMPT, f"--t5={files / 't5'}", f"--image={files / 'picture.png'}"
    )
    assert told.status == 0, told.lines
    shown = frames_of(out)
    near = [psnr(frame, shrunk) for frame in shown]
    # The autoencoder keeps it at 37.5 dB; nothing asks the other frames to be like it.
    assert near[0] > 30
    assert max(near[1:]) < 20


def test_a_video_is_changed_from_the_level_it_is_noised_to(generate, files, shrunk):
    start = "--config.sampling.sampler.start=0.1"
    told, out = generate(
        "video", PROMPT, f"--t5={files / 't5'}", f"--video={files / 'clip'}", start
    )
    assert told.status == 0, told.lines
    assert psnr(frames_of(out)[0], shrunk) > 22


@pytest.mark.slow
def test_a_pipeline_goes_on_with_a_clip_to_a_last_picture(generate, files, tmp_path):
    """From diffusers' folder, with an adapter, in tiles and with stochastic steps."""
    pipe = shutil.copytree(files / "t5", tmp_path / "pipe")
    conversion.single_to_folder(files / "model.safetensors", pipe / "transformer")
    pair = Pair(np.ones((2, 32), np.float32), np.ones((32, 2), np.float32))
    layers = [f"transformer_blocks.{block}.attn1.to_v" for block in range(2)]
    save_pairs(tmp_path / "lora.safetensors", dict.fromkeys(layers, pair))
    arguments = (
        PROMPT,
        f"--vae={SHIPPED}",
        f"--clip={files / 'clip'}",
        f"--image={files / 'picture.png'}@-1",
        "--config.rope_time=plain",
        "--config.frames=17",
        "--config.untiled=1",
        "--config.tiling.margin=0,1,1",
        "--config.tiling.overlap=1,2,2",
        "--config.tiling.tile=2,3,3",
        "--config.sampling.stochastic=true",
    )
    shown = []
    for name, lora in (("plain", ()), ("adapted", ("lora.safetensors:0.1",))):
        flags = [f"--lora={tmp_path / file}" for file in lora]
        told, out = generate(name, *arguments, *flags, model=pipe)
        assert told.status == 0, told.lines
        shown.append(videos.read(out / "frames").frames.astype(np.float32) / 255)
    plain, adapted = shown
    assert plain.shape == (17, *SIZE[1:], 3)
    clip = shown_clip(files)
    near = [psnr(ours, theirs) for ours, theirs in zip(plain, clip, strict=False)]
    assert min(near[:6]) > 15
    assert abs(adapted - plain)[12:].max() > 0.02


RECIPE = """
from aw_jax.generation.config import GenerateConfig, SecondPass
from aw_jax.models.ltx.guided_sampling import GuidedConfig
from aw_jax.models.ltx.sampling import SamplerConfig

def get_config():
    sampler = SamplerConfig(steps=4, skip_first=3)
    return GenerateConfig(second=SecondPass(sampling=GuidedConfig(sampler=sampler)))
"""


@pytest.mark.slow
def test_a_second_pass_goes_on_at_twice_the_size(generate, files, tmp_path, shrunk):
    """8 x 16 pixels, then 16 x 32, resized to 20 x 28; the picture is seen by both."""
    config = UpsamplerConfig(channels=128, width=32, blocks=1)
    upsampler, recipe = tmp_path / "up.safetensors", tmp_path / "recipe.py"
    save_upsampler(upsampler, LatentUpsampler(config, rngs=nnx.Rngs(0)))
    recipe.write_text(RECIPE)
    told, out = generate(
        "two",
        PROMPT,
        f"--config={recipe}",
        f"--t5={files / 't5'}",
        f"--upsampler={upsampler}",
        f"--image={files / 'picture.png'}",
        "--config.second.sampling.sampler.skip_first=2",
    )
    assert told.status == 0, told.lines
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["levels"] == [1.0, 0.5, 0.0, 0.5, 0.25, 0.0]
    assert psnr(frames_of(out)[0], shrunk) > 20


def shown_clip(files):
    """The clip in the size of the video."""
    clip = videos.read(files / "clip").frames.astype(np.float32) / 255
    return clip[:9].reshape(9, 20, 2, 28, 2, 3).mean(axis=(2, 4))


@pytest.fixture(scope="module")
def wrong(files):
    """Files that are none of what they are given as."""
    write_model(files / "distilled.safetensors", allowed_inference_steps=[1.0, 0.7])
    pair = Pair(np.zeros((2, 8), np.float32), np.zeros((32, 2), np.float32))
    save_pairs(files / "lora.safetensors", {"transformer_blocks.0.attn1.to_q": pair})
    (files / "text.txt").write_text("no weights")
    return files


ERRORS = {
    "no prompt": (["--t5={}/t5"], "--prompt is missing"),
    "frames": ([PROMPT, "--t5={}/t5", "--config.frames=10"], "8 n + 1, got 10: use 9"),
    "no picture": ([PROMPT, "--t5={}/t5", "--image={}/x.png@0"], "there is no"),
    "no text encoder": ([PROMPT], "--t5 is missing"),
    "text encoder": ([PROMPT, "--t5={}/clip"], "expected spiece.model"),
    "long prompt": (["--prompt=" + "car " * 20, "--t5={}/t5"], "12 fit: shorten it"),
    "video": ([PROMPT, "--t5={}/t5", "--video={}/clip"], "would be replaced by noise"),
    "short video": (
        [PROMPT, "--t5={}/t5", "--video={}/clip", "--config.frames=17"],
        "has 11 frames, 17 are asked for: set --config.frames=9",
    ),
    "start": (
        [PROMPT, "--t5={}/t5", "--config.sampling.sampler.start=0.5"],
        "from a --video: name one",
    ),
    "model": ([PROMPT, "--t5={}/t5", "--model={}/text.txt"], "not a readable"),
    "adapter as model": (
        [PROMPT, "--t5={}/t5", "--model={}/lora.safetensors"],
        "got an adapter",
    ),
    "levels": (
        [PROMPT, "--t5={}/t5", "--model={}/distilled.safetensors"],
        "distilled for the noise levels [1.0, 0.7], got [0.5]",
    ),
    "adapter": ([PROMPT, "--t5={}/t5", "--lora={}/none:0.5"], "there is no file"),
    "adapter of another": (
        [PROMPT, "--t5={}/t5", "--lora={}/lora.safetensors"],
        "another base?",
    ),
    "blocks": (
        [PROMPT, "--t5={}/t5", "--config.sampling.guidance.blocks=2"],
        "below the 2 of the network",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_wrong_input_says_one_line_and_touches_nothing(name, generate, wrong):
    arguments, message = ERRORS[name]
    told, out = generate("out", *(a.replace("{}", str(wrong)) for a in arguments))
    assert told.status == 2, told.lines
    assert len(told.errors) == 1
    assert message in told.errors[0]
    assert not out.exists()
