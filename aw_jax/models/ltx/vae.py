"""The LTX-Video autoencoder: videos in [0, 1] to normalised latents and back."""

import jax
import jax.numpy as jnp
from flax import nnx

from aw_jax.core.arrays import Array, Float, Key
from aw_jax.core.errors import UserError
from aw_jax.models.ltx.vae_blocks import Buffer
from aw_jax.models.ltx.vae_config import VAEConfig
from aw_jax.models.ltx.vae_decoder import Decoder
from aw_jax.models.ltx.vae_encoder import Encoder
from aw_jax.models.ltx.vae_noise import Window


class VideoVAE(nnx.Module):
    """Encoder, decoder, and the channel statistics that normalise the latents.

    Computes in the dtype of its input; parameters are cast to it.
    """

    def __init__(self, config: VAEConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.encoder = Encoder(config, rngs=rngs)
        self.decoder = Decoder(config, rngs=rngs)
        self.latents_mean = Buffer(jnp.zeros((config.latent_channels,)))
        self.latents_std = Buffer(jnp.ones((config.latent_channels,)))

    def encode(self, video: Float[Array, "b f h w 3"]) -> Float[Array, "b g y x c"]:
        """Normalised mean latents of a video in [0, 1].

        Causal: encode(video[:, :1 + 8 n]) is the first 1 + n frames of encode(video).

        Raises:
            UserError: The frames are not 8 n + 1 or a side is no multiple of the
                space stride (8 and the stride are those of the config).
        """
        mean, _ = self.moments(video)
        return self.normalise(mean)

    def decode(
        self,
        latents: Float[Array, "b g y x c"],
        *,
        timestep: Float[Array, "*t"] | float = 0.0,
        key: Key[Array, ""] | None = None,
        window: Window | None = None,
    ) -> Float[Array, "b f h w 3"]:
        """The video of normalised latents, about [0, 1] and not clamped.

        Args:
            latents: Normalised latents.
            timestep: How noisy they are, 0 (clean) to 1 (noise); one, or one a clip.
                0.9.0 does not listen to it.
            key: Draws the noise that 0.9.1 adds inside its decoder; None: no noise.
            window: Which part of a video's latents these are, so that the noise is
                that of the part; None: the whole.
        """
        batch = jnp.broadcast_to(jnp.asarray(timestep, jnp.float32), latents.shape[:1])
        return (self.decoder(self.restore(latents), batch, key, window) + 1) / 2

    def mix_noise(
        self,
        latents: Float[Array, "b g y x c"],
        *,
        scale: float,
        key: Key[Array, ""],
    ) -> Float[Array, "b g y x c"]:
        """(1 - scale) latents + scale noise, for `decode` with a timestep above 0.

        `VAEConfig.decode_noise_space` says which latents: those given, which are
        normalised, or those that `restore` makes of them. Lightricks' defaults are
        scale 0.025 and timestep 0.05.
        """
        noise = jax.random.normal(key, latents.shape, latents.dtype)
        if self.config.decode_noise_space == "normalised":
            return (1 - scale) * latents + scale * noise
        mixed = (1 - scale) * self.restore(latents) + scale * noise
        return self.normalise(mixed)

    def moments(
        self, video: Float[Array, "b f h w 3"]
    ) -> tuple[Float[Array, "b g y x c"], Float[Array, "b g y x 1"]]:
        """Mean of the latents, not normalised, and the log-variance they share."""
        check_size(self.config, video.shape)
        return self.encoder(2 * video - 1)

    def normalise(self, z: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        """(z - mean) / std, by channel."""
        return ((z - self.latents_mean[...]) / self.latents_std[...]).astype(z.dtype)

    def restore(self, z: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        """Inverse of `normalise`."""
        return (z * self.latents_std[...] + self.latents_mean[...]).astype(z.dtype)


def check_size(config: VAEConfig, shape: tuple[int, ...]) -> None:
    """Raises UserError unless videos of `shape` (b, f, h, w, 3) can be encoded."""
    frames, height, width = shape[1:4]
    t, s = config.time_stride, config.space_stride
    if frames % t != 1 % t:
        fewer = (frames - 1) // t * t + 1
        raise UserError(f"The VAE takes {t} n + 1 frames, got {frames}: use {fewer}.")
    if height % s or width % s:
        raise UserError(
            f"The VAE takes sides that are multiples of {s} pixels, got "
            f"{height} x {width}: crop or resize the video."
        )
