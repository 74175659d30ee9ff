"""The text encoder and its tokenizer beside transformers', live."""

import importlib.util
import io
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sentencepiece

from aw_jax.models.t5 import files, weights
from aw_jax.models.t5.config import T5_XXL
from aw_jax.models.t5.tokenizer import load_tokenizer

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="the peers are not installed")
transformers = pytest.importorskip("transformers", reason="the peers are not installed")

SCRIPT = Path(__file__).parents[2] / "scripts/goldens/t5.py"
SENTENCES = (
    "a red car on a wet road",
    "the splat is blurred and full of holes",
    "please restore the frames of this video, all 25 of them",
)
PROMPTS = (
    "a red car",
    "",
    "  The splat,\tfull of   holes!\n",
    "café № ½ 视频 🙂",
    "holes " * 200,
)


@pytest.fixture(scope="module")
def upstream():
    """The script that makes the goldens, as a module."""
    spec = importlib.util.spec_from_file_location("t5_goldens", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(upstream):
    model = upstream.encoder(**upstream.TINY)
    upstream.fill(model)
    return model


@pytest.fixture(scope="module", params=["5GB", "20KB"])
def folder(model, request, tmp_path_factory):
    """What transformers writes, in one file and in several."""
    path = tmp_path_factory.mktemp("t5")
    model.save_pretrained(path, max_shard_size=request.param)
    assert (path / files.INDEX).is_file() == (request.param == "20KB")
    return path


def run(encoder, upstream):
    ids, lengths = jnp.asarray(upstream.ids()), jnp.asarray(upstream.LENGTHS)
    return jax.jit(lambda encoder: encoder(ids, lengths))(encoder)


@pytest.mark.parametrize("masked", [True, False])
def test_saved_folders_give_the_same_embeddings(upstream, model, folder, masked):
    got = run(files.load_encoder(folder, t5_mask=masked), upstream)
    np.testing.assert_allclose(got, upstream.run(model, masked=masked), atol=1e-4)


def test_bfloat16_is_as_close_to_float32_as_upstreams(upstream, model, folder):
    wide = upstream.run(model, masked=True)
    theirs = transformers.T5EncoderModel.from_pretrained(folder, dtype=torch.bfloat16)
    errors = [
        np.linalg.norm(np.asarray(low, np.float32) - wide) / np.linalg.norm(wide)
        for low in (
            run(
                files.load_encoder(
                    folder, t5_mask=True, dtype="bfloat16", param_dtype="bfloat16"
                ),
                upstream,
            ),
            upstream.run(theirs.eval(), masked=True),
        )
    ]
    assert errors[0] < 1.2 * errors[1]


def test_full_size_names_and_shapes_equal_upstream(upstream):
    slots = weights.tensor_names(T5_XXL)
    shapes = {name: weights.tensor_shape(T5_XXL, slot) for name, slot in slots.items()}
    assert shapes == upstream.full_size_names()


def test_ids_equal_upstreams(tmp_path):
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 5),
        model_writer=trained,
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
    )
    (tmp_path / "spiece.model").write_bytes(trained.getvalue())
    theirs = transformers.T5Tokenizer.from_pretrained(tmp_path)
    wanted = theirs(
        list(PROMPTS),
        padding="max_length",
        max_length=256,
        truncation=True,
        return_tensors="np",
    )
    got = load_tokenizer(tmp_path)(PROMPTS)
    np.testing.assert_array_equal(got.ids, wanted["input_ids"])
    np.testing.assert_array_equal(got.lengths, wanted["attention_mask"].sum(axis=1))
