import concurrent.futures
import ctypes
import os
import warnings

import pytest

from aw_jax.splat.kernels import build

ZEN3 = "x86_64 {'model name': 'AMD EPYC', 'flags': 'sse2 avx avx2 fma bmi1 bmi2'}"


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A process that has not asked yet, with an empty cache and a tiny source."""
    source = tmp_path / "source" / "tiny.cc"
    source.parent.mkdir()
    source.write_text('extern "C" int answer() { return 42; }\n')
    monkeypatch.setattr(build, "FOLDER", source.parent)
    monkeypatch.setenv("AW_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AW_JAX_NO_NATIVE", raising=False)
    build.library.cache_clear()
    yield tmp_path / "cache"
    build.library.cache_clear()


def answer():
    library = build.library()
    assert library is not None
    return library.answer()


def names(cache):
    return sorted(path.name for path in cache.iterdir())


def test_library_is_built_once_and_found_again(fresh):
    assert answer() == 42
    (name,) = names(fresh)
    build.library.cache_clear()
    before = (fresh / name).stat().st_mtime_ns
    assert answer() == 42
    assert (fresh / name).stat().st_mtime_ns == before


def test_changed_source_or_header_is_built_anew(fresh):
    build.library()
    (build.FOLDER / "tiny.cc").write_text('extern "C" int answer() { return 43; }\n')
    build.library.cache_clear()
    assert answer() == 43
    (build.FOLDER / "part.h").write_text("// new\n")
    build.library.cache_clear()
    build.library()
    assert len(names(fresh)) == 3


def test_damaged_library_is_built_anew(fresh):
    build.library()
    (name,) = names(fresh)
    (fresh / name).unlink()
    (fresh / name).write_bytes(b"not a library")
    build.library.cache_clear()
    assert answer() == 42


def test_builders_at_once_leave_one_whole_library(fresh):
    path = fresh / "shared.so"
    command = [build.find_compiler(), *build.FLAGS]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: build.compile_to(path, command), range(4)))
    assert ctypes.CDLL(str(path)).answer() == 42
    assert names(fresh) == ["shared.so"]


def test_missing_compiler_warns_once_and_turns_native_off(fresh, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.warns(RuntimeWarning, match=r"no C\+\+ compiler found \(no-such"):
        assert build.library() is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert build.library() is None


def test_failed_build_warns_with_the_first_error(fresh):
    (build.FOLDER / "tiny.cc").write_text("#error out of order\n")
    with pytest.warns(RuntimeWarning, match="out of order"):
        assert build.library() is None
    assert names(fresh) == []


def test_unwritable_cache_warns(fresh, monkeypatch):
    monkeypatch.setenv("AW_JAX_CACHE", os.devnull + "/cache")
    with pytest.warns(RuntimeWarning, match="native rasterizer is off"):
        assert build.library() is None


def test_no_native_switches_off_without_a_word(fresh, monkeypatch):
    monkeypatch.setenv("AW_JAX_NO_NATIVE", "1")
    assert build.library() is None


def test_lane_width_follows_the_instruction_sets():
    assert build.machine_flags(ZEN3)[0] == "-DAW_LANES=8"
    wide = ZEN3.replace("bmi2", "bmi2 avx512f avx512bw avx512dq avx512vl")
    assert build.machine_flags(wide)[0] == "-DAW_LANES=16"
    assert build.machine_flags(ZEN3.replace("avx2", "")) == ("-DAW_LANES=4",)
    assert build.machine_flags("aarch64 {'Features': 'fp asimd'}") == ("-DAW_LANES=4",)
