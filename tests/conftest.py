"""The setting of the tests: a process as a user has it, with one CPU device and no call before the first computation.

With `--devices 8` the process has eight, and only laws about devices run, those marked `devices`; `make test` does so after all else.
`make test-64` runs all tests with `--bits 64`; what is about 32 bits asks for `x32`.

Promotion is left at JAX's defaults: NumPyro 0.22 mixes integers with floats (`Binomial.log_prob`, `LKJCholesky`) and ranks
(`MultivariateNormal.expand`), so "strict" and "raise" stop inside NumPyro; and "strict" inside Optax's Adam. Under `strict` the engines
are traced on a density of our own (`test_execute.py`), EM on the ready families (`test_models.py`), and whole fits by NUTS run
(`test_stragglers.py`).

Compiling is most of the time of the suite. Programs are compiled with little optimisation, which takes a third less; each in one piece,
as XLA otherwise copies the parts of a program to compile them on the cores that the other worker has; and what was imported is left out of
garbage collection.

Signatures of the package are checked at every call, shapes included (jaxtyping and beartype; `checker.py`). Tests that hand over wrong
types on purpose ask for `wrong_types`.

The compilation cache on disk is JAX's own setting, JAX_COMPILATION_CACHE_DIR, as in the Makefile; `.jax_cache` without.
"""

import gc
import os

import jax
import jaxtyping
import pytest

jaxtyping.install_import_hook("jaxlatent", "checker.checked")

import jaxlatent as jl  # noqa: E402 (what is imported from here on is checked)


def pytest_addoption(parser):
    parser.addoption(
        "--devices", type=int, default=1, help="CPU devices; of more than one, run only the laws about them"
    )
    parser.addoption("--bits", type=int, default=32, choices=[32, 64], help="JAX's precision")


def pytest_configure(config):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_parallel_codegen_split_count=1"
    jax.config.update("jax_disable_most_optimizations", True)
    jax.config.update("jax_traceback_in_locations_limit", 0)
    jax.config.update("jax_enable_x64", config.getoption("--bits") == 64)
    # Subprocesses and commands too, which else keep programs in the user's folder.
    cache = os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(config.rootpath / ".jax_cache"))
    jax.config.update("jax_compilation_cache_dir", cache)
    if config.getoption("--devices") > 1:
        jl.use_cpu_cores(config.getoption("--devices"))
    # Started here, JAX keeps its devices whatever a test calls.
    assert len(jax.devices()) == config.getoption("--devices")


#: The files that take longest go to the workers first, so that none has one of them left when the others have ended.
LONGEST = ("store", "buckets", "cross_validation", "results", "chunks", "shards", "execute", "compat", "engine_grid")


def pytest_collection_modifyitems(config, items):
    """One device runs every test that does not need more; more devices run the tests marked for them."""
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in LONGEST)
    devices = config.getoption("--devices")

    def wanted(item):
        mark = item.get_closest_marker("devices")
        return devices == 1 if mark is None else devices >= mark.kwargs.get("least", 1)

    config.hook.pytest_deselected(items=[item for item in items if not wanted(item)])
    items[:] = [item for item in items if wanted(item)]


def pytest_collection_finish():
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture
def x64():
    """64 bits inside one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def x32():
    """32 bits inside one test."""
    with jax.enable_x64(False):
        yield


@pytest.fixture
def strict():
    """No type is promoted implicitly inside one test, as a user may set it."""
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def wrong_types():
    """Signatures are not checked, as in a user's process: the errors are the package's own."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module", autouse=True)
def bounded_memory():
    """Compiled programs of a finished file are dropped: kept, they came to six gigabytes a worker."""
    yield
    jax.clear_caches()
