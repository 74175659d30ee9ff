import numpy as np

from aw_jax.models.ltx.safetensors_files import (
    file_metadata,
    iterate_tensors,
    save_tensors,
)


def test_equal_content_gives_equal_bytes(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {f"layer.{i}": rng.normal(size=(3, 4)).astype("f4") for i in range(9)}
    notes = {name: name * 3 for name in ("one", "two", "three", "four", "five", "é")}
    files = [tmp_path / f"{i}.safetensors" for i in range(6)]
    for file in files:
        save_tensors(file, tensors, metadata=notes)
    assert len({file.read_bytes() for file in files}) == 1
    assert file_metadata(files[0]) == notes
    back = dict(iterate_tensors(files[0], tensors))
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(back[name], tensor)
