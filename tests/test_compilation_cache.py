"""Compiled programs on the disk: a second process compiles nothing and finds the same; the user's own folder stays."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import jaxlatent as jl
from jaxlatent.execute import compilation_cache

#: Compiles before the call, as programs do that make their data by JAX.
PROGRAM = """
import jax
import jax.numpy as jnp
import numpy as np

import jaxlatent as jl

y = np.asarray(jnp.arange(8.0) % 3)[:, None]
missed = []
jax.monitoring.register_event_listener(lambda event, **more: missed.append(event) if event.endswith("cache_misses") else None)
print(jl.enable_compilation_cache())
fit = jl.fit(jl.models.gaussian_mixture(2, 1), {"y": y}, jl.EM(restarts=2, max_iter=3), 0)
print(fit.objective.tolist(), len(missed))
"""


def test_a_second_process_compiles_nothing(tmp_path):
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        environment.pop(name, None)
    run = lambda: subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    (folder, first), (same, second) = (run().stdout.splitlines() for _ in range(2))
    assert folder == same and Path(folder).parent == tmp_path / "jaxlatent"
    (objective, compiled), (again, compiled_again) = (line.rsplit(" ", 1) for line in (first, second))
    assert objective == again and int(compiled) > 5 and compiled_again == "0"


def test_a_folder_of_the_user_stays():
    before = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
    assert jl.enable_compilation_cache() == Path(before[0])
    assert before == (jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(jl.StoreError, match="another folder"):
        jl.enable_compilation_cache(tmp_path / "file" / "below")


def test_without_a_home_a_folder_is_asked_for(monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    known = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        with pytest.raises(jl.StoreError, match="XDG_CACHE_HOME"):
            jl.enable_compilation_cache()
    finally:
        jax.config.update("jax_compilation_cache_dir", known)


def test_what_was_not_used_for_longest_goes(tmp_path, monkeypatch):
    for i, name in enumerate(("old", "read", "new")):
        (tmp_path / name).write_bytes(bytes(10))
        os.utime(tmp_path / name, (1000 * i, 1000 * i))
    os.utime(tmp_path / "read", (9000, 1000))
    monkeypatch.setattr(compilation_cache, "_MOST", 29)
    monkeypatch.setattr(compilation_cache, "_LEFT", 15)
    compilation_cache._shrink(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["read"]
    monkeypatch.setattr(compilation_cache, "_LEFT", 0)
    compilation_cache._shrink(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["read"]
