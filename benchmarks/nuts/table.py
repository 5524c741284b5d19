"""Medians of runs, a row a sampler."""

import statistics

COLUMNS = {
    "total s": lambda e: e["total_s"],
    "compile s": lambda e: e["compile_s"],
    "run s": lambda e: e["run_s"],
    "min ESS": lambda e: e["min_ess_bulk"],
    "tail ESS": lambda e: e["min_ess_tail"],
    "ESS/s cold": lambda e: e["min_ess_bulk"] / e["total_s"],
    "ESS/s run": lambda e: e["min_ess_bulk"] / e["run_s"],
    "grad/draw": lambda e: e["gradients_per_draw"],
    "ESS/1k draw grad": lambda e: 1000 * e["min_ess_bulk"] / e["gradients_sampling"],
    "diverg": lambda e: e["divergences"],
    "max rhat": lambda e: e["max_rhat"],
    "apart": lambda e: e.get("errors_apart", [float("nan")])[0],
    "GiB": lambda e: e["peak_gib"],
}
RATIOS = {"ESS/s cold x": "ESS/s cold", "ESS/s run x": "ESS/s run"}


def rows(entries):
    """By competitor, medians over rounds; the ratios are jaxlatent's over this row's, above 1 in favour of jaxlatent."""
    found = {}
    for name in dict.fromkeys(entry["competitor"] for entry in entries):
        mine = [entry for entry in entries if entry["competitor"] == name]
        found[name] = {title: statistics.median(map(value, mine)) for title, value in COLUMNS.items()}
    if "jaxlatent" in found:
        for row in found.values():
            row |= {title: found["jaxlatent"][source] / row[source] for title, source in RATIOS.items()}
    return found


def text(entries):
    """The rows as a table."""
    found = rows(entries)
    titles = list(next(iter(found.values())))
    lines = ["  ".join([f"{'':20}"] + [f"{title:>9}" for title in titles])]
    for name, row in found.items():
        lines.append("  ".join([f"{name:20}"] + [f"{row[title]:>{max(9, len(title))}.4g}" for title in titles]))
    return "\n".join(lines)
