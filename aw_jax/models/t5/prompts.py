"""Prompts -> embeddings: what the video transformer is told in words.

    tokens = tokenizer(prompts);   embeddings = encoder(tokens), one prompt at a time

Each prompt runs by itself, so its embedding does not depend on its neighbours, and is
rounded to bfloat16 whether it comes from the encoder or from the cache.
"""

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, Int
from aw_jax.core.errors import UserError
from aw_jax.core.pytrees import pytree
from aw_jax.models.t5 import embedding_cache, files
from aw_jax.models.t5.config import TextConfig
from aw_jax.models.t5.embedding_cache import Entry, Key
from aw_jax.models.t5.encoder import T5Encoder
from aw_jax.models.t5.tokenizer import Tokenizer, Tokens, load_tokenizer
from aw_jax.runs.progress import progress


@pytree
class PromptEmbeddings:
    """Prompts as the transformer takes them (`text`, `text_lengths`)."""

    embeddings: Float[Array, "b l d"]
    """bfloat16, padding included."""
    lengths: Int[Array, " b"]
    """How many leading tokens of each prompt count."""


def embed_prompts(
    prompts: Sequence[str],
    folder: str | Path,
    *,
    cache: str | Path,
    config: TextConfig,
) -> PromptEmbeddings:
    """The embeddings of `prompts`; T5 is loaded only if the cache lacks one.

    The files of T5 are read once in any case, for their checksum.

    Args:
        prompts: texts; those with more than `config.length` tokens are cut, and one
            warning counts them.
        folder: a diffusers pipeline, or one folder with the files of its text_encoder
            and tokenizer.
        cache: folder of embeddings, made if absent.
        config: mask, types and length.

    Raises:
        UserError: no prompts, or a folder that is not T5's.
    """
    if not prompts:
        raise UserError("prompts: expected at least one text, got none.")
    tokenizer = load_tokenizer(folder, length=config.length)
    tokens = tokenizer(prompts)
    sums = {"tokenizer": tokenizer.checksum, "encoder": files.checksum(folder)}
    keys = [Key(prompt=prompt, config=config, **sums) for prompt in prompts]
    known = embedding_cache.read_all(cache, keys)
    lacking = {key: row for row, key in enumerate(keys) if key not in known}
    if lacking:
        encoder = _load(folder, tokenizer, config)
        with progress("prompts", len(lacking)) as bar:
            for done, (key, row) in enumerate(lacking.items(), start=1):
                known[key] = _encode(encoder, tokens, row)
                embedding_cache.write(cache, key, known[key])
                bar.update(done)
    return _stacked([known[key] for key in keys])


def cached_prompts(
    prompts: Sequence[str], cache: str | Path, *, config: TextConfig
) -> PromptEmbeddings:
    """The embeddings of `prompts` from the cache alone, without any file of T5.

    Raises:
        UserError: one is not there with this config, or of several encoders.
    """
    entries = [embedding_cache.find(cache, prompt, config) for prompt in prompts]
    return _stacked(entries)


def check_lengths(
    prompts: Sequence[str], folder: str | Path, *, config: TextConfig
) -> None:
    """Raises UserError if T5's tokenizer in `folder` would cut one of the prompts."""
    tokenizer = load_tokenizer(folder, length=config.length)
    for prompt in prompts:
        if (count := tokenizer.count(prompt)) > config.length:
            raise UserError(
                f"The prompt {prompt[:40]!r}... has {count} tokens, {config.length} "
                "fit: shorten it."
            )


def _load(folder: str | Path, tokenizer: Tokenizer, config: TextConfig) -> T5Encoder:
    """The encoder, once its token table is known to serve the tokenizer."""
    types = {"dtype": config.dtype, "param_dtype": config.dtype}
    encoder = files.load_encoder(folder, t5_mask=config.t5_mask, **types)
    rows, needed = encoder.config.vocabulary, tokenizer.vocabulary.vocab_size()
    if rows < needed:
        raise UserError(
            f"{folder}: the encoder has {rows} tokens and its tokenizer {needed}; use "
            "the two of one publication."
        )
    return encoder


def _encode(encoder: T5Encoder, tokens: Tokens, row: int) -> Entry:
    ids, lengths = tokens.ids[row : row + 1], tokens.lengths[row : row + 1]
    (embeddings,) = _run(encoder, jnp.asarray(ids), jnp.asarray(lengths))
    rounded = np.asarray(embeddings.astype(jnp.bfloat16))
    return Entry(embeddings=rounded, length=int(lengths[0]))


@jax.jit
def _run(
    encoder: T5Encoder, ids: Int[Array, "b l"], lengths: Int[Array, " b"]
) -> Float[Array, "b l d"]:
    return encoder(ids, lengths)


def _stacked(entries: list[Entry]) -> PromptEmbeddings:
    return PromptEmbeddings(
        embeddings=jnp.stack([entry.embeddings for entry in entries]),
        lengths=jnp.array([entry.length for entry in entries], jnp.int32),
    )
