import collections
import io
import pickle
import struct
import zipfile
from types import FunctionType

import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.models.lpips import torchfile

VALUES = np.arange(24, dtype=np.float32)


class FloatStorage:
    """Pickles as torch.FloatStorage does: by its global name."""


class Pickler(pickle._Pickler):
    """Writes the pickle torch writes, for tensors given as (key, shape, strides)."""

    def save_global(self, obj, name=None):
        names = {
            FloatStorage: "torch\nFloatStorage",
            rebuild: "torch._utils\n_rebuild_tensor_v2",
        }
        if obj not in names:
            return super().save_global(obj, name)
        self.write(b"c" + names[obj].encode() + b"\n")
        return self.memoize(obj)

    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return ("storage", FloatStorage, obj.key, "cpu", obj.count, *obj.view)
        return None


def rebuild(*args):
    return args


Pickler.dispatch = {
    **pickle._Pickler.dispatch,
    type: Pickler.save_global,
    FunctionType: Pickler.save_global,
}


class Storage:
    def __init__(self, key, count, view):
        self.key, self.count, self.view = key, count, view


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.args = (storage, offset, shape, strides, False, collections.OrderedDict())

    def __reduce__(self):
        return rebuild, self.args


def pickled(tree):
    out = io.BytesIO()
    Pickler(out, 2).dump(tree)
    return out.getvalue()


def tree(view=()):
    storage = Storage("7", 24, view)
    return collections.OrderedDict(
        whole=Tensor(storage, 0, (4, 6), (6, 1)),
        turned=Tensor(storage, 6, (6, 2), (1, 6)),
    )


def write_stream(path, *, values=VALUES, tensors=None):
    pickles = [torchfile.MAGIC, 1001, {"little_endian": True}]
    head = b"".join(pickle.dumps(p, 2) for p in pickles)
    body = pickled(tensors or tree((None,))) + pickle.dumps(["7"], 2)
    path.write_bytes(head + body + struct.pack("<q", 24) + values.tobytes())


def write_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(tree()))
        archive.writestr("archive/data/7", VALUES.tobytes())


@pytest.mark.parametrize("write", [write_stream, write_zip])
def test_both_layouts_give_the_tensors(tmp_path, write):
    write(tmp_path / "net.pth")
    state = torchfile.read_state(tmp_path / "net.pth")
    np.testing.assert_array_equal(state["whole"], VALUES.reshape(4, 6))
    np.testing.assert_array_equal(state["turned"], VALUES.reshape(4, 6)[1:3].T)


def test_code_in_a_file_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    path = tmp_path / "net.pth"
    write_stream(path, tensors={"a": Evil()})
    with pytest.raises(UserError, match=r"__builtin__\.print"):
        torchfile.read_state(path)


def test_a_file_cut_short_is_named(tmp_path):
    path = tmp_path / "net.pth"
    write_stream(path, values=VALUES[:9])
    with pytest.raises(UserError, match=r"net\.pth.*9 values where 24"):
        torchfile.read_state(path)


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
    path = tmp_path / "net.pth"
    storage = Storage("7", 24, (None,))
    write_stream(path, tensors={"a": Tensor(storage, 1, (4, 6), (6, 1))})
    with pytest.raises(UserError, match="beyond its storage"):
        torchfile.read_state(path)


def test_a_file_that_is_no_torch_file_is_refused(tmp_path):
    path = tmp_path / "net.pth"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match="download it again"):
        torchfile.read_state(path)
