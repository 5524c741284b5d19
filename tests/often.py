"""Which cases of a parametrised test run always, and which only with `make test-slow`, because each compiles for seconds."""

import pytest


def often(cases, always):
    """The cases, those outside ``always`` marked slow."""
    assert set(always) <= set(cases), "an unknown case"
    return [case if case in always else pytest.param(case, marks=pytest.mark.slow) for case in cases]
