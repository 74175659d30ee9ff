"""Writes tests/golden/t5.npz: transformers' T5 encoder, tiny, with and without mask.

Weights and ids are drawn from a seed and the tensor's name, so the file holds only
outputs: some channels of every token, and the mean and norm of all; the position
buckets of every distance up to 300; and a digest of the names and shapes of all
tensors of the XXL, from a model on the meta device.

    python scripts/goldens/t5.py
"""

import hashlib
import json
import zlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from transformers import T5Config, T5EncoderModel

GOLDEN = Path(__file__).parents[2] / "tests/golden/t5"
SEED = 5
TOKENS, LENGTHS = 150, (1, 37, 150)
"""Longer than the distance of the last bucket; one prompt is empty but for its end."""
STRIDE = (7, 3)
"""Every so many tokens and channels of an output are kept."""
TINY = {
    "vocab_size": 100,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 3,
    "num_heads": 6,
}
XXL = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
}
V11 = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
COPY = "encoder.embed_tokens.weight"
"""A second name of `shared.weight`."""


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values of the tensor `name`: gains about 1, matrices over sqrt(inputs).

    Tokens are of every size from 1e-4 to 1, so that the eps of a norm tells.
    """
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
    values = rng.standard_normal(shape)
    if "norm" in name:
        values = 1 + 0.3 * values
    elif name == "shared.weight":
        values = values * np.logspace(-4, 0, len(values))[:, None]
    elif "relative_attention_bias" not in name:
        values = values / np.sqrt(shape[-1])
    return values.astype(np.float32)


def ids() -> np.ndarray:
    rng = np.random.default_rng([SEED, zlib.crc32(b"input.ids")])
    drawn = rng.integers(2, TINY["vocab_size"], (len(LENGTHS), TOKENS))
    counts = np.arange(TOKENS)
    last = np.array(LENGTHS)[:, None] - 1
    return np.where(counts < last, drawn, counts == last)


def encoder(**sizes: int) -> T5EncoderModel:
    return T5EncoderModel(T5Config(**sizes, **V11)).eval()


def fill(module: torch.nn.Module) -> None:
    for name, parameter in module.named_parameters():
        drawn = torch.from_numpy(draw(name, tuple(parameter.shape)))
        parameter.data.copy_(drawn)


def run(model: T5EncoderModel, *, masked: bool) -> np.ndarray:
    mask = torch.arange(TOKENS) < torch.tensor(LENGTHS)[:, None]
    with torch.no_grad():
        out = model(torch.from_numpy(ids()), mask.long() if masked else None)
    return out.last_hidden_state.float().numpy()


def summary(array: np.ndarray) -> dict[str, np.ndarray]:
    rows, channels = STRIDE
    wide = array.astype(np.float64)
    return {
        "strided": array[:, ::rows, ::channels],
        "mean": wide.mean(axis=(1, 2)),
        "norm": np.sqrt((wide**2).sum(axis=(1, 2))),
    }


def outputs() -> dict[str, np.ndarray]:
    model = encoder(**TINY)
    fill(model)
    return {
        f"{kind}.{name}": array
        for kind in ("masked", "unmasked")
        for name, array in summary(run(model, masked=kind == "masked")).items()
    }


def buckets() -> np.ndarray:
    """The bucket of each offset from -300 to 300."""
    attention = encoder(**TINY).encoder.block[0].layer[0].SelfAttention
    found = attention._relative_position_bucket(torch.arange(-300, 301))
    return found.numpy().astype(np.int8)


def full_size_names() -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of the XXL; the copy of the token table is not."""
    with torch.device("meta"):
        model = encoder(**XXL)
    names = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    assert names.pop(COPY) == names["shared.weight"]
    return names


def digest(names: dict[str, tuple[int, ...]]) -> str:
    lines = "\n".join(f"{k} {list(names[k])}" for k in sorted(names))
    return hashlib.sha256(lines.encode()).hexdigest()


def main() -> None:
    arrays = outputs() | {"buckets": buckets()}
    np.savez_compressed(GOLDEN.with_suffix(".npz"), **arrays)
    names = full_size_names()
    provenance = {
        "upstream": {name: version(name) for name in ("torch", "transformers")},
        "seed": SEED,
        "dtype": "float32",
        "xxl": {
            "count": len(names),
            "parameters": sum(int(np.prod(shape)) for shape in names.values()),
            "sha256": digest(names),
        },
        "tolerance": {
            "output": "1e-4: float32 sums in another order over three blocks",
            "buckets": "exact",
        },
    }
    text = json.dumps(provenance, indent=2) + "\n"
    GOLDEN.with_suffix(".json").write_text(text)


if __name__ == "__main__":
    main()
