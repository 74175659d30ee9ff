"""A plain fit by Markov chain Monte Carlo, begun as its authors begin it.

At most 100,000 Gaussians; `--config.fit.densify.cap=N` allows fewer, and
`--config.fit.densify=mcmc` alone chooses the chain with the common start.

  python -m aw_jax.launch.fit --scene=DIR --out=DIR --config=configs/fit_mcmc.py
"""

from aw_jax.reconstruct.config import FitRunConfig
from aw_jax.splat.fit_config import FitConfig, McmcConfig


def get_config() -> FitRunConfig:
    return FitRunConfig(
        fit=FitConfig(
            steps=7_000,
            densify=McmcConfig(),
            init_opacity=0.5,
            init_scale=0.1,
        )
    )
