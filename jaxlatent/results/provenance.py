"""`Provenance` of a result: engine, settings, seed, versions, device, timings."""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax

from jaxlatent.keys import seed_in_words
from jaxlatent.store.manifest import plain

_PACKAGES = ("jaxlatent", "jax", "jaxlib", "numpyro", "blackjax", "optax", "arviz", "numpy")


@dataclass(frozen=True)
class Provenance:
    """Origin of a result.

    Attributes:
        engine: its name.
        settings: of the engine, by name.
        seed: as given, keys as text.
        versions: of Python and the packages that matter.
        device: kind and number.
        x64: whether JAX ran in 64 bits.
        timings: seconds: "compile" (checks and compilation), "warmup", "sampling", "total".
        created: ISO time, UTC.
        choices: what the engine chose by itself, and why, in words: "metric" of NUTS.
    """

    engine: str
    settings: dict[str, Any]
    seed: Any
    versions: dict[str, str]
    device: str
    x64: bool
    timings: dict[str, float]
    created: str
    choices: dict[str, str] = field(default_factory=dict)


@cache
def _versions() -> dict[str, str]:
    """Versions of Python and the main packages; cached, since reading them takes longer than a small fit."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    return versions


def provenance(
    settings: Mapping[str, Any],
    engine: str,
    seed: Any,
    devices: Iterable[Any],
    timings: dict[str, float],
    choices: Mapping[str, str],
) -> Provenance:
    """The provenance of a run that ends now."""
    kinds = [device.device_kind for device in devices]
    return Provenance(
        engine=engine,
        settings=plain(settings),
        # That of a resumed run is in words already.
        seed=seed if isinstance(seed, str) else seed_in_words(seed),
        versions=dict(_versions()),
        device=f"{len(kinds)} x {kinds[0]}",
        x64=bool(jax.config.read("jax_enable_x64")),
        timings=timings,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        choices=dict(choices),
    )
