"""Weights of a tiny encoder, a folder that holds them, and a tokenizer trained here."""

import io
import json
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import sentencepiece

from aw_jax.models.ltx.safetensors_files import save_tensors
from aw_jax.models.t5 import weights
from aw_jax.models.t5.config import T5Config

TINY = T5Config(
    layers=2, heads=3, head_dim=4, width=16, hidden=24, vocabulary=64, t5_mask=True
)
UPSTREAM = {
    "num_layers": 2,
    "num_heads": 3,
    "d_kv": 4,
    "d_model": 16,
    "d_ff": 24,
    "vocab_size": 64,
    "feed_forward_proj": "gated-gelu",
}
SENTENCES = (
    "a red car on a wet road",
    "the splat is blurred and full of holes",
    "please restore the frames of this video",
)


def drawn(config=TINY, seed=0):
    """{upstream name: array} of an encoder."""
    return {
        name: np.random.default_rng([seed, zlib.crc32(name.encode())])
        .standard_normal(weights.tensor_shape(config, slot))
        .astype(np.float32)
        for name, slot in weights.tensor_names(config).items()
    }


def write_encoder(folder, tensors, **changes):
    """A folder as transformers writes it, in one file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(UPSTREAM | changes))
    save_tensors(folder / "model.safetensors", tensors, metadata={"format": "pt"})
    return folder


def train_tokenizer(**changes):
    """The bytes of a spiece.model with T5's special ids."""
    special = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1} | changes
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 5),
        model_writer=model,
        vocab_size=48,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **special,
    )
    return model.getvalue()


@pytest.fixture(scope="session")
def tiny():
    """The functions above, for the tests of this folder."""
    return SimpleNamespace(
        config=TINY, draw=drawn, write=write_encoder, train=train_tokenizer
    )


@pytest.fixture(scope="session")
def spiece():
    return train_tokenizer()


@pytest.fixture
def pipeline(tmp_path, spiece):
    """The two folders of a diffusers pipeline that T5 is made of."""
    write_encoder(tmp_path / "pipeline/text_encoder", drawn())
    (tmp_path / "pipeline/tokenizer").mkdir()
    (tmp_path / "pipeline/tokenizer/spiece.model").write_bytes(spiece)
    return tmp_path / "pipeline"
