"""Checksums of functions: equal for equal operations whatever the process did before, and different for others."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlatent.store.checksums import function_checksum

X = jnp.arange(3.0)

#: Equal to JAX's caches, and printed in different ways.
EQUAL = {"integers": (0, 1), "integers of NumPy": (np.int64(0), np.int64(1))}


@pytest.mark.parametrize("before", EQUAL)
def test_equal_static_arguments_of_another_type_were_seen_before(before):
    def traced():
        pad = jax.jit(lambda x, width: jax.lax.pad(x, 0.0, [(*width, 0)]), static_argnums=1)
        return pad, lambda x: pad(x, (0, 1)) * 2

    (pad, one), (_, other) = traced(), traced()
    pad(X, EQUAL[before])
    # The text is that of the first call: what this test is about.
    assert (str(jax.make_jaxpr(one)(X)) == str(jax.make_jaxpr(other)(X))) == (before == "integers")
    assert function_checksum(one, X) == function_checksum(other, X)


def test_functions_inside_that_are_shared_or_not():
    body = lambda x: jnp.sin(x) + 1.0
    one, other = jax.jit(body), jax.jit(lambda x: jnp.sin(x) + 1.0)
    shared, apart = lambda x: one(one(x)), lambda x: one(other(x))
    assert str(jax.make_jaxpr(shared)(X)) != str(jax.make_jaxpr(apart)(X))
    assert function_checksum(shared, X) == function_checksum(apart, X)
    loops = [
        lambda x, f=f: jax.lax.scan(lambda c, v: (f[0](c) + f[1](v), None), 0.0, x)[0]
        for f in ((one, one), (one, other))
    ]
    assert function_checksum(loops[0], X) == function_checksum(loops[1], X)


def test_a_default_precision_of_products():
    """`import dynamax` sets it for the process."""
    function = lambda x: x @ x
    checksum = function_checksum(function, X)
    with jax.default_matmul_precision("float32"):
        assert "HIGHEST" in str(jax.make_jaxpr(function)(X))
        assert function_checksum(function, X) == checksum
    precise = lambda x: jnp.matmul(x, x, precision="highest")
    assert function_checksum(precise, X) != checksum


def test_a_type_that_names_its_byte_order():
    """Those of arrays that Zarr reads do."""
    native = np.dtype("int32")
    named = native.newbyteorder("<" if sys.byteorder == "little" else ">")
    assert repr(native) != repr(named) and native == named
    checksums = {function_checksum(lambda x, to=to: jax.lax.convert_element_type(x, to), X) for to in (native, named)}
    assert len(checksums) == 1


WEIGHTS = np.array([1.0, 2.0, 3.0], np.float32)
DIFFERENT = {
    "a literal": (lambda x: x + 1.0, lambda x: x + 1.5),
    "not a number": (lambda x: x + jnp.nan, lambda x: x + jnp.inf),
    "a constant": (lambda x: x * WEIGHTS, lambda x: x * (WEIGHTS + 1)),
    "the order of inputs": (lambda x: x - 2 * x, lambda x: 2 * x - x),
    "an axis": (lambda x: jnp.cumsum(x, 0), lambda x: jnp.cumsum(x[::-1], 0)),
    "a type": (lambda x: x.astype(jnp.int32), lambda x: x.astype(jnp.int16)),
    "an output more": (lambda x: x, lambda x: (x, x)),
    "the reverse of a loop": (
        lambda x: jax.lax.scan(lambda c, v: (c * v, c), 1.0, x),
        lambda x: jax.lax.scan(lambda c, v: (c * v, c), 1.0, x, reverse=True),
    ),
    "the body of a loop": (
        lambda x: jax.lax.fori_loop(0, 3, lambda i, c: c * 2, x),
        lambda x: jax.lax.fori_loop(0, 3, lambda i, c: c * 3, x),
    ),
    "the bound of a loop": (
        lambda x: jax.lax.while_loop(lambda c: c.sum() < 9, lambda c: c * 2, x),
        lambda x: jax.lax.while_loop(lambda c: c.sum() < 8, lambda c: c * 2, x),
    ),
    "a branch": (
        lambda x: jax.lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x),
        lambda x: jax.lax.cond(x.sum() > 0, jnp.sin, jnp.tan, x),
    ),
    "a gradient of one's own": (jax.grad(lambda x: jax.nn.relu(x).sum()), jax.grad(lambda x: jnp.abs(x).sum())),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_other_operations_have_another_checksum(what):
    one, other = DIFFERENT[what]
    assert function_checksum(one, X) == function_checksum(lambda x: one(x), X) != function_checksum(other, X)


PROGRAM = """
import sys
import jax, numpy as np
import jaxlatent as jl
from jaxlatent.store.manifest import identity

jax.config.update("jax_enable_x64", sys.argv[1] == "True")
model = jl.models.hmm(2, jl.models.emissions.BernoulliRegression(2))
data = {"y": np.zeros((2, 30), int), "x": np.zeros((2, 30, 2))}
print(identity(jl.condition(model, data), jl.EM(), None)["model"]["program"])
"""


def test_another_process_has_the_same_checksum(capsys):
    """With other seeds of hashes, and a process that traced a thousand tests before."""
    bits = str(jax.config.read("jax_enable_x64"))
    printed = subprocess.run([sys.executable, "-c", PROGRAM, bits], capture_output=True, text=True, check=True).stdout
    capsys.readouterr()
    exec(PROGRAM.replace("sys.argv[1]", repr(bits)), {})
    assert capsys.readouterr().out == printed
