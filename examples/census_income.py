"""Income by education and sex: a hierarchical regression, from raw counts to a comparison and a figure.

    python examples/census_income.py [FIGURE.png]

Counts of the 1994 US census: of `total` people with an education and a sex, `income` earn more than $50,000 a year.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import jaxlatent as jl
from jaxlatent import plots

education = ["Some HS", "HS Grad", "Some College", "Prof School", "Bachelors", "Masters", "Doctorate"]
data = {  # women and men in turn
    "total": np.array([1321, 2932, 3390, 7111, 3227, 5131, 592, 1366, 1619, 3736, 536, 1187, 86, 327]),
    "income": np.array([23, 221, 226, 1449, 253, 1399, 109, 675, 339, 1882, 179, 780, 50, 256]),
    "edu": np.repeat(np.arange(7), 2),
    "sex": np.tile(np.arange(2), 7),
}

# Intercepts come from one population; the effect of being a man is the same for all educations.
pooling = jl.Model(
    prior={
        "a": dist.Normal(0.0, 10.0),
        "bm": dist.Normal(0.0, 1.0),
        "sigma": dist.HalfCauchy(2.0),
        "alpha": lambda p: dist.Normal(p.a, p.sigma).expand([7]).to_event(1),
    },
    likelihood=lambda p, d: {"income": dist.Binomial(d.total, logits=p.alpha[d.edu] + p.bm * d.sex)},
    dims={"alpha": ("education",)},
    name="partial pooling",
)

# Both vary with education, and may go together. `informed` chooses the coordinates of the effects, not the model.
correlated = jl.Model(
    prior={
        "mean": dist.Normal(0.0, jnp.array([10.0, 1.0])).to_event(1),
        "sds": dist.HalfCauchy(2.0).expand([2]).to_event(1),
        "corr": dist.LKJCholesky(2, concentration=2.0),
        "effects": lambda p: jl.informed(
            dist.MultivariateNormal(p.mean, scale_tril=p.sds[:, None] * p.corr).expand([7]).to_event(1)
        ),
    },
    likelihood=lambda p, d: {
        "income": dist.Binomial(d.total, logits=p.effects[d.edu, 0] + p.effects[d.edu, 1] * d.sex)
    },
    derived=lambda p, d: {"p_male": jax.nn.sigmoid(p.effects.sum(1)), "rho": p.corr[1, 0]},
    dims={"effects": ("education", "effect"), "p_male": ("education",)},
    name="correlated effects",
)


def main() -> None:
    """Fit both models, compare them and draw the figure."""
    jl.use_cpu_cores()
    engine = jl.NUTS(chains=4, warmup=1000, draws=1000, target_accept=0.9)
    results = {
        "pooling": jl.fit(pooling, data, engine, seed=0, coords={"education": education}),
        "correlated": jl.fit(
            correlated, data, engine, seed=0, coords={"education": education, "effect": ["women", "men - women"]}
        ),
    }
    for name, result in results.items():
        print(f"\n{name}: {result.statistics['diverging'].sum()} divergences\n{result.summary().round(3).to_string()}")
    print("\n" + jl.compare({name: result.loo() for name, result in results.items()}, seed=0).table("deviance"))

    predicted = results["pooling"].predict(seed=1)["income"] / data["total"]
    observed = data["income"] / data["total"]
    ax = plots.validation(observed.reshape(7, 2), predicted.reshape(-1, 7, 2), education, ["women", "men"])
    plots.save(ax.figure, sys.argv[1] if len(sys.argv) > 1 else "census_income.png")


if __name__ == "__main__":
    main()
