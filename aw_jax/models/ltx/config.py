"""Shapes and conventions of the LTX-Video transformers.

`rope_time` says where latent frames stand. The causal VAE codes frame 0 alone and then
eight frames a step, so latent frame i begins at frame max(0, 8 i - 7) ("causal");
"plain" puts it at 8 i. Public checkpoints differ even within one size and name theirs
in their metadata (`causal_temporal_positioning`): where there is a file, it decides.
"""

import dataclasses
from typing import Any, Literal

from aw_jax.core.errors import UserError
from aw_jax.nn.softmax_attention import Kernel

RopeTime = Literal["causal", "plain"]
Precision = Literal["float32", "bfloat16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """The diffusion transformer; every width follows from heads and head_dim."""

    layers: int
    heads: int
    head_dim: int
    caption_channels: int
    """Width of the prompt embeddings that come in."""
    rope_time: RopeTime
    """Where time coordinates put latent frame i: max(0, 8 i - 7) or 8 i."""
    in_channels: int = 128
    out_channels: int = 128
    theta: float = 1e4
    """Largest over smallest rotary frequency."""
    max_position: tuple[float, float, float] = (20.0, 2048.0, 2048.0)
    """Seconds, rows, columns that count as 1."""
    timestep_scale: float = 1000.0
    param_dtype: Precision = "float32"
    dtype: Precision = "float32"
    """Of matrix products and of the residual stream."""
    remat: bool = False
    """Keep only each block's input for the backward pass."""
    unroll: bool = False
    """Compile every block apart: slower to compile, faster for small nets on a CPU."""
    attention: Kernel = "auto"
    sequence: str | None = None
    """The mesh axis that tokens are spread over; it divides them and the heads."""

    def __post_init__(self) -> None:
        """Refuses what the rotary layout or the types cannot serve."""
        for name in ("layers", "heads", "head_dim", "caption_channels"):
            _check(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        _check(self.head_dim % 2 == 0, "head_dim", "an even number", self.head_dim)
        _check(self.width >= 6, "heads * head_dim", "at least 6", self.width)
        times, types = ("causal", "plain"), ("float32", "bfloat16")
        for name, known in (
            ("rope_time", times),
            ("param_dtype", types),
            ("dtype", types),
        ):
            value = getattr(self, name)
            _check(value in known, name, " or ".join(known), value)

    @property
    def width(self) -> int:
        """Channels of a token inside the network."""
        return self.heads * self.head_dim


def _check(holds: bool, name: str, expected: str, got: object) -> None:
    if not holds:
        raise UserError(f"TransformerConfig.{name} must be {expected}, got {got!r}.")


def tiny(
    *,
    width: int = 192,
    layers: int = 6,
    head_dim: int = 64,
    caption_channels: int = 32,
    rope_time: RopeTime = "causal",
    **changes: Any,
) -> TransformerConfig:
    """A transformer that trains on a CPU: width / head_dim heads, blocks unrolled."""
    if width % head_dim:
        raise UserError(
            f"tiny(width) must be a multiple of head_dim={head_dim}, got {width}."
        )
    changes = {"unroll": True} | changes
    return TransformerConfig(
        layers=layers,
        heads=width // head_dim,
        head_dim=head_dim,
        caption_channels=caption_channels,
        rope_time=rope_time,
        **changes,
    )


LTX_13B = TransformerConfig(
    layers=48,
    heads=32,
    head_dim=128,
    caption_channels=4096,
    rope_time="causal",
    param_dtype="bfloat16",
    dtype="bfloat16",
    remat=True,
)
"""LTX-Video 0.9.7 and 0.9.8 13B: 13,042,569,344 parameters."""

LTX_2B = TransformerConfig(
    layers=28,
    heads=32,
    head_dim=64,
    caption_channels=4096,
    rope_time="plain",
    param_dtype="bfloat16",
    dtype="bfloat16",
    remat=True,
)
"""LTX-Video 0.9.0 to 0.9.6 and 0.9.8-distilled 2B: 1,923,385,472 parameters.

0.9.5 is causal: a file's metadata decides, not this preset.
"""

PROBE = TransformerConfig(
    layers=2, heads=2, head_dim=16, caption_channels=16, rope_time="causal"
)
"""Two random layers, for tests."""

_UPSTREAM_FIXED = {
    "_class_name": "Transformer3DModel",
    "activation_fn": "gelu-approximate",
    "attention_bias": True,
    "norm_elementwise_affine": False,
    "norm_eps": 1e-6,
    "positional_embedding_type": "rope",
    "qk_norm": "rms_norm",
    "standardization_norm": "rms_norm",
    "use_tpu_flash_attention": False,
}


def to_upstream(config: TransformerConfig) -> dict[str, Any]:
    """The `transformer` entry of a checkpoint's metadata, in LTX-Video's words."""
    return _UPSTREAM_FIXED | {
        "num_layers": config.layers,
        "num_attention_heads": config.heads,
        "attention_head_dim": config.head_dim,
        "cross_attention_dim": config.width,
        "caption_channels": config.caption_channels,
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "positional_embedding_theta": config.theta,
        "positional_embedding_max_pos": list(config.max_position),
        "timestep_scale_multiplier": config.timestep_scale,
        "causal_temporal_positioning": config.rope_time == "causal",
    }


def from_upstream(entry: dict[str, Any], **changes: Any) -> TransformerConfig:
    """Reads such an entry; `changes` set what no checkpoint names (dtype, remat, ...).

    Raises:
        UserError: a field is missing, or says something this network does not do.
    """
    for name in ("activation_fn", "qk_norm", "positional_embedding_type"):
        expected = _UPSTREAM_FIXED[name]
        # diffusers calls the norm of q and k "rms_norm_across_heads".
        if not str(entry.get(name, expected)).startswith(str(expected)):
            raise UserError(
                f"metadata config.transformer.{name}: expected {expected!r}, got "
                f"{entry[name]!r}; this transformer has no other form."
            )
    missing = [n for n in ("num_layers", "num_attention_heads", "attention_head_dim",
                           "caption_channels") if n not in entry]  # fmt: skip
    if missing:
        raise UserError(
            f"metadata config.transformer: expected {', '.join(missing)}, got no such "
            "field; use a file that embeds its config."
        )
    causal = entry.get("causal_temporal_positioning", False)
    fields: dict[str, Any] = {
        "layers": entry["num_layers"],
        "heads": entry["num_attention_heads"],
        "head_dim": entry["attention_head_dim"],
        "caption_channels": entry["caption_channels"],
        "in_channels": entry.get("in_channels", 128),
        "out_channels": entry.get("out_channels", 128),
        "theta": float(entry.get("positional_embedding_theta", 1e4)),
        "max_position": tuple(
            map(float, entry.get("positional_embedding_max_pos", (20, 2048, 2048)))
        ),
        "timestep_scale": float(entry.get("timestep_scale_multiplier", 1000)),
        "rope_time": "causal" if causal else "plain",
    }
    return TransformerConfig(**fields | changes)
