"""The mixture density network fully Bayesian: normal priors of scale 5 on all weights, by mean-field variational inference and by NUTS.

    python examples/bayesian_density_network.py

The posterior of a network's weights has many equal modes, so weights say little and curves say all: what is predicted, and how sure the
model is of it, is compared with the trained network.
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import optax

import jaxlatent as jl
from jaxlatent import plots
from jaxlatent.datasets import inverse_problem

jl.use_cpu_cores()
mpl.use("Agg")

FIGURE = Path("runs/examples/bayesian_density_network.png")
DATA = inverse_problem().data
model = jl.models.mixture_density_network(3, 1, prior_scale=5.0)
plain = jl.models.mixture_density_network(3, 1)


def main():
    """Train, approximate, sample; compare on data that were not seen."""
    adam = lambda rate, steps: jl.Optimize(optimizer=optax.adam(rate), max_iter=steps, tol=0.0, restarts=4)
    trained = jl.fit(plain, DATA, adam(5e-3, 20_000), seed=0).best()
    mode = jl.fit(model, DATA, adam(5e-3, 10_000), seed=0)
    # Mean and scale of 229 weights fit few fixed draws too well: half as many draws as weights.
    fixed = jl.DADVI(num_samples=116, linear_response=False, restarts=4, max_iter=1000, draws=200)
    advi = jl.fit(model, DATA, fixed, seed=0)
    nuts = jl.fit(model, DATA, jl.NUTS(chains=2, warmup=300, draws=200, max_depth=8), seed=0, init=mode)

    unseen = inverse_problem(2000, seed=1).data
    fits = {"trained": trained, "DADVI": advi.best(), "NUTS": nuts}
    print(f"{'':10}{'log score':>10}{'in 50%':>8}{'in 90%':>8}   on 2,000 new points")
    for name, result in fits.items():
        judged = result.conditional(unseen)
        half, most = judged.coverage([0.5, 0.9])
        print(f"{name:10}{judged.log_score().mean():10.3f}{half:8.2f}{most:8.2f}")
        assert judged.log_score().mean() > 0.9 and abs(most - 0.9) < 0.05
    bound, density = advi.best().objective[0], mode.best().objective
    print(f"ELBO of the mean field: {bound:.0f} nats; log density at the mode: {density:.0f}")
    narrow = jl.fit(model, inverse_problem(noise="narrow").data, fixed, seed=0).best().objective[0]
    print(f"with narrow noise {narrow:.0f} (published: about 1289)")
    assert bound > 450 and narrow > 1289

    x, y = DATA["x"][:, 0], DATA["y"]
    grid = np.linspace(x.min(), x.max(), 200)
    with plots.style():
        figure, axes = plt.subplots(2, 3, figsize=(12, 6.6), layout="constrained")
        for (top, bottom), (name, result) in zip(axes.T, fits.items(), strict=True):
            at_grid = result.conditional({"x": grid[:, None]})
            plots.density_map(at_grid, grid, np.linspace(-0.1, 1.1, 200), top)
            top.plot(x, y, ".", color="k", markersize=1, alpha=0.2)
            top.set_title(name)
            drawn, component = result.conditional().sample(seed=1)
            plots.labelled_draws(x, drawn[0], component[0], bottom)
            bottom.set_ylim(-0.1, 1.1)
    plots.save(figure, FIGURE)


if __name__ == "__main__":
    main()
