"""Prompts become T5's ids; the model is trained by the fixture."""

import numpy as np
import pytest
from absl import logging

from aw_jax.core.errors import UserError
from aw_jax.models.t5.tokenizer import load_tokenizer

PROMPTS = ("a red car", "", "  the   splat is blurred ")


@pytest.fixture
def warnings(monkeypatch):
    """What is warned of, formatted."""
    said = []
    monkeypatch.setattr(logging, "warning", lambda text, *a: said.append(text % a))
    return said


def test_prompts_end_and_are_padded_on_the_right(pipeline):
    tokenizer = load_tokenizer(pipeline)
    tokens = tokenizer(PROMPTS)
    assert tokens.ids.shape == (3, 256)
    for prompt, ids, length in zip(PROMPTS, tokens.ids, tokens.lengths, strict=True):
        assert (ids[: length - 1] > 1).all()
        assert ids[length - 1] == 1
        assert (ids[length:] == 0).all()
        text = tokenizer.vocabulary.decode(ids[: length - 1].tolist())
        assert text == " ".join(prompt.split())
    assert tokens.lengths[1] == 1


def test_the_tokenizers_own_folder_serves_as_well(pipeline):
    inner, outer = load_tokenizer(pipeline / "tokenizer"), load_tokenizer(pipeline)
    assert inner.checksum == outer.checksum
    np.testing.assert_array_equal(inner(PROMPTS).ids, outer(PROMPTS).ids)


def test_unknown_letters_and_spelt_special_tokens_are_text(pipeline):
    tokens = load_tokenizer(pipeline)(["a </s> <pad> é"])
    ids = tokens.ids[0, : tokens.lengths[0] - 1]
    assert not np.isin(ids, (0, 1)).any()
    assert (ids == 2).any()


def test_long_prompts_are_cut_with_one_warning(pipeline, warnings):
    whole = load_tokenizer(pipeline)(PROMPTS)
    assert warnings == []
    cut = load_tokenizer(pipeline, length=4)(PROMPTS)
    assert cut.lengths.tolist() == [4, 1, 4]
    np.testing.assert_array_equal(cut.ids[:, :3][[0, 2]], whole.ids[:, :3][[0, 2]])
    np.testing.assert_array_equal(cut.ids[[0, 2], 3], 1)
    longest = whole.lengths.max()
    assert warnings == [
        f"2 of 3 prompts have more than 4 tokens (up to {longest}): their ends are cut "
        "off."
    ]


def test_no_prompts_give_no_rows(pipeline):
    assert load_tokenizer(pipeline)([]).ids.shape == (0, 256)


def test_lengths_without_room_are_refused(pipeline):
    with pytest.raises(UserError, match="length must be at least 2, got 1"):
        load_tokenizer(pipeline, length=1)


def test_a_folder_without_a_vocabulary_says_what_it_has(pipeline):
    with pytest.raises(UserError, match="no such folder"):
        load_tokenizer(pipeline / "absent")
    with pytest.raises(UserError, match=r"expected spiece.model, got \['config.json'"):
        load_tokenizer(pipeline / "text_encoder")


def test_damaged_and_other_models_are_refused(pipeline, tiny):
    path = pipeline / "tokenizer/spiece.model"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(UserError, match=r"spiece.model: not a readable SentencePiece"):
        load_tokenizer(pipeline)
    path.write_bytes(tiny.train(pad_id=-1, eos_id=0, unk_id=1))
    with pytest.raises(UserError, match=r"padding and end of sequence.*got ids -1 and"):
        load_tokenizer(pipeline)
