"""Prompts -> token ids: T5's SentencePiece model, end of sequence, padding.

Published T5 folders hold the vocabulary as `spiece.model`. T5 appends its end of
sequence (1) to every prompt and pads on the right (0); LTX-Video takes 256 tokens. Text
that spells a special token, such as `</s>`, is read as text.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging
from jaxtyping import Int
from sentencepiece import SentencePieceProcessor

from aw_jax.core.errors import UserError
from aw_jax.core.pytrees import pytree
from aw_jax.models.t5.files import part

VOCABULARY = "spiece.model"


@pytree
class Tokens:
    """Prompts as rows of ids, padded on the right."""

    ids: Int[np.ndarray, "b l"]
    lengths: Int[np.ndarray, " b"]
    """How many leading ids of each row are tokens, the end of sequence among them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """A vocabulary and the length to which prompts are padded or cut."""

    vocabulary: SentencePieceProcessor
    checksum: str
    """sha256 of the vocabulary's file."""
    length: int = 256

    def __post_init__(self) -> None:
        """Refuses a length that leaves no room for a token."""
        if self.length < 2:
            raise UserError(
                f"Tokenizer.length must be at least 2, got {self.length}: one token "
                "and the end of sequence."
            )

    def __call__(self, prompts: Sequence[str]) -> Tokens:
        """The ids of `prompts`; one warning counts those that are cut to `length`."""
        rows = [self.vocabulary.encode(prompt) for prompt in prompts]
        self._warn_of_cuts([len(row) + 1 for row in rows])
        rows = [[*row[: self.length - 1], self.vocabulary.eos_id()] for row in rows]
        ids = np.full((len(rows), self.length), self.vocabulary.pad_id(), np.int32)
        for padded, row in zip(ids, rows, strict=True):
            padded[: len(row)] = row
        return Tokens(ids=ids, lengths=np.array([len(r) for r in rows], np.int32))

    def count(self, prompt: str) -> int:
        """Tokens of a prompt, uncut, with the end of sequence."""
        return len(self.vocabulary.encode(prompt)) + 1

    def _warn_of_cuts(self, lengths: list[int]) -> None:
        longer = [length for length in lengths if length > self.length]
        if longer:
            logging.warning(
                "%d of %d prompts have more than %d tokens (up to %d): their ends are "
                "cut off.",
                *(len(longer), len(lengths), self.length, max(longer)),
            )


def load_tokenizer(folder: str | Path, *, length: int = 256) -> Tokenizer:
    """The tokenizer in `folder`, or in its subfolder `tokenizer`.

    Args:
        folder: of a tokenizer, or of a whole diffusers pipeline.
        length: ids of every prompt, padding included.

    Raises:
        UserError: no spiece.model, or one that is damaged or not T5's kind.
    """
    path = part(folder, "tokenizer") / VOCABULARY
    if not path.is_file():
        found = sorted(other.name for other in path.parent.iterdir())
        raise UserError(
            f"{path.parent}: expected {VOCABULARY}, got {found}; take it from a "
            "published T5 v1.1 folder."
        )
    data = path.read_bytes()
    try:
        vocabulary = SentencePieceProcessor(model_proto=data)
    except RuntimeError:
        raise UserError(
            f"{path}: not a readable SentencePiece model of {len(data)} bytes; "
            "download it again."
        ) from None
    if min(vocabulary.eos_id(), vocabulary.pad_id()) < 0:
        raise UserError(
            f"{path}: expected tokens for padding and end of sequence, as T5 has, got "
            f"ids {vocabulary.pad_id()} and {vocabulary.eos_id()}."
        )
    checksum = hashlib.sha256(data).hexdigest()
    return Tokenizer(vocabulary=vocabulary, checksum=checksum, length=length)
