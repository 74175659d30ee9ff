import ml_dtypes
import numpy as np
import pytest

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
