"""Schedules that files name, levels they allow, scales of adapters."""

import json

import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.flow.schedules import linear_quadratic
from aw_jax.generation import checkpoint
from aw_jax.generation.config import DecodeConfig, GenerateConfig
from aw_jax.models.ltx.checkpoint_files import Checkpoint
from aw_jax.models.ltx.safetensors_files import save_tensors

DISTILLED = [1.0, 0.9937, 0.9875, 0.9812, 0.975, 0.9094, 0.725, 0.4219]


@pytest.fixture
def named(tmp_path):
    """A checkpoint whose file says this."""

    def write(**config):
        path = tmp_path / "model.safetensors"
        tensors = {"x": np.zeros(1, np.float32)}
        save_tensors(path, tensors, metadata={"config": json.dumps(config)})
        return Checkpoint(transformer=path, vae=None)

    return write


@pytest.mark.parametrize(
    ("scheduler", "schedule", "terminal"),
    [
        ({"sampler": "LinearQuadratic", "shifting": None}, "linear_quadratic", None),
        ({"shifting": "SD3", "target_shift_terminal": 0.1}, "sd3", 0.1),
        ({"sampler": "Uniform"}, "uniform", None),
    ],
)
def test_the_checkpoints_schedule_takes_the_samplers_place(
    scheduler, schedule, terminal, named
):
    got = checkpoint.scheduled(named(scheduler=scheduler), GenerateConfig())
    sampler = got.sampling.sampler
    assert (sampler.schedule, sampler.terminal) == (schedule, terminal)
    assert sampler.steps == GenerateConfig().sampling.sampler.steps


def test_a_recipe_may_keep_its_own(named):
    strange = named(scheduler={"sampler": "Constant", "shift": 2.0})
    with pytest.raises(UserError, match="own_schedule=false"):
        checkpoint.scheduled(strange, GenerateConfig())
    for config, files in (
        (GenerateConfig(own_schedule=False), strange),
        (GenerateConfig(), named()),
    ):
        assert checkpoint.scheduled(files, config) == config


def test_distilled_checkpoints_know_eight_levels(named):
    files = named(allowed_inference_steps=DISTILLED)
    checkpoint.check_levels(files, linear_quadratic(8))
    checkpoint.check_levels(files, linear_quadratic(8)[5:])
    with pytest.raises(UserError, match=r"got \[0.9975, .* use its recipe"):
        checkpoint.check_levels(files, linear_quadratic(20))
    checkpoint.check_levels(named(), np.array([0.3, 0.0]))


def test_a_flag_says_file_and_scale(tmp_path):
    path = tmp_path / "a.safetensors"
    path.touch()
    (tmp_path / "b:2").touch()
    flags = [f"{path}", f"{path}:-0.5", f"{tmp_path}/b:2"]
    got = checkpoint.adapters(flags)
    assert got == [(path, 1.0), (path, -0.5), (tmp_path / "b:2", 1.0)]
    with pytest.raises(UserError, match="got the scale 'half'"):
        checkpoint.adapters([f"{path}:half"])


@pytest.mark.parametrize(
    "change", [{"frames": 8}, {"frames": 0}, {"height": 0}, {"fps": 0.0}]
)
def test_impossible_sizes_are_refused(change):
    with pytest.raises(UserError, match=rf"GenerateConfig.{next(iter(change))} must"):
        GenerateConfig(**change)


def test_a_decoder_is_told_a_level_below_one():
    with pytest.raises(UserError, match=r"DecodeConfig.noise must be in"):
        DecodeConfig(noise=1.0)
