# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: what it says, that it stands alone, and that a browser shows it."""

import base64
import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from hs_rvae import RVAE, SubImageStack
from hs_rvae import stack as join
from hs_rvae.verdict import EVIDENCE

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
PNG = b"\x89PNG\r\n\x1a\n"
PHONE, DESKTOP = 390, 1280


class Page(HTMLParser):
    """What a page refers to, and its text by tag."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.links, self.images, self.text, self._open = [], [], [], {}, []
        self.feed(Path(path).read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        if tag not in ("img", "meta", "link", "br"):
            self._open.append(tag)
        if tag == "img":
            self.images.append((attrs["alt"], attrs["src"]))
        self.links += [attrs[name] for name in ("src", "href") if name in attrs]

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        for tag in set(self._open):
            self.text[tag] = self.text.get(tag, "") + data


@pytest.fixture(scope="module")
def fitted(make_film, tmp_path_factory):
    """A film of four variants with displacements, from a file, with everything a report shows."""
    film = make_film(0, n_cells=24, nonpolar=0.0)
    path = tmp_path_factory.mktemp("report") / "film.hspy"
    film.image.save(path)
    image = hs.load(path)
    stack = SubImageStack.from_positions(
        image, film.positions, window_size=36, neighbours=film.truth.a_sites
    )
    stack.rvae(output_dimension=2, epochs=3, n_init=2, random_state=0)
    stack.register_angle("displacement")
    stack.assign_variants(4)
    return stack


@pytest.fixture(scope="module")
def before(fitted):
    """Data and table before anything is reported."""
    return fitted.data.copy(), fitted.sites.to_dataframe()


@pytest.fixture(scope="module")
def page(fitted, before, tmp_path_factory):
    figure = plt.figure()
    command = "hs-rvae analyse 'my <image>.dm4'"
    path = tmp_path_factory.mktemp("page") / "report.html"
    fitted.report(path, title="A & B", command=command, n_shuffles=10)
    assert plt.get_fignums() == [figure.number]
    return path


def test_the_page_stands_alone(page):
    found = Page(page)
    assert "script" not in found.tags and "iframe" not in found.tags
    assert all(link.startswith("data:") for link in found.links)
    for _, source in found.images:
        kind, data = source.split(",")
        assert kind == "data:image/png;base64" and base64.b64decode(data).startswith(PNG)


def test_it_shows_everything_there_is(page):
    titles = [title for title, _ in Page(page).images]
    assert {
        *("Direction of the distortion", "Variants", "Order amplitude", "Displacement"),
        "Histogram of the angle",
        *("Content: latent 0", "Content: latent 1", "Manifold", "Course of the fit"),
        "Is it an instrumental artefact?",
    } <= set(titles)
    assert "Left out" not in page.read_text(encoding="utf-8")


def test_figures_of_merit_are_those_of_the_stack(fitted, page):
    table = Page(page).text["table"]
    sites = fitted.sites
    assert f"{len(sites)}" in table and f"{(sites['variant'] < 0).mean():.1%}" in table
    std = sites["angle_std"][sites["order_amplitude"] >= 0.5]
    assert f"{np.rad2deg(np.median(std)):.2f}°" in table
    explained = float(re.search(r"explained by the model\s*([\d.]+)%", table)[1])
    residual = fitted.get_rvae_residual().data
    inside = (residual != 0).any(axis=0)
    expected = 1 - (residual[:, inside] ** 2).mean() / fitted.data[:, inside].var()
    assert explained == pytest.approx(100 * expected, abs=0.06)


def test_result_and_diagnostics_are_said_in_words(fitted, page):
    items, paragraphs = Page(page).text["li"], Page(page).text["p"]
    verdict = fitted.rvae_verdict
    assert verdict.kind == "variants" and verdict.sentence in paragraphs
    assert "directions of the distortion in the image" in paragraphs
    assert "4 variants: " in paragraphs
    # Directions have a meaning and the table shows them: nothing else may be claimed.
    text = page.read_text(encoding="utf-8")
    assert "arbitrary" not in text and "equally spaced" not in text
    for line in fitted.deepcopy().rvae_diagnostics(n_shuffles=10, random_state=0).summary:
        assert line in items


def test_the_lines_of_the_page_repeat_the_analysis(fitted, page, tmp_path, monkeypatch):
    text = page.read_text(encoding="utf-8")
    script = unescape(re.search(r"<pre>(import .*?)</pre>", text, re.DOTALL)[1])
    csv = re.search(r"data:text/csv;base64,([^\"]+)", text)[1]
    monkeypatch.chdir(tmp_path)
    Path("sites.csv").write_bytes(base64.b64decode(csv))
    table = pd.read_csv("sites.csv", float_precision="round_trip")
    assert list(table.columns) == ["site", *fitted.sites.columns]
    fitted.sites.save("saved.csv")
    assert Path("saved.csv").read_bytes() == Path("sites.csv").read_bytes()
    units = base64.b64decode(re.findall(r"data:text/csv;base64,([^\"]+)", text)[1])
    assert Path("saved.units.csv").read_bytes() == units
    assert (table["x"] == fitted.sites["x"]).all()
    names = {}
    fitted.image.save("film.hspy")
    exec(script, names)
    assert names["stack"].sites.to_dataframe().equals(fitted.sites.to_dataframe())


def test_settings_versions_and_the_image_are_stated(fitted, page):
    import hashlib

    import hs_rvae

    table = Page(page).text["table"]
    for text in ("model: random_state", "model: epochs", "window_size", hs_rvae.__version__):
        assert text in table
    pixels = np.ascontiguousarray(fitted.image.data).tobytes()
    assert hashlib.sha256(pixels).hexdigest() in table


def test_empty_wells_and_a_missing_calibration_are_told(fitted):
    from hs_rvae.report import text

    some = fitted.select_sites(np.isin(fitted.sites["variant"], [1, 3]))
    for axis in some.axes_manager.signal_axes:
        axis.scale, axis.units = 1.0, ""
    found, cautions = text.outcome(some, None)
    assert "4 variants (2 of them in these sites): " in found[0]
    assert any("not calibrated" in line for line in cautions)
    merit = {name: value for name, value, _ in text.figures_of_merit(some)}
    assert re.match(r"4: 0, \d+, 0, \d+$", merit["variants"]) and merit["window"] == "36 px"


def test_a_command_is_given_as_the_way_to_repeat_it(page):
    text = page.read_text(encoding="utf-8")
    assert "hs-rvae analyse &#39;my &lt;image&gt;.dm4&#39;" in text
    assert "<h1>A &amp; B</h1>" in text


def test_nothing_is_changed_by_a_report(fitted, before, page):
    data, table = before
    assert np.array_equal(data, fitted.data) and table.equals(fitted.sites.to_dataframe())


@pytest.mark.slow
def test_what_needs_care_and_what_is_missing_is_said(fitted, tmp_path):
    """A lazy stack of a few sites, without variants, image and model."""
    few = fitted.select_sites(np.arange(60))
    few.sites["variant"] = np.full(60, -1)
    few.save(tmp_path / "s.zspy")
    lazy = hs.load(tmp_path / "s.zspy", lazy=True)
    path = lazy.report(tmp_path / "lazy.html")
    text = path.read_text(encoding="utf-8")
    assert "There are only 60 sites" in text and "No variants:" in text
    assert "The model was not available" in text and "Manifold: The rVAE model is not saved" in text
    assert "Diagnostics: " in text.split("Left out")[1]  # too few sites to judge
    assert "it ran on 516 sites, which are not those of this stack" in text
    assert lazy._lazy
    assert "Direction of the distortion" in [title for title, _ in Page(path).images]


def test_the_evidence_and_the_variants_are_tables(fitted, page):
    table = Page(page).text["table"]
    verdict, variants = fitted.rvae_verdict, fitted.variants
    for name, value in verdict.evidence.items():
        assert EVIDENCE[name] in table
        if name != "n_pairs":
            assert f"{value:.3g}".replace("-", "−") in table
    for row in variants.itertuples():
        degrees = 180 - (180 - np.rad2deg(row.direction)) % 360
        error = np.rad2deg(row.direction_std)
        assert f"{degrees:.2f} ± {error:.2f}°".replace("-", "−") in table
        assert f"{row.share:.1%}" in table


@pytest.mark.slow
def test_where_nothing_is_found_nothing_is_shown(make_film, tmp_path):
    stack = make_film(2, n_cells=24, nonpolar=0.0, shift=0.0).stack
    stack.rvae(epochs=2, n_init=1, random_state=0)
    stack.assign_variants()
    page = Page(stack.report(tmp_path / "r.html", n_shuffles=10))
    assert "No distortion stands out from the noise." in page.text["p"]
    titles = [title for title, _ in page.images]
    assert "Manifold" in titles and "Latent space" in titles
    for title in ("Angle", "Variants", "Order amplitude", "Histogram of the angle"):
        assert title not in titles
        assert f"{title}: no distortion stands out from the noise." in page.text["li"]
    said = page.text["p"] + page.text["li"] + page.text["table"]
    for word in ("arbitrary", "n_init=10", "--starts", "assign_variants()", "applied: verdict"):
        assert word not in said
    assert not re.search(r"angle_std(?!_factor)", page.text["table"])


def test_a_continuous_turn_has_no_variants_unless_asked_for(fitted):
    from hs_rvae.report import angles

    stack = fitted.deepcopy()
    node = stack.metadata.Sub_images.rvae
    node.verdict.kind = "continuous"
    assert "On request the directions were divided into 4 variants" in angles.paragraph(stack)
    stack.sites.remove("variant", "variant_residual")
    assert angles.paragraph(stack).endswith("towards +y (down).") and not angles.variants(stack)
    assert not any("assign_variants" in line for line in angles.cautions(stack))
    node.verdict.kind = "variants"
    assert any("assign_variants" in line for line in angles.cautions(stack))


def test_a_turning_motif_has_an_arbitrary_zero_until_it_is_registered(fitted):
    from hs_rvae.report import angles

    stack = fitted.deepcopy()
    node = stack.metadata.Sub_images.rvae
    node.verdict.kind, node.verdict.rotation = "turning motif", "motif"
    said = angles.paragraph(stack)
    assert "The whole motif turns" in said and "their zero is arbitrary" in said
    node.angle_offset = -np.pi / 6
    assert "−30.0° were subtracted" in angles.paragraph(stack)
    node.verdict.multiple = 4
    assert "up to turns of 90°" in angles.paragraph(stack)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["plot_site_map", "rvae_diagnostics", "get_rvae_residual"])
def test_an_error_that_nobody_expects_is_raised_and_leaves_nothing(
    fitted, tmp_path, monkeypatch, method
):
    """No page, no figure and no column, whichever part of the report fails."""

    def fail(*args, **kwargs):
        if method == "plot_site_map":
            plt.figure()
        raise ValueError("a fault")

    monkeypatch.setattr(SubImageStack, method, fail)
    (tmp_path / "report.html").write_text("earlier", encoding="utf-8")
    table = fitted.sites.to_dataframe()
    with pytest.raises(ValueError, match="^a fault$"):
        fitted.report(tmp_path / "report.html", n_shuffles=10)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "earlier"
    assert not plt.get_fignums() and table.equals(fitted.sites.to_dataframe())


def test_an_option_out_of_range_is_not_taken_for_too_few_sites(fitted, tmp_path):
    with pytest.raises(ValueError, match="n_shuffles=3: at least 10 are needed"):
        fitted.report(tmp_path / "r.html", n_shuffles=3)
    assert list(tmp_path.iterdir()) == []


def test_figures_without_a_finite_value_are_left_out_with_the_reason(fitted, tmp_path):
    stack = fitted.select_sites(np.arange(40))
    nothing = np.full(40, np.nan)
    for name in ("angle", "latent_1", "displacement_x"):
        stack.sites[name] = nothing
    stack.sites["cluster"] = np.full(40, -1)
    page = Page(stack.report(tmp_path / "r.html"))
    left = page.text["li"]
    for line in (
        "Direction of the distortion: no site has a finite value of angle.",
        "Content: latent 1: no site has a finite value of latent_1.",
        "Latent space: no site has a finite value of latent_0 and latent_1.",
        "Displacement: no site has a finite value of displacement_x and displacement_y.",
        "Means of the classes: column 'cluster' holds no labels.",
        "Diagnostics: 40 of 40 sites have finite values; at least 100 are needed",
    ):
        assert line in left
    assert [title for title, _ in page.images] == [
        *("Columns", "Mean sub-image of each variant"),
        *("Variants", "Order amplitude", "Content: latent 0", "Manifold", "Course of the fit"),
    ]


@pytest.mark.parametrize("seed", [7, np.int64(7), np.uint8(7)])
def test_a_seed_is_a_number_whatever_its_type(fitted, seed):
    from hs_rvae.report.text import outcome

    said = "random_state was not a number"
    kept = fitted.rvae_model.random_state
    try:
        fitted.rvae_model.random_state = seed
        assert not any(said in caution for caution in outcome(fitted, None)[1])
        fitted.rvae_model.random_state = np.random.default_rng(0)
        assert any(said in caution for caution in outcome(fitted, None)[1])
    finally:
        fitted.rvae_model.random_state = kept


def test_what_cannot_be_reported_on_is_refused(fitted, tmp_path):
    bare = fitted.deepcopy()
    bare.sites.remove("angle")
    with pytest.raises(ValueError, match="no column 'angle' to report on"):
        bare.report(tmp_path / "r.html")
    with pytest.raises(ValueError, match="joins several images"):
        join([fitted, fitted]).report(tmp_path / "r.html")
    with pytest.raises(OSError, match="choose a folder that exists"):
        fitted.report(tmp_path / "none" / "r.html")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        fitted.report(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_table_too_large_for_browsers_is_left_out(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("hs_rvae.report.page._LARGEST_TABLE", 1000)
    path = fitted.select_sites(np.arange(60)).report(tmp_path / "r.html")
    text = path.read_text(encoding="utf-8")
    assert "too large for a page" in text and 'download="sites.csv"' not in text


@pytest.mark.slow
def test_files_beside_a_report_are_left_alone(fitted, tmp_path):
    (tmp_path / "r.html.part").write_text("mine")
    (tmp_path / "r.html").write_text("earlier")
    fitted.select_sites(np.arange(60)).report(tmp_path / "r.html")
    assert (tmp_path / "r.html.part").read_text() == "mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["r.html", "r.html.part"]


# In a browser ----------------------------------------------------------------

_PROBE = """<!DOCTYPE html><body style="margin:0"><iframe id="page" src="{page}"
style="border:0;width:{width}px;height:20000px"></iframe><pre id="found"></pre><script>
const frame = document.getElementById("page");
frame.onload = () => {{
  const page = frame.contentDocument, root = page.documentElement;
  const images = [...page.images];
  document.getElementById("found").textContent = "FOUND" + JSON.stringify({{
    width: root.clientWidth, needed: root.scrollWidth, images: images.length,
    broken: images.filter(image => !image.complete || image.naturalWidth < 100).length,
    narrow: images.filter(image => image.clientWidth < 0.8 * Math.min({width}, 330)).length,
    broken_words: [...page.querySelectorAll("table.variants th")].filter(
      cell => cell.clientHeight > 45).length,
    letters: parseFloat(frame.contentWindow.getComputedStyle(page.body).fontSize),
  }}) + "END";
}};
</script></body>"""


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_a_browser_shows_the_page(page, tmp_path, width):
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser at hand (looked for {', '.join(BROWSERS)})")
    probe = tmp_path / "probe.html"
    probe.write_text(_PROBE.format(page=page.as_uri(), width=width), encoding="utf-8")
    command = [
        *(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"),
        *("--allow-file-access-from-files", "--virtual-time-budget=20000"),
        *("--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}"),
        *(f"--window-size={max(width, 500)},4200", probe.as_uri()),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r"FOUND(\{.*?\})END", shown.stdout)
    assert found, shown.stderr[-2000:]
    found = json.loads(found[1])
    assert found["images"] == len(Page(page).images) and found["broken"] == 0
    assert found["width"] == width and found["needed"] <= width  # nothing to scroll sideways
    assert found["broken_words"] == 0  # headers of tables keep to one line
    assert found["narrow"] == 0 and found["letters"] >= 14
    assert "CONSOLE" not in shown.stderr  # where errors of the page would be


# On the command line ---------------------------------------------------------


@pytest.fixture(scope="module")
def image_file(tmp_path_factory, make_film):
    path = tmp_path_factory.mktemp("image") / "my film.hspy"
    make_film(1, n_cells=16, nonpolar=0.0).image.save(path)
    return path


def test_analyse_writes_page_stack_model_and_table(image_file, tmp_path, capsys):
    from hs_rvae.cli import main

    folder = tmp_path / "out"
    options = ["--window", "40", "--sublattice", "A", "--latent", "1", "--seed", "3"]
    options += ["--clusters", "2"]
    assert main(["analyse", str(image_file), *options, "-o", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "of 40 px around A" in said and str(folder / "my film.html") in said
    stack = hs.load(folder / "my film.zspy")
    assert stack.data.shape[-1] == 40 and "latent_1" not in stack.sites
    assert set(stack.sites["cluster"]) == {0, 1}
    assert "Means of the classes" in [title for title, _ in Page(folder / "my film.html").images]
    angle = stack.sites["angle"].copy()
    table = pd.read_csv(folder / "my film.csv", index_col="site")
    np.testing.assert_allclose(table["angle"], angle)
    model = RVAE.load(folder / "my film.safetensors")
    assert model.random_state == 3
    text = (folder / "my film.html").read_text(encoding="utf-8")
    assert "--window 40 --sublattice A --latent 1" in unescape(text)
    csv, units = re.findall(r"data:text/csv;base64,([^\"]+)", text)
    assert base64.b64decode(csv) == (folder / "my film.csv").read_bytes()
    assert base64.b64decode(units) == (folder / "my film.units.csv").read_bytes()
    assert stack.load_image().data.shape == hs.load(image_file).data.shape
    assert stack.load_rvae_model().path_ == folder / "my film.safetensors"


def test_a_report_that_fails_does_not_lose_the_work(image_file, tmp_path, capsys, monkeypatch):
    from hs_rvae.cli import main

    def fail(self, *args, **kwargs):
        raise ValueError("no page")

    monkeypatch.setattr(SubImageStack, "report", fail)
    assert main(["analyse", str(image_file), "--sublattice", "A", "-o", str(tmp_path)]) == 2
    assert "no page" in capsys.readouterr().err
    stack = hs.load(tmp_path / "my film.zspy")
    assert stack.load_rvae_model().n_latents_ == 2
    assert len(pd.read_csv(tmp_path / "my film.csv")) == len(stack.sites)


@pytest.mark.slow
def test_analyse_replaces_its_own_results_only(image_file, tmp_path, capsys):
    from hs_rvae.cli import main
    from hs_rvae.cli.results import check_results

    image = hs.load(image_file)
    image.save(tmp_path / "film.zspy")
    command = ["analyse", str(tmp_path / "film.zspy"), "-o"]
    assert main([*command, str(tmp_path)]) == 2  # the image itself
    assert "film.zspy is there, and is not a result of hs-rvae" in capsys.readouterr().err
    np.testing.assert_array_equal(hs.load(tmp_path / "film.zspy").data, image.data)
    for ending in (".csv", ".units.csv", ".html", ".safetensors"):
        folder = tmp_path / ending
        folder.mkdir()
        (folder / f"film{ending}").write_text("x,y\n1,2\n")
        assert main([*command, str(folder)]) == 2
        assert f"film{ending} is there, and is not a result" in capsys.readouterr().err
        assert (folder / f"film{ending}").read_text() == "x,y\n1,2\n"
    assert main([*command, str(tmp_path / "out"), "--sublattice", "A", "--starts", "1"]) == 0
    check_results(tmp_path / "out", "film")  # may be written again


@pytest.mark.slow
def test_analyse_applies_the_model_that_it_wrote(image_file, tmp_path):
    from hs_rvae.cli import main

    folder = tmp_path / "out"
    assert main(["analyse", str(image_file), "--rotation", "distortion", "-o", str(folder)]) == 0
    assert "--rotation distortion" in unescape(
        (folder / "my film.html").read_text(encoding="utf-8")
    )
    angle = hs.load(folder / "my film.zspy").sites["angle"]
    again = ["--model", str(folder / "my film.safetensors")]
    assert main(["analyse", str(image_file), *again, "-o", str(tmp_path / "again")]) == 0
    repeated = hs.load(tmp_path / "again" / "my film.zspy").sites["angle"]
    assert np.abs(np.angle(np.exp(1j * (repeated - angle)))).max() < 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sublattice", "C"], "--sublattice C: this image has A and B"),
        (["--model", "none.safetensors"], "--model none.safetensors: there is no such file"),
        (["--window", "4"], "--window"),
    ],
)
def test_analyse_refuses_in_one_line(image_file, tmp_path, capsys, options, message):
    from hs_rvae.cli import main

    assert main(["analyse", str(image_file), *options, "-o", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("hs-rvae: error: ") and message in line
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("options", [["--latent", "0"], ["--clusters", "many"], ["--window", "-3"]])
def test_options_that_make_no_sense_are_refused(image_file, capsys, options):
    from hs_rvae.cli import main

    with pytest.raises(SystemExit) as stop:
        main(["analyse", str(image_file), *options])
    assert stop.value.code == 2 and options[0] in capsys.readouterr().err


def test_analyse_needs_an_image_that_can_be_read(tmp_path, capsys):
    from hs_rvae.cli import main

    assert main(["analyse", str(tmp_path / "none.dm4"), "-o", str(tmp_path / "out")]) == 2
    assert f"IMAGE {tmp_path / 'none.dm4'}: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["hspy", "zspy", "tif", "png", "emd"])
def test_analyse_reads_what_hyperspy_reads(image_file, tmp_path, ending, monkeypatch):
    from hs_rvae.cli.reading import load_image

    image = hs.load(image_file)
    data = image.data - image.data.min()
    image.data = (data / data.max() * (255 if ending == "png" else 60000)).astype(
        np.uint8 if ending == "png" else np.uint16
    )
    path = tmp_path / f"one.{ending}"
    options = {"overwrite": True}
    if ending == "emd":
        options["file_format"] = "EMD"
    image.save(path, **options)
    loaded = load_image(path)
    assert loaded.data.shape == image.data.shape
    np.testing.assert_array_equal(loaded.data, image.data)
