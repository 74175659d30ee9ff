import importlib.util
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from aw_jax.core.errors import UserError
from aw_jax.models.lpips import network, weights


@pytest.fixture(autouse=True)
def fresh():
    weights._found.cache_clear()
    yield
    weights._found.cache_clear()


def write_hub_files(folder: Path) -> None:
    import h5py

    rng = np.random.default_rng(0)
    kernels, heads = weights._shapes("lpips-vgg")
    names = [
        f"conv{b}_{i}"
        for b, n in enumerate((2, 2, 3, 3, 3), 1)
        for i in range(1, n + 1)
    ]
    with h5py.File(folder / weights.HUB_TRUNK, "w") as file:
        for name, (shape, size) in zip(names, kernels, strict=True):
            scale = np.float32(np.sqrt(2 / np.prod(shape[:3])))
            kernel = rng.standard_normal(shape, dtype=np.float32) * scale
            file[f"{name}/weight"] = kernel
            file[f"{name}/bias"] = 0.1 * rng.standard_normal(size, dtype=np.float32)
        file["fc6/weight"] = np.zeros((2, 2), np.float32)
    with h5py.File(folder / weights.HUB_HEADS, "w") as file:
        for i, size in enumerate(heads):
            file[f"lin{i}"] = rng.random((1, 1, size, 1), dtype=np.float32)


def test_official_vgg_agrees_with_lpips_j(tmp_path, monkeypatch):
    import huggingface_hub
    import jax
    from lpips_j import lpips as peer

    write_hub_files(tmp_path)
    fetch = lambda repo_id, filename: str(tmp_path / filename)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    monkeypatch.setattr(peer, "hf_hub_download", fetch)
    a, b = jnp.asarray(np.random.default_rng(1).random((2, 2, 72, 40, 3)), jnp.float32)
    net = weights.load("lpips-vgg")
    x, y = (network.features(net, v, fed="[-1,1]") for v in (a, b))
    model = peer.LPIPS()
    stretched = (2 * a - 1, 2 * b - 1)
    shapes = jax.eval_shape(model.init, jax.random.key(0), *stretched)["params"]
    params = {"vgg": {}}
    for layer, kernel, bias in zip(
        sorted(shapes["vgg"]), net.kernels, net.biases, strict=True
    ):
        params["vgg"][layer] = {"kernel": kernel, "bias": bias}
    for i, head in enumerate(net.heads):
        params[f"lins_{i}"] = {"layer": {"kernel": head[None, None, :, None]}}
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, shapes)
    want = jax.jit(model.apply)({"params": params}, *stretched).ravel()
    np.testing.assert_allclose(network.distance(net, x, y), want, rtol=1e-5)


def test_official_alex_is_read_from_torchs_cache_with_pinned_digest(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"download https://download\.pytorch\.org"):
        weights.load("lpips-alex")
    weights._found.cache_clear()
    folder = tmp_path / "hub/checkpoints"
    folder.mkdir(parents=True)
    (folder / "alexnet-owt-7be5be79.pth").write_bytes(b"something else")
    with pytest.raises(UserError, match="expected sha256 7be5be79"):
        weights.load("lpips-alex")


def test_official_alex_takes_torchvisions_names(tmp_path, monkeypatch):
    kernels, sizes = weights._shapes("lpips-alex")
    state = {
        f"lin{i}.model.1.weight": np.full(n, i, np.float32) for i, n in enumerate(sizes)
    }
    for index, (shape, size) in zip((0, 3, 6, 8, 10), kernels, strict=True):
        state[f"features.{index}.weight"] = np.full(
            tuple(shape[i] for i in (3, 2, 0, 1)), index, np.float32
        )
        state[f"features.{index}.bias"] = np.zeros(size, np.float32)
    folder = tmp_path / "hub/checkpoints"
    folder.mkdir(parents=True)
    (folder / "alexnet-owt-7be5be79.pth").touch()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "_pinned", lambda path, remedy: path)
    monkeypatch.setattr(weights, "_wheel", lambda name, package, remedy: tmp_path)
    monkeypatch.setattr(weights, "read_state", lambda path: state)
    net = weights.load("lpips-alex")
    assert [float(k[0, 0, 0, 0]) for k in net.kernels] == [0, 3, 6, 8, 10]
    assert [float(head[0]) for head in net.heads] == [0, 1, 2, 3, 4]


def test_missing_wheel_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install --no-deps stlpips_pytorch"):
        weights.load("st-lpips-vgg")
    assert "not installed" in weights.missing("st-lpips-alex")


def test_a_hub_that_cannot_be_reached_names_the_other_net(monkeypatch):
    import huggingface_hub

    asked = []

    def fail(**file):
        asked.append(file)
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    for _ in range(2):
        with pytest.raises(UserError, match="st-lpips-vgg"):
            weights.load("lpips-vgg")
    assert len(asked) == 1


def test_unknown_net_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match="st-lpips-alex"):
        weights.load("vgg")


def test_wrong_shapes_are_refused():
    with pytest.raises(UserError, match="weights of lpips-alex"):
        weights.from_arrays("lpips-alex", [], [])
