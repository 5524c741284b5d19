"""One page of the last session of every benchmark: `benchmarks/results/report.md`, and its figure."""

import datetime
import json
import math
from pathlib import Path

from benchmarks import record
from benchmarks.nuts import table

RESULTS = Path(__file__).with_name("results")
PARTS = {
    "hidden_markov": "EM of hidden Markov models",
    "experts": "Networks and experts",
    "batches": "Batches",
    "glmhmm_workload": "A study of GLM-HMMs",
}


def write():
    """Write the page, and the figure where there is something to draw; the path of the page."""
    page = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks report` from the last session of each; see `docs/benchmarks.md`.",
    ]
    runs = last_session(read("nuts"))
    if runs:
        page += ["", "## NUTS, cold", "", *nuts(runs)]
        draw(runs, RESULTS / "nuts.svg")
    for name, title in PARTS.items():
        lines = read(name)
        if lines:
            page += ["", f"## {title}", ""]
            page += [part for case in dict.fromkeys(map(case_of, lines)) for part in one_case(case, lines)]
    path = RESULTS / "report.md"
    path.write_text("\n".join(page).rstrip() + "\n")
    return path


def read(name):
    """The lines of one file; none where it is absent."""
    return record.read(RESULTS / f"{name}.jsonl")


def last_session(lines):
    """The lines of the newest session."""
    return [one for one in lines if one["session"] == lines[-1]["session"]]


def condition(lines):
    """Where and when, and how busy the machine was."""
    first, loads = lines[0], [one["load"] for one in lines]
    bits = {competitor_of(one): 64 if one.get("x64") else 32 for one in lines}
    wide = "32" if 64 not in bits.values() else "64"
    if len(set(bits.values())) > 1:
        wide = f"32 ({', '.join(name for name, width in bits.items() if width == 64)}: 64)"
    return (
        f"**Condition:** {first['hardware']['cpu']}, {first['hardware']['cores']} cores, load {min(loads)} to {max(loads)}; Python "
        f"{first['versions']['python']}, JAX {first['versions']['jax']}, {wide} bits; {first['date'][:16].replace('T', ', ')}."
    )


def nuts(lines):
    """The table of each model, and the geometric means of the ratios."""
    one, rounds = lines[0], len({entry["seed"] for entry in lines})
    peers = ", ".join(
        f"{name} {one['versions'][name]}"
        for name in ("numpyro", "blackjax", "nutpie", "pystan")
        if name in one["versions"]
    )
    page = [
        f"{one['chains']} chains of {one['warmup']} + {one['draws']} iterations, medians of {rounds} round(s), every run a fresh process.",
        f"{peers}.",
        "*Errors* are the differences of posterior means from a peer's, in Monte Carlo standard errors, root mean square: about 1.",
        "",
        condition(lines),
        "",
        "![Least bulk ESS a second, compilation included](nuts.svg)",
    ]
    for title, column in (("compilation included", "ESS/s cold"), ("compiled", "ESS/s run")):
        page += ["", f"### Least bulk ESS a second, {title}", "", *overview(lines, column)]
    for model in dict.fromkeys(entry["model"] for entry in lines):
        rows = table.rows([entry for entry in lines if entry["model"] == model])
        titles = list(next(iter(rows.values())))
        page += ["", f"### {model}", "", row(["", *titles]), row(["---", *["---:"] * len(titles)])]
        page += [row([name, *(number(values[title]) for title in titles)]) for name, values in rows.items()]
    page += [
        "",
        "### jaxlatent over each, geometric mean over the models",
        "",
        row(["", *table.RATIOS]),
        row(["---", "---:", "---:"]),
    ]
    page += [row([name, *map(number, means)]) for name, means in geometric_means(lines).items()]
    return page


def overview(lines, column):
    """A table of one column, a row a model; the last column is that of the better jaxlatent over the best of the others."""
    names = list(dict.fromkeys(entry["competitor"] for entry in lines))
    page = [row(["", *names, "jaxlatent over the best"]), row(["---", *["---:"] * (len(names) + 1)])]
    for model in dict.fromkeys(entry["model"] for entry in lines):
        values = {name: found[column] for name, found in table.rows([e for e in lines if e["model"] == model]).items()}
        own = [value for name, value in values.items() if name.startswith("jaxlatent")]
        others = [value for name, value in values.items() if not name.startswith("jaxlatent")]
        over = max(own) / max(others) if own and others else math.nan
        page.append(row([model, *(number(values.get(name)) for name in names), number(over)]))
    return page


def geometric_means(lines):
    """By competitor, the geometric means of both ratios over the models that it ran."""
    ratios = {}
    for model in dict.fromkeys(entry["model"] for entry in lines):
        for name, values in table.rows([entry for entry in lines if entry["model"] == model]).items():
            if all(title in values for title in table.RATIOS) and name != "jaxlatent":
                ratios.setdefault(name, []).append([values[title] for title in table.RATIOS])
    mean = lambda values: math.exp(sum(map(math.log, values)) / len(values))
    return {name: [mean(column) for column in zip(*found, strict=True)] for name, found in ratios.items()}


def draw(lines, path):
    """A dot a sampler and model: least bulk effective sample size a second, compilation included."""
    import matplotlib.pyplot as plt

    models = list(dict.fromkeys(entry["model"] for entry in lines))
    rows = {model: table.rows([entry for entry in lines if entry["model"] == model]) for model in models}
    figure, axes = plt.subplots(1, 2, figsize=(9, 0.45 * len(models) + 1.4), sharey=True, layout="constrained")
    for axis, title in zip(axes, ("ESS/s cold", "ESS/s run"), strict=True):
        for name, marker in zip(dict.fromkeys(entry["competitor"] for entry in lines), "osD^vPX*", strict=False):
            points = [(rows[model][name][title], i) for i, model in enumerate(models) if name in rows[model]]
            axis.plot(*zip(*points, strict=True), marker, label=name, alpha=0.8)
        axis.set(
            xscale="log",
            xlabel="least bulk ESS a second, " + ("compilation included" if "cold" in title else "compiled"),
        )
        axis.grid(alpha=0.3)
    axes[0].set_yticks(range(len(models)), models)
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def competitor_of(line):
    """Who was measured."""
    return line.get("competitor") or line["contender"]


def case_of(line):
    """What makes lines comparable."""
    return line["part"], line["case"], json.dumps(line["sizes"])


def one_case(case, lines):
    """The table of the newest lines of one case: those that were written within a minute of the last."""
    mine = [one for one in lines if case_of(one) == case and "median_ms" in one]
    if not mine:
        return []
    when = lambda one: datetime.datetime.fromisoformat(one["date"])
    mine = [one for one in mine if (when(mine[-1]) - when(one)).total_seconds() < 60]
    sizes = ", ".join(f"{name} {value}" for name, value in mine[0]["sizes"].items())
    page = [f"### {mine[0]['case']}", "", f"Per {mine[0]['unit']}; {sizes}.", "", condition(mine), ""]
    page += [row(["", "median ms", "least ms", "compile s", "over jaxlatent", "wanted"]), row(["---", *["---:"] * 5])]
    fields = ("median_ms", "min_ms", "compile_s", "ratio", "target")
    return [*page, *(row([one["contender"], *(number(one.get(name)) for name in fields)]) for one in mine), ""]


def number(value):
    """Four digits; blank where there is none."""
    return "" if value is None or value != value else f"{value:.4g}"


def row(cells):
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"
