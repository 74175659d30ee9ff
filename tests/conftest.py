"""One cache of compiled programs for all tests of a session, whichever process runs."""

import jax
import pytest


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory, worker_id):
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    jax.config.update("jax_compilation_cache_dir", str(shared / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return shared / "compiled"
