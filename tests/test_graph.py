"""The graph of a model has the edges, names and plates that a reader of its source would draw."""

import sys
import types
from itertools import combinations

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.infer.inspect import get_model_relations

import jaxlatent as jl
from benchmarks.census_models import DATA, NUMPYRO
from jaxlatent.demos import census, graphs
from jaxlatent.graph.drawing import curve, label_corners, make_grid
from jaxlatent.graph.structure import Node, Plate

MODELS = {
    "C1": census.pooled(),
    "C2": census.no_pooling(),
    "C3": census.partial_pooling(),
    "C4": census.correlated(jl.centred),
    "C5": census.correlated(jl.noncentred),
}
EFFECTS = {("a", "effects"), ("b", "effects"), ("sds", "effects"), ("corr_chol", "effects"), ("corr_chol", "rho")}
EFFECTS |= {("effects", reader) for reader in ("p", "advantage", "income")}
BOTH = {(parent, reader) for parent in ("alpha", "bm") for reader in ("p", "advantage", "income")}
EDGES = {"C1": BOTH, "C2": BOTH, "C3": BOTH | {("a", "alpha"), ("sigma", "alpha")}, "C4": EFFECTS, "C5": EFFECTS}
GALLERY = {name: (model, data) for name, model, data in graphs.models()}


def in_plates(graph):
    """Labels of the plates around each node, from the outside."""
    found = {}

    def walk(plate, around):
        found.update(dict.fromkeys(plate.nodes, around))
        for inner in plate.plates:
            walk(inner, (*around, inner.label))

    walk(graph.root, ())
    return found


def edges_of(prior, likelihood, data=None, **declared):
    return set(jl.Model(prior=prior, likelihood=likelihood, **declared).graph(data or {"y": 0.0}).edges)


NORMAL = dist.Normal(0.0, 1.0)


@pytest.mark.parametrize("name", MODELS)
def test_edges_of_the_census_models_are_those_drawn_by_hand(name):
    assert set(MODELS[name].graph(DATA).edges) == EDGES[name]


@pytest.mark.parametrize("name", ["C1", "C2", "C3", "C4"])
def test_edges_and_names_are_those_of_numpyro(name):
    relations = get_model_relations(NUMPYRO[name], model_kwargs=DATA)
    renamed = {"L": "corr_chol"}
    theirs = {
        (renamed.get(parent, parent), child)
        for child, parents in relations["sample_sample"].items()
        for parent in parents
    }
    graph = MODELS[name].graph(DATA)
    ours_only = {"p", "advantage"}
    assert {(parent, child) for parent, child in graph.edges if child not in ours_only} == theirs
    assert {node.name for node in graph.nodes if node.kind == "observed"} == set(relations["observed"])


def test_plates_are_those_of_numpyro():
    import numpyro

    def theirs(y=None):
        mu, noise = numpyro.sample("mu", NORMAL), numpyro.sample("noise", dist.HalfNormal(1.0))
        with numpyro.plate("subject", 5):
            theta = numpyro.sample("theta", dist.Normal(mu, 1.0))
            with numpyro.plate("trial", 7):
                numpyro.sample("y", dist.Normal(theta, noise), obs=y)

    ours = jl.Model(
        prior={
            "mu": NORMAL,
            "noise": dist.HalfNormal(1.0),
            "theta": lambda p: dist.Normal(p.mu, 1.0).expand([5]).to_event(1),
        },
        likelihood=lambda p, d: {"y": dist.Normal(jnp.broadcast_to(p.theta, (7, 5)), p.noise)},
        dims={"theta": ("subject",), "y": ("trial", "subject")},
    )
    y = np.zeros((7, 5))
    graph, relations = ours.graph({"y": y}), get_model_relations(theirs, model_args=(y,))
    members = {"subject": set(), "trial": set()}
    for node, labels in in_plates(graph).items():
        for label in labels:
            members[label.split()[0]].add(node)
    assert members == {plate: set(sites) for plate, sites in relations["plate_sample"].items()}
    assert in_plates(graph)["y"] == (
        "subject (5)",
        "trial (7)",
    )  # theta's plate is the outer one, whatever order `dims` has
    assert {(p, c) for c, ps in relations["sample_sample"].items() for p in ps} == set(graph.edges)


def test_plates_of_a_census_model():
    assert in_plates(MODELS["C5"].graph(DATA)) == {
        **dict.fromkeys(["a", "b", "corr_chol", "rho"], ()),
        "sds": ("effect (2)",),
        "effects": ("education (7)",),
        "advantage": ("education (7)",),
        "p": ("education (7)", "sex (2)"),
        "income": ("cell (14)",),
    }


def test_axes_without_names_are_plates_of_their_size_and_chance_puts_no_observation_among_parameters():
    model, data = GALLERY["hmm"]
    assert len(data["y"]) == 3  # as many sequences as states
    graph = model.graph(data)
    assert [(plate.label, "y" in plate.nodes, "means" in plate.nodes) for plate in graph.plates] == [
        ("state (3)", False, True),
        ("3", True, False),
    ]


def test_a_plate_that_would_hold_nothing_but_another_is_one_with_it():
    model = jl.Model(
        prior={"x": NORMAL.expand([2, 3]).to_event(2)}, likelihood=lambda p, d: {}, dims={"x": ("row", "column")}
    )
    assert in_plates(model.graph()) == {"x": ("row (2), column (3)",)}


def test_what_is_not_read_has_no_edge():
    prior = {"read": NORMAL, "not_read": NORMAL}
    assert edges_of(prior, lambda p, d: {"y": dist.Normal(p.read, 1.0)}) == {("read", "y")}
    zero = lambda p, d: {"y": dist.Normal(p.read + jnp.zeros_like(p.not_read), 1.0)}
    assert edges_of(prior, zero) == {("read", "y")}, "a shape is not a value"


def test_each_observation_and_derived_quantity_has_its_own_parents():
    found = edges_of(
        {"a": NORMAL, "b": NORMAL, "c": lambda p: dist.Normal(p.a, 1.0)},
        lambda p, d: {"y": dist.Normal(p.a, 1.0), "z": dist.Bernoulli(logits=p.b * d.x)},
        {"y": 0.0, "z": np.zeros(3, int), "x": np.zeros(3)},
        derived=lambda p, d: {"both": p.a + p.b, "none": d.x.sum()},
    )
    assert found == {("a", "c"), ("a", "y"), ("b", "z"), ("a", "both"), ("b", "both")}


@pytest.mark.parametrize("call", [jax.jit, jax.checkpoint, jax.custom_jvp, jax.custom_vjp], ids=lambda f: f.__name__)
def test_calls_are_seen_through(call):
    @call
    def swap(x, y):
        return jnp.exp(y), jnp.exp(x)

    def likelihood(p, d):
        first, second = swap(p.a, p.b)
        return {"y": dist.Normal(first, 1.0), "z": dist.Normal(second, 1.0)}

    if call in (jax.custom_jvp, jax.custom_vjp):
        rules = (
            (lambda p, t: (swap(*p), t),) if call is jax.custom_jvp else (lambda x, y: (swap(x, y), ()), lambda r, g: g)
        )
        (swap.defjvp if call is jax.custom_jvp else swap.defvjp)(*rules)
    assert edges_of({"a": NORMAL, "b": NORMAL}, likelihood) == {("b", "y"), ("a", "z")}


def test_loops_and_branches_hide_nothing():
    prior = {"a": NORMAL, "b": NORMAL, "c": dist.HalfNormal(1.0)}

    def likelihood(p, d):
        mean = jax.lax.fori_loop(0, 3, lambda i, x: x * p.a, 1.0) + jax.lax.cond(p.c > 1, lambda: p.b, lambda: 0.0)
        return {"y": dist.Normal(mean, 1.0)}

    assert edges_of(prior, likelihood) == {("a", "y"), ("b", "y"), ("c", "y")}


def test_a_distribution_that_declares_no_pytree_fields_keeps_its_parents():
    class Own(dist.Distribution):
        support = dist.constraints.real

        def __init__(self, where):
            self.where = where
            super().__init__(jnp.shape(where), ())

    assert edges_of({"a": NORMAL}, lambda p, d: {"y": Own(p.a).expand([3])}) == {("a", "y")}


@pytest.mark.parametrize(
    "written, d",
    {
        "Normal": NORMAL.expand([3]).to_event(1),
        "Binomial": dist.Binomial(3, logits=jnp.zeros(2)),
        "Bernoulli": dist.Bernoulli(probs=0.5).mask(False),
        "MvNormal": dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2)),
        "MvStudentT": dist.MultivariateStudentT(3.0, jnp.zeros(2), jnp.eye(2)),
        "TruncatedNormal": dist.TruncatedNormal(0.0, 1.0, low=0.0),
        "LogNormal": dist.LogNormal(0.0, 1.0),
        "ZeroInflatedPoisson": dist.ZeroInflatedPoisson(0.5, 1.0),
        "StudentT": jl.noncentred(dist.StudentT(3.0, 0.0, 1.0).expand([3]).to_event(1)),
        "Laplace": jl.informed(dist.Laplace(0.0, 1.0).expand([3]).to_event(1)),
        "ordered Normal": jl.ordered(NORMAL.expand([3])),
        "Factor": jl.Factor(jnp.zeros(3)),
        "Mixture of Gamma": dist.MixtureSameFamily(dist.Categorical(jnp.ones(2) / 2), dist.Gamma(jnp.ones(2), 1.0)),
        "Mixture of Normal, Cauchy": dist.MixtureGeneral(
            dist.Categorical(jnp.ones(2) / 2), [NORMAL, dist.Cauchy(0.0, 1.0)]
        ),
        "HiddenMarkov of Poisson": jl.HiddenMarkov(jnp.ones(2) / 2, jnp.ones((2, 2)) / 2, dist.Poisson(jnp.ones(2))),
        "Flat": dist.ImproperUniform(dist.constraints.real, (), (3,)),
    }.items(),
)
def test_distributions_are_named_as_they_are_written(written, d):
    graph = jl.Model(prior={"a": NORMAL}, likelihood=lambda p, data: {"y": d}).graph({"y": np.zeros(3)})
    assert graph.nodes[-1].distribution == written


def test_flat_and_informed_effects_are_in_plates_though_they_are_events():
    prior = {
        "flat": dist.ImproperUniform(dist.constraints.real, (), (4,)),
        "tau": dist.HalfNormal(1.0),
        "effect": lambda p: jl.informed(dist.Normal(0.0, p.tau).expand([4]).to_event(1)),
        "simplex": dist.Dirichlet(jnp.ones(4)),
    }
    found = in_plates(jl.Model(prior=prior, likelihood=lambda p, d: {}).graph())
    assert found == {"flat": ("4",), "tau": (), "effect": ("4",), "simplex": ()}


def test_fixed_parameters_are_gone_and_tied_ones_stay():
    fixed = jl.fix(MODELS["C3"], sigma=1.0).graph(DATA)
    assert set(fixed.edges) == EDGES["C3"] - {("sigma", "alpha")}
    assert "sigma" not in {node.name for node in fixed.nodes}
    for model in (
        jl.tie(MODELS["C3"], alpha=[0, 0, 1, 1, 2, 2, 2]),
        jl.fix(MODELS["C3"], alpha=jl.Masked(np.zeros(7), np.arange(7) < 2)),
    ):
        graph = model.graph(DATA)
        assert set(graph.edges) == EDGES["C3"]
        assert in_plates(graph)["alpha"] == ("education (7)",)
        assert {node.distribution for node in graph.nodes if node.name == "alpha"} == {"Normal"}


def test_masked_data_and_factors():
    prior = {"a": NORMAL, "b": NORMAL}
    likelihood = lambda p, d: {"y": dist.Normal(p.a * d.x, 1.0), "penalty": jl.Factor(-(p.b**2))}
    data = {"y": jl.Masked(np.array([1.0, np.nan]), np.array([True, False])), "x": np.ones(2), "penalty": 0.0}
    assert edges_of(prior, likelihood, data) == {("a", "y"), ("b", "penalty")}


@pytest.mark.parametrize("name", GALLERY)
def test_every_parameter_of_a_ready_family_leads_to_its_observation(name):
    model, data = GALLERY[name]
    graph = model.graph(data)
    observed = {node.name for node in graph.nodes if node.kind == "observed"}
    reached = set(observed)
    while more := {parent for parent, child in graph.edges if child in reached} - reached:
        reached |= more
    assert reached == set(model.prior) | observed


def test_nothing_is_compiled():
    model, data = GALLERY["hmm"]
    compiled = []
    listen = lambda event, duration, **_: compiled.append(event) if "backend_compile" in event else None
    jax.monitoring.register_event_duration_secs_listener(listen)
    jax.block_until_ready(jax.jit(lambda x: x + 1)(np.zeros(17)))
    assert compiled, "the listener hears nothing"
    compiled.clear()
    model.graph(data)
    MODELS["C5"].graph(DATA)
    assert compiled == []


@pytest.mark.usefixtures("wrong_types")
def test_missing_covariates_are_named():
    with pytest.raises(jl.InputError, match=r"likelihood.*\n.*total"):
        MODELS["C1"].graph({"income": DATA["income"]})
    with pytest.raises(jl.InputError, match=r"prior of 'a'.*\n.*scale"):
        jl.Model(prior={"a": lambda p, d: dist.Normal(0.0, d.scale)}).graph()
    with pytest.raises(jl.InputError, match="likelihood of 'y'"):
        jl.Model(prior={"a": NORMAL}, likelihood=lambda p, d: {"y": p.a}).graph()
    with pytest.raises(jl.InputError, match="two nodes"):
        jl.Model(prior={"a": NORMAL}, derived=lambda p, d: {"a": p.a}).graph()


TINY = jl.Model(
    prior={"mu": NORMAL, "theta": lambda p: dist.Normal(p.mu, 1.0).expand([3]).to_event(1)},
    likelihood=lambda p, d: {'"y"': dist.Normal(p.theta, 1.0)},
    derived=lambda p, d: {"best": p.theta.max()},
    dims={"theta": ("school",), '"y"': ("school",)},
    name="tiny",
)


def test_mermaid_text():
    assert TINY.graph().mermaid() == (
        "flowchart TD\n"
        '    n0(["mu<br/>Normal"])\n'
        '    n2("best")\n'
        '    subgraph plate0["school (3)"]\n'
        '        n1(["theta<br/>Normal"])\n'
        '        n3(["#quot;y#quot;<br/>Normal"])\n'
        "    end\n"
        "    n0 --> n1\n"
        "    n1 --> n2\n"
        "    n1 --> n3\n"
        "    classDef observed fill:#d9d9d9,stroke:#000,color:#000\n"
        "    class n3 observed\n"
        "    classDef derived stroke-dasharray:4 3\n"
        "    class n2 derived\n"
    )


def test_dot_source():
    assert TINY.graph().dot() == (
        'digraph "tiny" {\n'
        '    node [fontname="Helvetica", fontsize=11];\n'
        '    graph [fontname="Helvetica", fontsize=10, labeljust=r, labelloc=b];\n'
        '    n0 [label="mu\\nNormal", shape=ellipse];\n'
        '    n2 [label="best", shape=box, style="rounded,dashed"];\n'
        '    subgraph cluster0 { label="school (3)"; style=rounded;\n'
        '        n1 [label="theta\\nNormal", shape=ellipse];\n'
        '        n3 [label="\\"y\\"\\nNormal", shape=ellipse, style=filled, fillcolor="#d9d9d9"];\n'
        "    }\n"
        "    n0 -> n1;\n"
        "    n1 -> n2;\n"
        "    n1 -> n3;\n"
        "}\n"
    )


@pytest.mark.parametrize("name", GALLERY)
def test_plates_hold_their_own_nodes_and_nothing_touches(name):
    model, data = GALLERY[name]
    page, chains = make_grid(model.graph(data))
    nodes = {item.key.name: item.corners for item in page.walk() if isinstance(item.key, Node)}
    plates = [(item.key, item.corners) for item in page.walk()[1:] if isinstance(item.key, Plate)]
    apart = lambda a, b: np.any(a[1] <= b[0]) or np.any(b[1] <= a[0])
    holds = lambda outer, inner: np.all(outer[0] < inner.min(0)) and np.all(outer[1] > inner.max(0))
    assert np.all(page.corners[0] == 0.0)
    assert all(apart(a, b) for a, b in combinations(nodes.values(), 2))
    members = lambda plate: set(plate.nodes).union(*(members(inner) for inner in plate.plates))
    for plate, box in plates:
        for node, corners in nodes.items():
            assert (holds if node in members(plate) else apart)(box, corners), (plate.label, node)
    for (p, a), (q, b) in combinations(plates, 2):
        assert apart(a, b) or (members(q) < members(p) and holds(a, b))
    for chain in chains:
        points = curve(chain)
        assert holds(page.corners, points), "an edge leaves the page"
        for node, corners in nodes.items():
            if node not in (chain[0].key.name, chain[-1].key.name):
                inside = ((points - corners.mean(0)) / (np.diff(corners, axis=0) / 2)) ** 2
                assert inside.sum(1).min() > 1, f"an edge to {chain[-1].key.name} runs over {node}"


#: Plates that arrows leave, enter, and both, where a label at the lower right was crossed.
LABELLED = {
    **GALLERY,
    "leaves": (
        jl.Model(
            {"sigma": NORMAL, "slope": NORMAL.expand([5]).to_event(1)},
            lambda p, d: {"y": dist.Normal(p.slope.sum() * p.sigma, 1.0)},
            dims={"slope": ("predictor",)},
        ),
        {"y": np.zeros(200)},
    ),
    "both": (
        jl.Model(
            {
                "mu": NORMAL,
                "tau": NORMAL,
                "sigma": NORMAL,
                "clinic": lambda p: dist.Normal(p.mu, p.tau).expand([16]).to_event(1),
            },
            lambda p, d: {"days": dist.Normal(p.clinic.sum(), p.sigma)},
            dims={"clinic": ("clinic",)},
        ),
        {"days": np.zeros(132)},
    ),
}


@pytest.mark.parametrize("name", LABELLED)
def test_no_arrow_crosses_the_label_of_a_plate(name):
    model, data = LABELLED[name]
    page, chains = make_grid(model.graph(data))
    arrows = [curve(chain) for chain in chains]
    for plate in page.walk()[1:]:
        if isinstance(plate.key, Plate):
            low, high = label_corners(plate, arrows)
            assert np.all(plate.corners[0] < low) and np.all(high < plate.corners[1])
            assert not any(np.all((low < points) & (points < high), 1).any() for points in arrows), plate.key.label


def test_no_edges_cross_that_need_not():
    readers = dict(zip("abcd", ["y2", "y3", "y0", "y1"], strict=True))
    model = jl.Model(
        prior=dict.fromkeys("abcd", NORMAL),
        likelihood=lambda p, d: {name: dist.Normal(p[parent], 1.0) for parent, name in sorted(readers.items())[::-1]},
    )
    page, _ = make_grid(model.graph())
    order = [item.key.name for item in sorted(page.children, key=lambda item: item.corners[0, 0])]
    above, below = ([name for name in order if (name in readers) == upper] for upper in (True, False))
    assert [readers[name] for name in above] == below


def test_arrows_run_from_border_to_border():
    graph = MODELS["C3"].graph(DATA)
    ax = graph.draw()
    arrows = [patch for patch in ax.patches if isinstance(patch, matplotlib.patches.FancyArrowPatch)]
    borders = {}
    for node in graph.nodes:
        text = next(text for text in ax.texts if text.get_text() == "\n".join(node.lines))
        around = [patch for patch in ax.patches if patch not in arrows and patch.get_path().vertices.size]
        shape = min(
            (patch for patch in around if patch.contains_point(ax.transData.transform(text.get_position()))),
            key=lambda patch: np.prod(patch.get_window_extent().size),
        )
        border = shape.get_patch_transform().transform_path(shape.get_path()).to_polygons()[0]
        borders[node.name] = matplotlib.path.Path(border).interpolated(50).vertices
    away = lambda point, name: np.linalg.norm(borders[name] - point, axis=1).min()
    ends = [arrow._path_original.vertices[[0, -1]] for arrow in arrows]
    for parent, child in graph.edges:
        assert any(away(start, parent) < 0.02 and away(end, child) < 0.02 for start, end in ends), (parent, child)
    assert len(arrows) == len(graph.edges)
    plt.close("all")


def test_it_is_drawn_into_given_axes_and_scaled():
    _, axes = plt.subplots(1, 2, figsize=(4.0, 2.0))
    graph = MODELS["C3"].graph(DATA)
    assert graph.draw(axes[0]) is axes[0]
    whole = graph.draw()
    assert {text.get_text() for text in axes[0].texts} == {text.get_text() for text in whole.texts}
    assert "alpha\nNormal" in {text.get_text() for text in whole.texts}
    assert axes[0].texts[0].get_fontsize() < whole.texts[0].get_fontsize()
    shaded = [patch for patch in whole.patches if matplotlib.colors.to_hex(patch.get_facecolor()) == "#d9d9d9"]
    assert len(shaded) == 1
    plt.close("all")


def test_a_notebook_shows_it_with_graphviz_or_without(monkeypatch):
    graph = TINY.graph()
    monkeypatch.setitem(sys.modules, "graphviz", None)
    open_figures = plt.get_fignums()
    assert "<svg" in graph._repr_svg_()
    assert plt.get_fignums() == open_figures
    source = lambda text: types.SimpleNamespace(pipe=lambda format, encoding: f"<svg by graphviz of {text}>")
    monkeypatch.setitem(sys.modules, "graphviz", types.SimpleNamespace(Source=source))
    assert graph.svg() == f"<svg by graphviz of {graph.dot()}>"


def test_the_gallery_writes_a_figure_of_each_model(tmp_path, monkeypatch):
    from rich.console import Console

    monkeypatch.setattr(graphs, "models", lambda: iter([("tiny", TINY, {}), ("c3", MODELS["C3"], DATA)]))
    written = graphs.run(tmp_path / "new", Console(quiet=True))
    assert [path.name for path in written] == ["graph_tiny.svg", "graph_c3.svg", "graphs.md"]
    assert written[-1].read_text().count("```mermaid") == 2
