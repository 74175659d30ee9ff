"""Stage 3 of `ltx_tiny`: all weights of the transformer, on both objectives.

Starts the path at the target's linear estimate (stage 2) and restores in one step (see
`MethodConfig.source`): at this size eight steps from noise make clips worse. Latents
are normalised, errors weighed as errors of pixels.

Seed 0 throughout. On two shared CPU cores: simulation 27 minutes (seeds 0 to 255, 3015
clips of 20.4 dB on average), labels of every 11th clip of the first 17 shards 24,
latents 22, ridge 2, base 17, predictor 4, restorer 3. On 20 held-out clips of sparse
fits (scripts/measure_tiny.py on procedural:10000000:16), mean PSNR over frames 1 .. f-9
and over all frames: round trip 26.87 / 26.89, artifact 19.77 / 20.53, ridge 20.19 /
21.22, restored 20.18 / 21.21 dB, so +0.41 / +0.68 dB over the artifact; Pearson of
heatmaps 0.168 (ridge alone 0.121). All that is gained comes of the linear estimate: the
transformer adds nothing to it yet, and the predicted heatmaps are close to one grey.

What was tried beyond it, none of which beat the estimate on held-out clips: windows of
8 x 8, 8 clips a step, at a rate of 1e-3 (300 steps: 0.01 dB below it); the predictor's
objective at full weight (its gradients drown the restorer's: 0.02 dB below); a
convolutional net in place of the transformer on milder clips (0.03 dB above it, then it
overfitted 168 scenes). The estimate leaves 0.84 of the damage; how much of that can be
known at all from clip and photos at this size is open.

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
        batch=32,
        transformer=ltx_config.tiny(width=WIDTH, layers=4),
        adapter=AdapterConfig(rank=WIDTH // 4, alpha=WIDTH / 4),
        start="local",
        denoising=DenoisingConfig(
            method=METHOD,
            times=TimestepLaw(mass_at_one=1.0),
            window=4,
            errors="pixels",
            damage_floor=0.01,
            label_share=0.5,
            predicted=0.125,
            predictor_weight=0.1,
        ),
        loop=LoopConfig(
            steps=700,
            log_every=20,
            save_every=100,
            optimizer=OptimizerConfig(
                learning_rate=3e-4,
                schedule="cosine",
                warmup=50,
                final_share=0.02,
                b2=0.98,
                average_decay=0.99,
            ),
        ),
    )
