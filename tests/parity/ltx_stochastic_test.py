"""The stochastic step beside the ltx-video wheel's scheduler, live."""

import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.flow import schedules, solver

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="the peers are not installed")
pytest.importorskip("diffusers", reason="the peers are not installed")
pytest.importorskip("ltx_video", reason="the peers are not installed")

B, N, C = 2, 5, 3


def test_the_stochastic_step_equals_the_wheels(monkeypatch):
    from ltx_video.schedulers.rf import RectifiedFlowScheduler

    z, v, noise = np.random.default_rng(0).standard_normal((3, B, N, C), np.float32)
    times = schedules.linear_quadratic(8)
    t = np.float32([[times[0], times[3], times[5], times[7], 0.6]] * B)
    scheduler = RectifiedFlowScheduler(sampler="LinearQuadratic")
    scheduler.set_timesteps(8, samples_shape=(B, N, C))
    monkeypatch.setattr(torch, "randn_like", lambda x: torch.from_numpy(noise))
    (wanted,) = scheduler.step(
        *map(torch.from_numpy, (v, t, z)), return_dict=False, stochastic_sampling=True
    )
    lower = solver.next_lower(jnp.asarray(t), times)
    ours = map(jnp.asarray, (z, v, t, lower, noise))
    got = solver.stochastic_step(*ours)
    np.testing.assert_allclose(got, wanted.numpy(), atol=1e-6)
