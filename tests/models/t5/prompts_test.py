"""Prompts are encoded once, with the same bits from encoder and cache."""

import dataclasses
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from absl import logging

from aw_jax.core.errors import UserError
from aw_jax.models.t5 import embedding_cache, files, prompts
from aw_jax.models.t5.config import TextConfig
from aw_jax.models.t5.tokenizer import load_tokenizer

CONFIG = TextConfig(t5_mask=True, dtype="float32", length=9)
TEXTS = ("a red car", "", "holes in the road")


@pytest.fixture
def embed(pipeline, tmp_path):
    def run(texts=TEXTS, *, folder=pipeline, cache=tmp_path / "cache", config=CONFIG):
        return prompts.embed_prompts(texts, folder, cache=cache, config=config)

    return run


@pytest.fixture
def loads(monkeypatch):
    """One entry for every time that an encoder is loaded."""
    seen, load = [], files.load_encoder

    def counted(*args, **kwargs):
        seen.append(args)
        return load(*args, **kwargs)

    monkeypatch.setattr(files, "load_encoder", counted)
    return seen


@pytest.fixture
def warnings(monkeypatch):
    said = []
    monkeypatch.setattr(logging, "warning", lambda text, *a: said.append(text % a))
    return said


def assert_same(one, two):
    np.testing.assert_array_equal(one.lengths, two.lengths)
    assert np.asarray(one.embeddings).tobytes() == np.asarray(two.embeddings).tobytes()


def test_embeddings_are_the_encoders_rounded(embed, pipeline):
    got = embed()
    tokens = load_tokenizer(pipeline, length=9)(TEXTS)
    encoder = files.load_encoder(pipeline, t5_mask=True)
    wanted = encoder(jnp.asarray(tokens.ids), jnp.asarray(tokens.lengths))
    assert got.embeddings.dtype == jnp.bfloat16
    np.testing.assert_array_equal(got.lengths, tokens.lengths)
    # Half a step of bfloat16's eight bits.
    np.testing.assert_allclose(got.embeddings, wanted, rtol=2**-8, atol=1e-4)


def test_known_prompts_need_no_encoder(embed, loads, tmp_path):
    fresh = embed()
    files_of_three = sorted((tmp_path / "cache").iterdir())
    assert len(files_of_three) == 3
    assert_same(embed(), fresh)
    assert len(loads) == 1
    assert sorted((tmp_path / "cache").iterdir()) == files_of_three


def test_order_company_and_repetition_change_no_bit(embed, loads, tmp_path):
    fresh = embed()
    turned = embed((TEXTS[2], TEXTS[0], TEXTS[2]), cache=tmp_path / "other")
    rows = np.array([2, 0, 2])
    np.testing.assert_array_equal(turned.embeddings, fresh.embeddings[rows])
    assert len(list((tmp_path / "other").iterdir())) == 2
    for path in (tmp_path / "other").iterdir():
        assert path.read_bytes() == (tmp_path / "cache" / path.name).read_bytes()
    embed((*TEXTS, "a road"))
    assert len(loads) == 3


def test_every_part_of_the_key_makes_another_file(tmp_path):
    key = embedding_cache.Key(prompt="p", tokenizer="t", encoder="e", config=CONFIG)
    others = [
        dataclasses.replace(key, **change)
        for change in (
            {},
            {"prompt": "q"},
            {"tokenizer": "q"},
            {"encoder": "q"},
            *(
                {"config": dataclasses.replace(CONFIG, **change)}
                for change in ({"t5_mask": False}, {"dtype": "bfloat16"}, {"length": 8})
            ),
        )
    ]
    assert len({other.path(tmp_path) for other in others}) == 7
    assert others[0].path(tmp_path) == key.path(tmp_path)


def test_mask_type_weights_and_vocabulary_are_told_apart(embed, pipeline, tiny):
    fresh = embed()
    unmasked = embed(config=dataclasses.replace(CONFIG, t5_mask=False))
    assert abs(fresh.embeddings - unmasked.embeddings)[0, :3].max() > 0.1
    embed(config=dataclasses.replace(CONFIG, dtype="bfloat16"))
    tiny.write(pipeline / "text_encoder", tiny.draw(seed=1))
    other = embed()
    assert abs(fresh.embeddings - other.embeddings).max() > 0.1
    vocabulary = pipeline / "tokenizer/spiece.model"
    vocabulary.write_bytes(tiny.train(model_type="char"))
    assert (embed().lengths != fresh.lengths).any()


def test_the_cache_alone_serves_the_same_bits(embed, tmp_path):
    fresh = embed()
    cache = tmp_path / "cache"
    assert_same(prompts.cached_prompts(TEXTS, cache, config=CONFIG), fresh)
    with pytest.raises(UserError, match="expected one embedding of 'else' with"):
        prompts.cached_prompts(("else",), cache, config=CONFIG)
    other = dataclasses.replace(CONFIG, t5_mask=False)
    with pytest.raises(UserError, match="'t5_mask': True"):
        prompts.cached_prompts(TEXTS, cache, config=other)
    with pytest.raises(UserError, match="no such folder"):
        prompts.cached_prompts(TEXTS, tmp_path / "absent", config=CONFIG)


def test_embeddings_of_two_encoders_are_not_guessed_between(tmp_path):
    entry = embedding_cache.Entry(embeddings=np.zeros((2, 4), "float32"), length=1)
    for encoder in ("one", "two"):
        key = embedding_cache.Key(
            prompt="p", tokenizer="t", encoder=encoder, config=CONFIG
        )
        embedding_cache.write(tmp_path, key, entry)
    with pytest.raises(UserError, match="got 2"):
        embedding_cache.find(tmp_path, "p", CONFIG)


def test_prompts_that_would_be_cut_are_refused(pipeline):
    prompts.check_lengths(TEXTS[:2], pipeline, config=CONFIG)
    with pytest.raises(UserError, match=r"'holes holes.*tokens, 9 fit: shorten it"):
        prompts.check_lengths(("holes " * 9,), pipeline, config=CONFIG)


def flip(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip, "the cached embedding of 'a red car' is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-5]), "not a readable"),
        (lambda path: path.write_bytes(b""), "not a readable"),
        (
            lambda path: [shutil.copy(p, path) for p in path.parent.iterdir()
                          if p != path],
            "not the cached embedding of 'a red car'",
        ),
    ],
)  # fmt: skip
def test_damaged_entries_are_made_again(embed, warnings, tmp_path, damage, message):
    fresh = embed(TEXTS[:1])
    (path,) = (tmp_path / "cache").iterdir()
    whole = path.read_bytes()
    embed(TEXTS[1:2])
    damage(path)
    assert_same(embed(TEXTS[:1]), fresh)
    assert path.read_bytes() == whole
    (warning,) = warnings
    assert message in warning
    assert warning.endswith("; this prompt is encoded again.")


def test_folders_that_do_not_serve_are_refused(embed, pipeline, tiny, tmp_path):
    with pytest.raises(UserError, match="expected at least one text"):
        embed(())
    with pytest.raises(UserError, match="no such folder"):
        embed(folder=tmp_path / "absent")
    small = dataclasses.replace(tiny.config, vocabulary=20)
    tiny.write(pipeline / "text_encoder", tiny.draw(small), vocab_size=20)
    with pytest.raises(UserError, match=r"the encoder has 20 tokens and its tokenizer"):
        embed()
    assert not (tmp_path / "cache").exists()
