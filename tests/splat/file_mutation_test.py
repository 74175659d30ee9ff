"""Damaged splat files: a clear error or a sound splat, no crash, hang or large memory.

Two of three mutations change headers, counts, offsets, property lists or lengths; the
others are the wounds of disks and uploads, anywhere.
"""

import gzip
import random
import resource
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData

from aw_jax.core.errors import UserError
from aw_jax.splat.files import load_splat, save_splat

SOME = 60
ALL = 200
SECONDS = 20.0  # a sound read takes milliseconds; the machine may be busy
MARGIN = 64e6
GOLDEN = Path(__file__).parents[1] / "golden/splat_files.npz"
COUNTS = [0, 1, 39, 41, 255, 10**9, 2**31, 2**32 - 1, 2**63, 2**64 - 1]
KINDS = ["inria.ply", "text.ply", "packed.ply", "v3.spz", "v4.spz", "a.splat"]

seeds = pytest.mark.parametrize(
    "seeds",
    [range(SOME), pytest.param(range(SOME, ALL), marks=pytest.mark.slow)],
    ids=["some", "rest"],
)


@pytest.fixture
def whole(tmp_path, draw_splat):
    """The bytes of a sound file of one kind."""

    def call(kind):
        with np.load(GOLDEN) as files:
            if kind == "v4.spz":
                return files["v4.spz"].tobytes()
            if kind == "packed.ply":
                return files["chunks.compressed.ply"].tobytes()
        save_splat(tmp_path / kind, draw_splat(degree=0 if kind == "a.splat" else 1))
        if kind == "text.ply":
            rows = PlyData.read(tmp_path / kind, mmap=False)
            rows.text = True
            rows.write(tmp_path / kind)
        return (tmp_path / kind).read_bytes()

    return call


def wounded(data, rng):
    """`data` with one to three wounds, anywhere."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at, length = rng.randrange(len(data) + 1), rng.choice([1, 4, 8, 40])
        kind = rng.choice(["cut", "drop", "repeat", "noise", "number"])
        if kind == "cut":
            del data[max(at, 1) :]
        elif kind == "drop":
            del data[at : at + length]
        elif kind == "repeat":
            data[at:at] = data[at : at + length]
        elif kind == "noise":
            data[at : at + length] = rng.randbytes(length)
        else:
            value = rng.choice([np.nan, np.inf, -1.0, 0.0, 3e38])
            data[at : at + 4] = struct.pack("<f", value)
    return bytes(data)


def other_header(data, rng):
    """A .ply with one to three lines of its header changed."""
    header, end, body = data.partition(b"end_header\n")
    lines = header.splitlines()
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        kind = rng.choice(["count", "drop", "repeat", "swap", "type", "name", "new"])
        words = lines[at].split()
        if kind == "drop":
            del lines[at]
        elif kind == "repeat":
            lines.insert(at, lines[rng.randrange(len(lines))])
        elif kind == "swap":
            lines[at], lines[-1] = lines[-1], lines[at]
        elif kind == "type" and len(words) > 1:
            types = [b"double", b"uchar", b"int", b"list uchar int", b"half", b""]
            lines[at] = b" ".join([words[0], rng.choice(types), *words[2:]])
        elif kind == "name" and len(words) > 1:
            names = [b"x", b"opacity", b"f_rest_9", b"chunk", b"\xff\0", b""]
            lines[at] = b" ".join([*words[:-1], rng.choice(names)])
        elif kind == "new":
            odd = [
                b"element a %d",
                b"comment %d",
                b"format ascii %d",
                b"element vertex",
            ]
            line = rng.choice(odd)
            count = rng.choice(COUNTS)
            lines.insert(at, line % count if b"%" in line else line)
        else:
            elements = [i for i, line in enumerate(lines) if b"element" in line]
            for at in elements[:1] if rng.random() < 0.7 else elements:
                count = rng.choice([*COUNTS, -1, 10**30])
                lines[at] = b" ".join(lines[at].split()[:2] + [b"%d" % count])
    return b"\n".join([*lines, end]) + body


def other_fields(data, rng, size):
    """One to three numbers among the first `size` bytes changed."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        form = rng.choice(["<B", "<I", "<Q"])
        width = struct.calcsize(form)
        at = rng.randrange(0, size - width + 1, rng.choice([1, width]))
        value = rng.choice([*COUNTS, rng.randrange(8), rng.randrange(2**64)])
        struct.pack_into(form, data, at, value % 2 ** (8 * width))
    return bytes(data)


def other_length(data, rng):
    """Bytes cut off, taken out or put in."""
    at, length = rng.randrange(len(data)), rng.choice([1, 8, 31, 32, 33, 64])
    put = bytes(length) if rng.random() < 0.3 else rng.randbytes(length)
    return rng.choice(
        [data[:at], data[:at] + data[at + length :], data[:at] + put + data[at:]]
    )


def mutated(kind, data, seed):
    rng = random.Random(seed)
    told = seed % 3 > 0  # what a file says of itself, or its length
    if kind.endswith(".ply"):
        return other_header(data, rng) if told else wounded(data, rng)
    if kind == "v4.spz":
        return other_fields(data, rng, 128) if told else wounded(data, rng)
    if kind == "a.splat":
        return other_length(data, rng) if told else wounded(data, rng)
    if seed % 6 == 0:
        return wounded(data, rng)
    payload = gzip.decompress(data)
    change = [wounded, other_length, lambda d, r: other_fields(d, r, 16)][seed % 3]
    return gzip.compress(change(payload, rng))


def outcome(path):
    """ "read" or "refused"; fails on anything else."""
    begin, told = time.perf_counter(), ""
    tracemalloc.start()
    try:
        check_sound(load_splat(path))
    except UserError as error:
        told = str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.perf_counter() - begin < SECONDS
    assert peak <= 2 * path.stat().st_size + MARGIN
    assert "\n" not in told
    assert len(told) < 1000
    return "refused" if told else "read"


def check_sound(splat):
    count, coefficients, _ = splat.sh.shape
    assert coefficients in (1, 4, 9, 16)
    for values in vars(splat).values():
        assert len(values) == count
        assert values.dtype == np.float32
        assert np.isfinite(values).all()


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@seeds
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_file(kind, seeds, whole, tmp_path):
    data, path, seen = whole(kind), tmp_path / kind, set()
    path.write_bytes(data)
    assert outcome(path) == "read"
    before = peak_bytes()
    for seed in seeds:
        path.write_bytes(mutated(kind, data, seed))
        seen.add(outcome(path))
    assert seen == {"read", "refused"}
    assert peak_bytes() - before <= 2 * len(data) + MARGIN


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "a.splat"])
def test_a_thousand_million_announced_rows_are_not_made(kind, whole, tmp_path):
    data, count = whole(kind), 10**9
    if kind == "v3.spz":
        payload = gzip.decompress(data)
        data = gzip.compress(payload[:8] + struct.pack("<I", count) + payload[12:])
    elif kind == "v4.spz":
        data = bytearray(data)
        struct.pack_into("<I", data, 8, count)
        for index, width in enumerate((9, 1, 3, 3, 4, 45)):
            struct.pack_into("<Q", data, 40 + 16 * index, width * count)
    else:
        name, old = ("chunk", 2) if kind == "packed.ply" else ("vertex", 40)
        announced = f"element {name} {count}".encode()
        data = data.replace(f"element {name} {old}".encode(), announced)
    (tmp_path / kind).write_bytes(data)
    before = peak_bytes()
    assert outcome(tmp_path / kind) == "refused"
    assert peak_bytes() - before <= MARGIN
