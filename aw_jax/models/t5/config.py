"""Shapes and conventions of the T5 v1.1 encoders.

`t5_mask` says whether the encoder sees the padding behind a prompt. LTX-Video and
diffusers' condition pipeline hide it; LTX-Video-Trainer's preprocessing and diffusers'
LTXPipeline do not. The embeddings of the real tokens differ materially, so an adapter
wants the convention that it was trained with, and no file tells which one that is.
"""

import dataclasses
from typing import Any, Literal

from aw_jax.core.errors import UserError

Precision = Literal["float32", "bfloat16"]

_FIELDS = {
    "layers": "num_layers",
    "heads": "num_heads",
    "head_dim": "d_kv",
    "width": "d_model",
    "hidden": "d_ff",
    "vocabulary": "vocab_size",
}
"""Our name of a shape, its name in a `config.json`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5Config:
    """The encoder half of T5 v1.1; heads * head_dim need not be the width."""

    layers: int
    heads: int
    head_dim: int
    width: int
    """Channels of a token, and of the embeddings that come out."""
    hidden: int
    """Channels inside the gated feed-forward network."""
    vocabulary: int
    """Rows of the token table; T5's is longer than its tokenizer's vocabulary."""
    t5_mask: bool
    """Whether padding is hidden from the attention."""
    buckets: int = 32
    """Rows of the table of position biases, half of them for tokens that follow."""
    max_distance: int = 128
    """Tokens this far apart, or farther, share the last bucket of their side."""
    eps: float = 1e-6
    """Under the root of every norm."""
    param_dtype: Precision = "float32"
    dtype: Precision = "float32"
    """Of matrix products and of the residual stream."""

    def __post_init__(self) -> None:
        """Refuses what the position buckets or the types cannot serve."""
        for name in _FIELDS:
            _check(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        even = self.buckets >= 4 and self.buckets % 4 == 0
        _check(even, "buckets", "a positive multiple of 4", self.buckets)
        farther = self.max_distance > self.buckets // 4
        least = f"more than buckets / 4 = {self.buckets // 4}"
        _check(farther, "max_distance", least, self.max_distance)
        for name in ("param_dtype", "dtype"):
            value = getattr(self, name)
            known = ("float32", "bfloat16")
            _check(value in known, name, " or ".join(known), value)


def _check(holds: bool, name: str, expected: str, got: object) -> None:
    if not holds:
        raise UserError(f"T5Config.{name} must be {expected}, got {got!r}.")


T5_XXL = T5Config(
    layers=24,
    heads=64,
    head_dim=64,
    width=4096,
    hidden=10240,
    vocabulary=32128,
    t5_mask=True,
    param_dtype="bfloat16",
    dtype="bfloat16",
)
"""google/t5-v1_1-xxl, LTX-Video's text encoder: 4,762,310,656 parameters.

float16 overflows in it, so there is no such choice.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextConfig:
    """How prompts become embeddings, as far as no file decides it."""

    t5_mask: bool
    """Whether padding is hidden from the encoder's attention."""
    dtype: Precision = "bfloat16"
    """Of the encoder's parameters and products; embeddings are bfloat16 in any case."""
    length: int = 256
    """Tokens of a prompt, padding included: LTX-Video's."""


def from_upstream(
    entry: dict[str, Any], *, source: object = "config.json", **changes: Any
) -> T5Config:
    """Reads the `config.json` of transformers' T5; `changes` set what it cannot tell.

    Args:
        entry: the JSON object.
        source: what an error calls it.
        changes: `t5_mask`, which must be among them, and the types.

    Raises:
        UserError: a shape is missing, or another network than T5 v1.1 is described.
    """
    unfit = sorted(n for n in _FIELDS.values() if not isinstance(entry.get(n), int))
    if unfit:
        raise UserError(
            f"{source}: expected the config of a T5 encoder with whole numbers as "
            f"{', '.join(unfit)}, got {[entry.get(name) for name in unfit]}."
        )
    gate = entry.get("feed_forward_proj", "relu")
    if gate != "gated-gelu":
        raise UserError(
            f"{source}: feed_forward_proj: expected 'gated-gelu' (T5 v1.1), got "
            f"{gate!r}; this encoder has no other form."
        )
    fields = {ours: entry[theirs] for ours, theirs in _FIELDS.items()}
    fields |= {
        "buckets": entry.get("relative_attention_num_buckets", 32),
        "max_distance": entry.get("relative_attention_max_distance", 128),
        "eps": float(entry.get("layer_norm_epsilon", 1e-6)),
    }
    return T5Config(**fields | changes)
