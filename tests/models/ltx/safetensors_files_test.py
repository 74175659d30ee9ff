import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from aw_jax.core.errors import UserError
from aw_jax.models.ltx import safetensors_files as files


def test_tensors_and_configuration_come_back(tmp_path):
    path = tmp_path / "a.safetensors"
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    tensors = {"x": turned, "y": np.asarray(2.0)}
    files.save_tensors(path, tensors, metadata={"config": '{"width": 3}'})
    assert files.tensor_shapes(path) == {"x": (3, 2), "y": ()}
    assert files.file_config(path) == {"width": 3}
    ((name, array),) = files.iterate_tensors(path, ["x"])
    assert name == "x"
    np.testing.assert_array_equal(array, turned)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"a\.safetensors: no such file"):
        files.tensor_shapes(tmp_path / "a.safetensors")


def test_a_file_of_another_format_is_named(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_text("no tensors here, and more than eight bytes")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        files.tensor_shapes(path)


def test_broken_configuration_is_named(tmp_path):
    path = tmp_path / "a.safetensors"
    files.save_tensors(path, {"x": np.zeros(1)}, metadata={"config": "{"})
    with pytest.raises(UserError, match="`config` is no JSON"):
        files.file_config(path)


def test_names_that_do_not_fit_are_counted_and_listed():
    found, expected = ["a", "b"], ["b", "c", "d", "e", "f"]
    message = r"4 \(c, d, e, \.\.\.\) missing, 1 \(a\) not used"
    with pytest.raises(UserError, match=message):
        files.check_names("x", found=found, expected=expected)


def test_a_shape_that_does_not_fit_is_told():
    with pytest.raises(
        UserError, match=r"tensor w has shape \(2,\), .* expects \(3,\)"
    ):
        files.check_shape("x", "w", (2,), (3,))


def test_views_into_a_file_equal_what_is_read_from_it(tmp_path):
    path = tmp_path / "m.safetensors"
    tensors = {
        "wide": np.arange(6, dtype=np.float32).reshape(2, 3),
        "narrow": np.arange(3).astype(ml_dtypes.bfloat16),
        "scalar": np.full((), 4, np.int64),
        "bytes": np.arange(5, dtype=np.uint8),
    }
    files.save_tensors(path, tensors, metadata={"a": "b"})
    names = ["narrow", "wide", "bytes", "scalar"]
    mapped = dict(files.mapped_tensors(path, names))
    assert list(mapped) == names
    for name, tensor in files.iterate_tensors(path, names):
        assert mapped[name].dtype == tensor.dtype
        np.testing.assert_array_equal(mapped[name], tensor)
        assert not mapped[name].flags.owndata


def tensors_of_every_type():
    rng = np.random.default_rng(0)
    names = [*(f"{kind}{n}" for kind in ("int", "uint") for n in (8, 16, 32, 64)),
             "bool", "float16", "float32", "float64", "bfloat16"]  # fmt: skip
    drawn = {name: rng.integers(0, 2, (3, 2)).astype(name) for name in names}
    return drawn | {"none": np.zeros((0, 4), np.float32), "é": np.asarray(2.5)}


def test_what_is_written_the_library_reads(tmp_path):
    tensors = tensors_of_every_type()
    files.save_tensors(tmp_path / "a.safetensors", tensors, metadata={"b": "ü"})
    back = load_file(tmp_path / "a.safetensors")
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        np.testing.assert_array_equal(back[name], tensor)
    assert files.file_metadata(tmp_path / "a.safetensors") == {"b": "ü"}


def test_the_bytes_are_the_librarys(tmp_path):
    ours, theirs = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    tensors = {n: np.full((2, 3), i, "f4") for i, n in enumerate("cab")}
    tensors |= {"odd": np.arange(3, dtype=np.uint8), "wide": np.zeros(2)}
    files.save_tensors(ours, tensors, metadata={"one": "entry"})
    save_file(tensors, theirs, metadata={"one": "entry"})
    assert sorted(ours.read_bytes()) == sorted(theirs.read_bytes())
    assert ours.read_bytes()[-60:] == theirs.read_bytes()[-60:]


def test_tensors_may_come_in_any_order_one_by_one(tmp_path):
    tensors = tensors_of_every_type()
    files.save_tensors(tmp_path / "a.safetensors", tensors, metadata={})
    late = reversed(tensors.items())
    files.stream_tensors(tmp_path / "b.safetensors", late, like=tensors, metadata={})
    whole = (tmp_path / "a.safetensors").read_bytes()
    assert whole == (tmp_path / "b.safetensors").read_bytes()
