"""Pages of results and studies: every section is there, numbers are those of the tables, names are text, and a browser opens them."""

import errno
import os
import xml.etree.ElementTree as ET
from dataclasses import replace

import browser
import html5lib
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
from often import often

import jaxlatent as jl
from jaxlatent.pages import tables
from jaxlatent.pages.tables import number
from jaxlatent.status import in_words

SECTIONS = ["convergence", "estimates", "model", "data", "settings", "origin"]
#: Names that would be markup, mathematics, hidden or not printable.
NAMES = ("<script>alert('ann')</script>", 'bob & "co" $x^$', "_cy\x1b[31m")
CLEANED = "_cy\N{REPLACEMENT CHARACTER}[31m"
HMM = jl.models.hmm(2, jl.models.emissions.Gaussian())
EM = jl.EM(restarts=3, max_iter=60)


class Page:
    """A page that was read strictly, as XML and as HTML."""

    def __init__(self, path):
        self.path, self.text = path, path.read_text(encoding="utf-8")
        html5lib.HTMLParser(strict=True).parse(self.text)
        self.root = ET.fromstring(self.text.removeprefix("<!DOCTYPE html>\n"))

    def words(self, tag, name=None):
        """The texts of all elements of a tag, within a section if named."""
        root = self.root if name is None else self.root.find(f".//section[@id='{name}']")
        return ["".join(one.itertext()) for one in root.iter(tag)]

    def table(self, caption):
        """The cells of the table whose caption begins so, as text, by the headers of rows and columns."""
        (found,) = (t for t in self.root.iter("table") if "".join(t.find("caption").itertext()).startswith(caption))
        heads = [th.text or "" for th in found.find("thead/tr")]
        rows = [list(row) for row in found.find("tbody")]
        levels = len([cell for cell in rows[0] if cell.tag == "th"])
        text = [["".join(cell.itertext()) for cell in row] for row in rows]
        keys = [row[0] if levels == 1 else tuple(row[:levels]) for row in text]
        return pd.DataFrame([row[levels:] for row in text], keys, heads[levels:])


def sequences(seed, *lengths):
    """Sequences that switch between two means."""
    rng = np.random.default_rng(seed)
    path = lambda length: (rng.random(length) < 0.2).cumsum() % 2
    return {"y": [4.0 * path(length) + rng.normal(size=length) for length in lengths]}


THREE = jl.Model(
    prior={
        "mu": dist.Normal(0.0, 5.0),
        "tau": dist.HalfCauchy(5.0),
        "theta": lambda p: jl.noncentred(dist.Normal(p.mu, p.tau).expand([3]).to_event(1)),
    },
    likelihood=lambda p, d: {"effect": dist.Normal(p.theta, d.error)},
    derived=lambda p, d: {"best": p.theta.argmax()},
    dims={"theta": ("school",)},
    name="three schools",
)
SCHOOLS = {"effect": np.array([28.0, 8.0, -3.0]), "error": np.array([15.0, 10.0, 16.0])}
#: Its density is not finite above 3, where one of two restarts begins.
BREAKS = jl.Model(
    {"mu": dist.Normal(0.0, 10.0)}, lambda p, d: {"y": dist.Normal(p.mu, jnp.where(p.mu > 3.0, jnp.nan, 1.0))}
)


def hmms():
    lengths = {NAMES[0]: (20, 30), NAMES[1]: (25,), NAMES[2]: (10, 20, 30)}
    data = {name: sequences(i, *lengths[name]) for i, name in enumerate(NAMES)}
    # A missing value, besides the padding of shorter datasets.
    data[NAMES[1]]["y"] = [jl.Masked(data[NAMES[1]]["y"][0], np.arange(25) != 7)]
    return jl.fit(HMM, jl.batch(data), EM, seed=0)


def selection():
    return jl.select(
        lambda K: jl.models.hmm(K, jl.models.emissions.Gaussian()),
        (1, 2),
        sequences(0, *[25, 24, 23] * 2, 25, 24),
        EM,
        0,
        folds=4,
    )


def chains():
    return jl.fit(THREE, SCHOOLS, jl.NUTS(chains=2, warmup=100, draws=100), 0, coords={"school": ["<b>", "$b$", "c"]})


def broken():
    data = {"good": {"y": np.zeros(4)}, "bad": {"y": np.array([0.0, np.nan, 0.0, 0.0])}, "far": {"y": np.full(4, 9.0)}}
    start = {"mu": np.array([0.5, 4.0])}
    with pytest.warns(UserWarning, match="quarantined"):
        return jl.fit(BREAKS, jl.batch(data), jl.Optimize(restarts=2), 0, init=start, on_bad_data="quarantine")


def approximation():
    return jl.fit(THREE, SCHOOLS, jl.ADVI(restarts=2, max_iter=200, draws=200), 0)


STUDIES = {make.__name__: make for make in (hmms, selection, chains, broken, approximation)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A function that gives a study and its page, by name, made once."""
    known = {}

    def of(name):
        if name not in known:
            path = tmp_path_factory.mktemp("pages") / f"{name}.html"
            study = STUDIES[name]()
            study.report(path)
            known[name] = study, Page(path)
        return known[name]

    return of


@pytest.mark.filterwarnings("ignore:ADVI")
@pytest.mark.parametrize("name", often(STUDIES, [name for name in STUDIES if name != "hmms"]))
def test_every_section_is_there_and_nothing_from_elsewhere(made, name):
    page = made(name)[1]
    expected = (["choice"] if name == "selection" else []) + SECTIONS
    assert [section.get("id") for section in page.root.iter("section")] == expected
    assert len(page.words("h1")) == 1 and all(page.words("h2")) and page.root.get("lang") == "en"
    ids = [element.get("id") for element in page.root.iter() if element.get("id")]
    assert len(set(ids)) == len(ids)
    assert [link.get("href") for link in page.root.find(".//nav").iter("a")] == [f"#{one}" for one in expected]
    for figure in page.root.iter("figure"):
        (image,) = figure.iter("img")
        assert image.get("src").startswith("data:image/svg+xml;base64,") and len(image.get("alt")) > 20
        assert figure.find("figcaption").text
    assert (
        len(list(page.root.iter("figure")))
        == {"hmms": 3, "selection": 5, "chains": 2, "broken": 2, "approximation": 3}[name]
    )
    for one in page.root.iter("table"):
        assert one.find("caption").text and all(th.get("scope") in ("row", "col") for th in one.iter("th"))
    assert not {"script", "link", "iframe", "object"} & {element.tag for element in page.root.iter()}
    assert "url(" not in page.text and "@import" not in page.text and len(page.text) < 3e6


def equal(shown, expected):
    """Whether cells show the numbers of a table, in the digits of its columns."""
    assert list(shown.columns) == [str(column) for column in expected.columns]
    for column in expected.columns:
        assert shown[str(column)].tolist() == [number(value, column) for value in expected[column].tolist()]


def test_numbers_of_a_batch_are_those_of_its_tables(made):
    result, page = made("hmms")
    best = result.best()
    shown, summary = page.table("Parameters, of the best restart"), best.summary()
    assert list(shown.columns) == list(summary.index.get_level_values(1)[: shown.shape[1]])
    # In four digits.
    np.testing.assert_allclose(shown.astype(float).to_numpy().ravel(), summary["value"], rtol=6e-4)
    criteria = page.table("Information criteria").astype(float)
    for name, values in best.criteria().items():
        np.testing.assert_allclose(criteria[name], values, atol=0.006)
    matrices = page.table("Transition matrix").astype(float).to_numpy().reshape(3, 2, 2)
    np.testing.assert_allclose(matrices, best.params["transition_matrix"], rtol=6e-4)
    each = page.table("Each dataset").loc[[*NAMES[:2], CLEANED]]
    np.testing.assert_allclose(each["objective"].astype(float), best.objective, atol=0.006)
    assert each["agreed"].astype(int).tolist() == result.agreeing().tolist()
    assert each["status"].tolist() == [in_words(status) for status in result.status]
    counted = page.table("What was observed").astype(int)
    assert counted["sequences"].tolist() == [2, 1, 3] and counted["observed values"].tolist() == [50, 24, 60]
    assert (counted["observed values"] + counted["masked values"]).tolist() == [90] * 3
    assert "134 observed values" in page.words("header")[0]
    priors = page.table("Parameters of one dataset")["prior"]
    assert priors["initial_probs"] == "Dirichlet(1.1)" and "given covs" in priors["means"]
    code = page.words("pre", "origin")[0]
    assert "jl.EM(restarts=3, max_iter=60), seed=0)" in code


def test_numbers_of_chains_are_those_of_the_summary(made):
    result, page = made("chains")
    summary = result.summary()
    shown = page.table("Parameters, over all chains")
    assert shown.index.tolist() == summary.index.tolist() and "theta[<b>]" in shown.index
    equal(shown, summary)
    each = page.table("Each chain")
    assert each["divergences"].astype(int).tolist() == result.statistics["diverging"].sum(1).tolist()
    assert f"R-hat at most {summary['r_hat'].max():.3f}" in page.words("header")[0]
    priors = page.table("Parameters of one dataset")["prior"]
    assert priors.tolist() == ["Normal(0, 5)", "HalfCauchy(5)", "Normal, given mu, tau"]
    told = " ".join(page.words("div", "convergence"))
    for finding in result.check().findings:
        assert finding.what in told


def test_a_choice_shows_its_table_and_reason(made):
    study, page = made("selection")
    equal(page.table("Candidates"), study.table)
    assert study.reason in page.words("p", "choice")[0] and f"Chosen: {study.chosen}" in page.words("p", "choice")[0]
    assert page.table("How the lanes of all folds")["status"].tolist() == [
        in_words(found.result.status) for found in study.validations.values()
    ]
    equal(page.table("Folds of 2"), study.validations[2].table)
    equal(page.table("Parameters, of the best restart"), study.best.summary())
    code = page.words("pre", "origin")[0]
    assert "jl.select(build, candidates, data, engine, folds=4, by=None, seed=0)" in code
    assert "candidates = [1, 2]" in code


def test_a_study_without_a_choice_says_why(made, tmp_path):
    replace(made("selection")[0], chosen=None, reason="Nothing has a finite score.").report(tmp_path / "none.html")
    page = Page(tmp_path / "none.html")
    assert page.words("p", "choice")[0] == "No candidate was chosen. Nothing has a finite score."
    assert page.words("h2")[1] == "Convergence of 1, fitted to all data"


def test_names_are_text(made, tmp_path):
    result, page = made("hmms")
    assert page.table("What was observed").index.tolist() == [*NAMES[:2], CLEANED]
    assert "<script" not in page.text
    # Nor are dollars mathematics in figures.
    result.select(NAMES[1:]).report(tmp_path / "others.html")
    assert "align their states first" in "".join(Page(tmp_path / "others.html").words("figcaption", "estimates"))
    result.align(to=result[NAMES[0]].best()).report(tmp_path / "aligned.html")
    assert "in 3 datasets with aligned states" in Page(tmp_path / "aligned.html").words("figcaption", "estimates")[0]


def test_what_failed_is_told_and_costs_the_others_nothing(made):
    result, page = made("broken")
    (reason,) = result.quarantined.values()
    assert reason in page.words("pre", "convergence")
    each = page.table("Each dataset")
    assert each["status"]["bad"] == "2 QUARANTINED" and "non finite" in each["findings"]["far"]
    # Nor does a stuck restart give a dataset an objective.
    assert each["objective"]["bad"] == each["objective"]["far"] == "\N{EN DASH}"
    assert np.isfinite(result["far"].objective[0])
    assert each["agreed"][["good", "bad", "far"]].astype(int).tolist() == result.agreeing().tolist() == [1, 0, 0]
    assert "at least 2 of 2 restarts in 0 of 3 datasets" in page.words("header")[0]
    assert page.table("What was observed")["observed values"].tolist() == ["4", "not fitted", "4"]
    assert "8 observed values" in page.words("header")[0]
    with pytest.warns(UserWarning, match="all lanes of bad and far"):
        summary = result.best().summary()
    equal(page.table("Parameters, of the best"), summary)
    assert np.isfinite(summary.loc["good", "value"]).all() and np.isnan(summary.loc["bad", "value"]).all()


def test_a_mask_of_rows_is_of_all_their_values(tmp_path):
    data = {"y": jl.Masked(np.zeros((4, 2)), np.array([True, False, True, True]))}
    jl.fit(BREAKS, data, jl.Optimize(), 0).report(tmp_path / "rows.html")
    assert Page(tmp_path / "rows.html").table("What was observed").to_numpy().tolist() == [["6", "2"]]


@pytest.mark.filterwarnings("ignore:ADVI")
def test_an_approximation_shows_its_bound(made):
    result, page = made("approximation")
    each = page.table("Each restart")
    np.testing.assert_allclose(each["objective"].astype(float), result.objective, atol=0.006)
    equal(page.table("Parameters, of the best restart"), result.best().summary())
    assert len(list(page.root.find(".//section[@id='convergence']").iter("figure"))) == 2


def test_a_fit_all_of_whose_lanes_failed_has_a_page(tmp_path):
    result = jl.fit(BREAKS, {"y": np.full(4, 9.0)}, jl.Optimize(restarts=2), 0, init={"mu": np.array([2.9, 4.0])})
    result.report(tmp_path / "failed.html")
    page = Page(tmp_path / "failed.html")
    assert "no estimates" in page.words("p", "estimates")[0]
    assert [name.upper() for name in page.table("Each restart")["status"]] == ["STUCK", "NON_FINITE"]


def test_a_batch_of_chains_has_a_row_a_dataset(tmp_path):
    engine = jl.NUTS(chains=2, warmup=50, draws=50)
    result = jl.fit(THREE, jl.batch({"a": SCHOOLS, "b": SCHOOLS}), engine, 0)
    result.report(tmp_path / "batch.html", title="Two & two")
    page, summary = Page(tmp_path / "batch.html"), result.summary()
    assert page.words("h1") == ["Two & two"]
    equal(page.table("Parameters, over all chains"), summary)
    each = page.table("Each dataset")
    for name in "ab":
        assert each["largest r_hat"][name] == f"{summary.loc[name]['r_hat'].max():.3f}"
        assert each["least ess"][name] == f"{summary.loc[name][['ess_bulk', 'ess_tail']].min().min():.0f}"
    for part in (result["a"], result.select(["b"])):
        part.report(tmp_path / "part.html")
        Page(tmp_path / "part.html")


def test_results_without_model_observations_or_restarts_have_pages(tmp_path, made):
    result = made("chains")[0]
    result.save(tmp_path / "run.zarr")
    function = jl.from_log_density(lambda p: -jnp.sum(p["x"] ** 2), {"x": jnp.zeros(2)})
    others = {
        "without the model": jl.open(tmp_path / "run.zarr"),
        "a function": jl.fit(function, None, jl.Optimize(), 0),
        "the best": made("hmms")[0].best(),
        "the best of one": made("hmms")[0][NAMES[0]].best(),
    }
    for name, other in others.items():
        other.report(tmp_path / "other.html")
        page = Page(tmp_path / "other.html")
        assert [section.get("id") for section in page.root.iter("section")] == SECTIONS, name
        assert page.table("Parameters, o").shape[1] > 0
    assert (
        page.table("Parameters, of the best restart").index.tolist()
        == others["the best of one"].summary().index.tolist()
    )


def test_long_tables_scroll_and_very_long_ones_are_cut(monkeypatch):
    monkeypatch.setattr(tables, "_CELLS", 200)
    frame = pd.DataFrame(
        {"x": np.arange(101.0), "y": "-"}, pd.Index([("a", i) for i in range(101)], tupleize_cols=False)
    )
    block = ET.fromstring(tables.table(frame[:100], "All"))
    assert block.get("class") == "block tall" and len(block.find("table/tbody")) == 100
    block = ET.fromstring(tables.table(frame, "Some"))
    assert len(block.find("table/tbody")) == 100
    assert "the first 100 of 101 rows" in "".join(block.find("table/caption").itertext())
    assert [cell.text for cell in block.find("table/tbody/tr")] == ["('a', 0)", "0", "-"]
    assert ET.fromstring(tables.table(frame[:2], "Few")).get("class") == "block"


def test_equal_results_give_equal_bytes_in_place_of_what_was_there(made, tmp_path):
    result, page = made("broken")
    path = tmp_path / "new" / "folder" / "broken.html"
    path.parent.mkdir(parents=True)
    path.write_text("before")
    (tmp_path / "link.html").symlink_to(path)
    result.report(tmp_path / "link.html")
    # They differ in the path, which is in the lines to reproduce them.
    assert path.read_text().replace(str(tmp_path / "link.html"), str(page.path)) == page.text
    assert [one.name for one in path.parent.iterdir()] == ["broken.html"] and (tmp_path / "link.html").is_symlink()
    result.report(str(tmp_path / "another" / "one.HTML"))
    assert os.stat(tmp_path / "another" / "one.HTML").st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("path", ["study", "study.pdf", "s3://bucket/study.html", b"study.html", None, "."])
def test_other_paths_are_refused(made, path, wrong_types):
    with pytest.raises(jl.InputError, match=r"ends in \.html"):
        made("broken")[0].report(path)


def test_a_failing_disk_leaves_what_was_there(made, tmp_path, monkeypatch):
    result = made("broken")[0]
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(jl.InputError, match="a folder"):
        result.report(tmp_path / "folder.html")
    (tmp_path / "file").write_text("")
    with pytest.raises(jl.StoreError, match="another path"):
        result.report(tmp_path / "file" / "page.html")
    page = tmp_path / "page.html"
    page.write_text("before")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(jl.StoreError, match="No space left"):
        result.report(page)
    assert page.read_text() == "before" and sorted(one.name for one in tmp_path.iterdir()) == [
        "file",
        "folder.html",
        "page.html",
    ]


PROGRAM = browser.find()


@pytest.mark.skipif(PROGRAM is None, reason=f"none of {', '.join(browser.PROGRAMS)} is on the path")
@pytest.mark.filterwarnings("ignore:ADVI")
def test_a_browser_shows_every_page(made, tmp_path):
    with browser.opened(PROGRAM, tmp_path) as tab:
        for name in STUDIES:
            page = made(name)[1]
            for width, scheme in ((1200, "light"), (360, "dark")):
                tab.open(page.path, width, prefers_color_scheme=scheme)
                # The page is as wide as the window: wide tables scroll in their own blocks.
                assert tab.value("document.documentElement.scrollWidth") <= width
                assert tab.value("[...document.images].every(i => i.complete && i.naturalWidth > 100)")
            assert tab.value("document.title") == page.words("h1")[0]
            # Nothing was mended in reading: as many elements as in the strict reading, of the same names.
            names = tab.value("[...document.querySelectorAll('*')].map(e => e.localName)")
            assert names == [element.tag for element in page.root.iter()]
            asked = [
                event["params"]["request"]["url"]
                for event in tab.events
                if event["method"] == "Network.requestWillBeSent"
            ]
            assert len(asked) > 1 and all(url.startswith(("file:", "data:")) for url in asked)
            told = [event for event in tab.events if event["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]
            assert not told
            dark = tab.value("getComputedStyle(document.body).backgroundColor")
            tab.send("Emulation.setEmulatedMedia", media="print", features=[])
            assert tab.value("getComputedStyle(document.querySelector('.block')).overflowX") == "visible"
            assert dark == "rgb(22, 25, 29)" and tab.value("getComputedStyle(document.body).backgroundColor") != dark
