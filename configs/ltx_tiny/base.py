"""Stage 2 of `ltx_tiny`: all weights of the transformer, on the restorer's objective.

Starts the path at the artifact's latents and restores in one step (see
`MethodConfig.source`): at this size eight steps from noise make clips worse.

The shipped weights are a first run and fall short: 900 steps on 44 scenes (seeds 0 to
43, 528 clips), half an hour on a busy core, adapters 400 steps on 16 of them. The
clips were simulated with --config.sparse.gap=0.16,0.7. On 20 held-out clips (seeds
10000000 to 10000007), mean PSNR over frames 1 .. f - 9 and over all frames: round trip
27.66 / 27.64, artifact 23.43 / 24.08, ridge 23.02 / 23.98, restored 23.35 / 23.97 dB;
Pearson of heatmaps 0.008. Nothing is gained yet; the guard keeps the baseline.

  python -m aw_jax.launch.train --config=configs/ltx_tiny/base.py --out=runs/tiny/base
"""

from aw_jax.flow.timesteps import TimestepLaw
from aw_jax.models.ltx import config as ltx_config
from aw_jax.restoration.heatmap import CONSTANT
from aw_jax.restoration.method import MethodConfig
from aw_jax.train.config import AdapterConfig, TrainConfig
from aw_jax.train.denoising import DenoisingConfig
from aw_jax.train.loop import LoopConfig
from aw_jax.train.optimizer import OptimizerConfig

METHOD = MethodConfig(source="ridge", bypass=True, steps=1, schedule=CONSTANT)
WIDTH = 128


def get_config() -> TrainConfig:
    return TrainConfig(
        task="base",
        data="runs/tiny/simulate/clips",
        parts="runs/tiny/parts",
        shards=6,
        batch=8,
        transformer=ltx_config.tiny(width=WIDTH, layers=4),
        adapter=AdapterConfig(rank=WIDTH // 4, alpha=WIDTH / 4),
        start="local",
        denoising=DenoisingConfig(
            method=METHOD,
            times=TimestepLaw(mass_at_one=1.0),
            window=8,
            errors="pixels",
            damage_floor=0.01,
            label_share=0.7,
        ),
        loop=LoopConfig(
            steps=200,
            log_every=20,
            save_every=100,
            optimizer=OptimizerConfig(
                learning_rate=1e-3,
                schedule="cosine",
                warmup=30,
                final_share=0.02,
                b2=0.98,
                average_decay=0.99,
            ),
        ),
    )
