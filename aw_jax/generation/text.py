"""The prompt and the negative prompt as the transformer takes them."""

from collections.abc import Sequence
from pathlib import Path

from aw_jax.core.errors import UserError
from aw_jax.generation.config import GenerateConfig
from aw_jax.models.ltx.guided_sampling import Prompts
from aw_jax.models.t5 import files
from aw_jax.models.t5.prompts import (
    PromptEmbeddings,
    cached_prompts,
    check_lengths,
    embed_prompts,
)


def texts(config: GenerateConfig, prompt: str, negative: str) -> list[str]:
    """What is embedded: the negative prompt only where guidance asks for one."""
    return [prompt, negative] if config.negative else [prompt]


def check(words: Sequence[str], t5: Path, config: GenerateConfig) -> None:
    """Raises UserError unless T5's folder is whole and no prompt would be cut."""
    check_lengths(words, t5, config=config.text)
    files.tensor_files(files.part(t5, "text_encoder"))


def embedded(
    words: Sequence[str],
    *,
    t5: Path | None,
    cache: Path,
    config: GenerateConfig,
) -> PromptEmbeddings:
    """The embeddings of `words`; without T5's folder they must be in the cache.

    Raises:
        UserError: they are not, or the folder is not T5's.
    """
    if t5 is None:
        return cached_prompts(words, cache, config=config.text)
    return embed_prompts(words, t5, cache=cache, config=config.text)


def prompts(found: PromptEmbeddings, *, width: int) -> Prompts:
    """The same for the sampler, once they are known to be as wide as it needs.

    Raises:
        UserError: they are those of another text encoder.
    """
    if found.embeddings.shape[-1] != width:
        raise UserError(
            f"The prompts' embeddings have {found.embeddings.shape[-1]} channels, the "
            f"transformer takes {width}: use the text encoder that belongs to it."
        )
    second = len(found.lengths) > 1
    return Prompts(
        positive=found.embeddings[:1],
        positive_lengths=found.lengths[:1],
        negative=found.embeddings[1:] if second else None,
        negative_lengths=found.lengths[1:] if second else None,
    )
