"""Parts a and d: a mixture density network on 1000 points, full-batch Adam, against the loops that people write; and 1,000 of them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState

import jaxlatent as jl
from benchmarks.measure import Contender, alternate, called, entries
from jaxlatent.datasets import inverse_problem

EPOCHS, RATE, COMPONENTS, UNITS = 5_000, 1e-3, 3, 20
DATA = inverse_problem().data
X, Y = jnp.asarray(DATA["x"], jnp.float32), jnp.asarray(DATA["y"], jnp.float32)
MODEL = jl.models.mixture_density_network(COMPONENTS, 1, hidden=(UNITS,))
OPTIMIZER = optax.adam(RATE)
ADAM = {"max_iter": EPOCHS, "tol": 0.0, "standard_errors": False}


class Plain(nn.Module):
    """The network as it is usually written."""

    @nn.compact
    def __call__(self, x):
        hidden = jnp.tanh(nn.Dense(UNITS)(x))
        return nn.Dense(COMPONENTS)(hidden), nn.Dense(COMPONENTS)(hidden), jnp.exp(nn.Dense(COMPONENTS)(hidden)) + 0.01


def plain_loss(params):
    logits, means, scales = Plain().apply(params, X)
    normal = -0.5 * ((Y[:, None] - means) / scales) ** 2 - jnp.log(scales) - 0.5 * jnp.log(2 * jnp.pi)
    return -jnp.mean(jax.scipy.special.logsumexp(jax.nn.log_softmax(logits) + normal, -1))


def flax_state():
    return TrainState.create(apply_fn=None, params=Plain().init(jax.random.key(0), X), tx=OPTIMIZER)


def flax_step(state, _=None):
    loss, slope = jax.value_and_grad(plain_loss)(state.params)
    return state.apply_gradients(grads=slope), loss


def flax_loop():
    """A compiled step, called from Python."""
    step, state = LOOP_STEP, flax_state()
    for _ in range(EPOCHS):
        state, loss = step(state)
    return loss


LOOP_STEP = jax.jit(flax_step)
SCAN = jax.jit(lambda state: jax.lax.scan(flax_step, state, None, length=EPOCHS)[1][-1])


def torch_loop():
    """The usual loop of PyTorch."""
    import torch

    torch.manual_seed(0)
    x, y = torch.tensor(np.asarray(X)), torch.tensor(np.asarray(Y))
    body = torch.nn.Sequential(torch.nn.Linear(1, UNITS), torch.nn.Tanh())
    heads = torch.nn.ModuleList(torch.nn.Linear(UNITS, COMPONENTS) for _ in range(3))
    optimizer = torch.optim.Adam([*body.parameters(), *heads.parameters()], lr=RATE)
    for _ in range(EPOCHS):
        hidden = body(x)
        logits, means, scales = heads[0](hidden), heads[1](hidden), heads[2](hidden).exp() + 0.01
        normal = torch.distributions.Normal(means, scales).log_prob(y[:, None])
        loss = -torch.logsumexp(torch.log_softmax(logits, -1) + normal, -1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def fit(seed=0, **settings):
    """Mean negative log likelihood of the best lane."""
    engine = jl.Optimize(**{"optimizer": OPTIMIZER, **ADAM, **settings})
    return jl.fit(MODEL, DATA, engine, seed=seed, segment=engine.max_iter, progress=False).best()


def contender(name, call, **settings):
    one = called(name, call, **settings)
    loss = -float(one.result.score()) if isinstance(one.result, jl.Result) else float(one.result)
    one.facts["nll"] = round(loss, 4)
    return one


def run(rounds):
    """Lines of all contenders; the last two of ours are 20 restarts, and the NLL of 5,000 epochs by fewer, larger steps."""
    fast = optax.adam(optax.cosine_decay_schedule(2e-2, 2000))
    found: list[Contender] = [
        contender("jaxlatent", fit),
        contender("Flax and Optax, Python loop", flax_loop, target=2.0),
        contender("Flax and Optax, lax.scan", lambda: SCAN(flax_state())),
        contender("jaxlatent, 20 restarts", lambda: fit(restarts=20)),
        contender("jaxlatent, 2,000 decaying steps", lambda: fit(optimizer=fast, max_iter=2000)),
    ]
    try:
        found.insert(1, contender("PyTorch", torch_loop, target=8.0))
    except ModuleNotFoundError:
        print("PyTorch is not installed; its line is left out")
    sizes = {"rows": len(Y), "epochs": EPOCHS, "units": UNITS, "components": COMPONENTS}
    seconds = alternate(found, rounds)
    return entries("a", "mixture density network, Adam", sizes, found, seconds)


def many(rounds):
    """Lines of one network and of 1,000 in one call, a tenth of the epochs each."""
    epochs = EPOCHS // 10
    found = [
        contender("jaxlatent", lambda: fit(max_iter=epochs)),
        contender("jaxlatent, 1,000 restarts", lambda: fit(max_iter=epochs, restarts=1000)),
    ]
    sizes = {"rows": len(Y), "epochs": epochs, "units": UNITS, "components": COMPONENTS}
    return entries("d", "mixture density networks, Adam", sizes, found, alternate(found, rounds))
