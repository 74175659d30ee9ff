"""The download script against a local stand-in for the hub."""

import hashlib
import json
import os
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from aw_jax.models.ltx.safetensors_files import save_tensors

SCRIPT = Path(__file__).parents[2] / "scripts/download_weights.sh"
REPO, FILE = "Lightricks/LTX-Video", "ltxv-2b-0.9.8-distilled.safetensors"


class Hub(SimpleHTTPRequestHandler):
    """Serves files, and the rest of one where a range is asked for."""

    asked: list[str | None]

    def log_message(self, *_):
        pass

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data, start = path.read_bytes(), 0
        if wanted:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            span = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.send_header("Content-Range", span)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start:])


@pytest.fixture
def hub(tmp_path):
    """(folder of served files, ranges asked for, address)."""
    root = tmp_path / "hub"
    root.mkdir()
    asked = []
    handler = type("OwnHub", (Hub,), {"asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield root, asked, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def served(root, repo=REPO, file=FILE):
    """A small checkpoint where the hub has the real one."""
    path = root / repo / "resolve/main" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(path, {"a": np.arange(500, dtype=np.float32)}, metadata={})
    return path


def run(hub, *words, cwd, known=os.devnull):
    names = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
    kept = {key: value for key, value in os.environ.items() if key not in names}
    return subprocess.run(
        [SCRIPT, *words],
        cwd=cwd,
        env=kept | {"HF_ENDPOINT": hub[2], "KNOWN_SHA256": str(known)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_names_and_terms_are_listed(hub, tmp_path):
    told = run(hub, cwd=tmp_path)
    assert told.returncode == 0
    assert f"{REPO}/{FILE}" in told.stdout
    assert "LTXV Open Weights License" in told.stdout
    assert told.stdout.count("safetensors") == 17
    assert not hub[1]


def test_a_first_download_records_its_checksum_and_the_next_verifies(hub, tmp_path):
    source = served(hub[0])
    told = run(hub, "2b-0.9.8-distilled", "w", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "Terms: LTXV Open Weights License" in told.stdout
    assert "no checksum is known; recorded" in told.stdout
    target = tmp_path / "w" / REPO / FILE
    assert target.read_bytes() == source.read_bytes()
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert (tmp_path / "w/SHA256SUMS").read_text() == f"{digest}  {REPO}/{FILE}\n"
    again = run(hub, "2b-0.9.8-distilled", "w", cwd=tmp_path)
    assert f"whole, sha256 {digest}" in again.stdout
    assert len(hub[1]) == 1  # nothing is fetched twice
    target.write_bytes(target.read_bytes()[:-1] + b"x")
    damaged = run(hub, "2b-0.9.8-distilled", "w", cwd=tmp_path)
    assert damaged.returncode == 2
    assert f"expected sha256 {digest}" in damaged.stderr


def test_an_interrupted_download_goes_on_where_it_stopped(hub, tmp_path):
    data = served(hub[0]).read_bytes()
    part = tmp_path / "w" / REPO / f"{FILE}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(data[:700])
    told = run(hub, "2b-0.9.8-distilled", "w", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert hub[1] == ["bytes=700-"]
    assert part.with_suffix("").read_bytes() == data
    assert not part.exists()


def test_a_file_of_another_checksum_is_refused(hub, tmp_path):
    served(hub[0])
    (tmp_path / "known").write_text(f"{'0' * 64}  {REPO}/{FILE}\n")
    told = run(hub, "2b-0.9.8-distilled", "w", cwd=tmp_path, known=tmp_path / "known")
    assert told.returncode == 2
    assert f"expected sha256 {'0' * 64}" in told.stderr
    assert not (tmp_path / "w" / REPO / FILE).exists()


@pytest.mark.parametrize("damage", [lambda d: d[:-9], lambda _: b"<html></html>"])
def test_a_file_that_is_not_whole_is_refused(hub, tmp_path, damage):
    source = served(hub[0])
    source.write_bytes(damage(source.read_bytes()))
    told = run(hub, "2b-0.9.8-distilled", "w", cwd=tmp_path)
    assert told.returncode == 2
    assert "not a whole safetensors file" in told.stderr
    assert not (tmp_path / "w" / REPO / FILE).exists()
    assert not (tmp_path / "w/SHA256SUMS").exists()


def test_a_folder_is_fetched_by_its_index(hub, tmp_path):
    repo = "Lightricks/LTX-Video-0.9.7-dev"
    stem = "transformer/diffusion_pytorch_model"
    shards = [f"{stem}-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for shard in shards:
        served(hub[0], repo, shard)
    folder = hub[0] / repo / "resolve/main/transformer"
    (folder / "config.json").write_text("{}")
    names = {f"t{i}": Path(shard).name for i, shard in enumerate(shards)}
    index = json.dumps({"weight_map": names})
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(index)
    told = run(hub, "folder-13b-0.9.7-dev", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    found = {p.name for p in (tmp_path / "weights" / repo / "transformer").iterdir()}
    assert found == {p.name for p in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("3b", "no weights are called '3b'"),
        ("lora-pose", "not fetched; run this again"),
    ],
)
def test_unknown_names_and_absent_files_are_one_line(hub, tmp_path, name, message):
    told = run(hub, name, cwd=tmp_path)
    assert told.returncode == 2
    assert message in told.stderr


def test_an_interrupted_vocabulary_is_no_whole_one(hub, tmp_path):
    repo, file = "PixArt-alpha/PixArt-XL-2-1024-MS", "tokenizer/spiece.model"
    source = hub[0] / repo / "resolve/main" / file
    source.parent.mkdir(parents=True)
    source.write_bytes(bytes(range(200)))
    part = tmp_path / "weights" / repo / f"{file}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(source.read_bytes()[:50])
    told = run(hub, "tokenizer", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert part.with_suffix("").read_bytes() == source.read_bytes()
