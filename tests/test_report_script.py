# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of a report rebuild the site table of the stack, bit for bit."""

import ast
import base64
import re
import subprocess
import sys
from html import unescape

import hyperspy.api as hs
import numpy as np
import pytest
from sklearn.cluster import KMeans

import hs_rvae
from hs_rvae import SubImageStack
from hs_rvae.report.script import make_script
from hs_rvae.report.text import about_image, image_of
from hs_rvae.signals.recording import as_text

# Fits of seconds each.
pytestmark = pytest.mark.slow

QUICK = {"n_init": 1, "epochs": 2, "q_max": 0.15}  # few harmonics: a fit spends its time on them


@pytest.fixture(scope="module")
def film(make_film):
    return make_film(0, n_cells=13, cell=18.0, domain_size=6, nonpolar=0.0)


@pytest.fixture(autouse=True)
def folder(film, tmp_path, monkeypatch):
    """The folder of the analysis, with the image in it."""
    film.image.save(tmp_path / "film.hspy")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def stack(film):
    image = hs.load("film.hspy")
    return SubImageStack.from_positions(
        image, film.positions, window_size=32, neighbours=film.truth.a_sites
    )


def script_of(stack):
    return make_script(stack, image_of(stack), dict(about_image(stack)))


def check_repeats(stack, not_repeated=0):
    """Run the lines, compare the table, and return the lines with those that were left out."""
    script = script_of(stack)
    with open("sites.csv", "w", encoding="utf-8") as file:
        file.write(stack.sites.to_csv())
    names = {}
    exec(script.text, names)
    same_tables(stack.sites, names["stack"].sites)
    assert len(script.not_repeated) == not_repeated, script.not_repeated
    return script


def same_tables(sites, again):
    assert set(sites.columns) == set(again.columns)
    assert sites.units == again.units and sites.writers == again.writers
    assert sites.pixel_size == again.pixel_size and sites.pixel_offset == again.pixel_offset
    for name in sites.columns:
        one, other = sites[name], again[name]
        assert one.dtype == other.dtype and np.array_equal(one, other, equal_nan=True), name


def calls_in(script):
    """Methods of the stack that are called, in their order."""
    return re.findall(r"^(?:stack = )?stack\.(\w+)\(", script.text, re.MULTILINE)


# Routes ----------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_of_a_whole_analysis_repeats_it_in_another_process(folder):
    image = hs.load("film.hspy")
    lattice = hs_rvae.find_sublattices(image)
    stack = SubImageStack.from_atom_lattice(lattice, image, "B", window_size=32)
    stack.rvae(1, rotation="distortion", random_state=np.int64(3), **QUICK)
    stack.register_angle("displacement")
    stack.assign_variants(n_variants=4)
    stack.decomposition("PCA", 3, random_state=0)
    stack.cluster_analysis(["latent_0", "angle"], algorithm="gmm", n_clusters=2, random_state=1)
    stack.cluster_analysis("pca", algorithm="kmeans", n_clusters=2, column="by_pca", random_state=1)
    page = stack.report("report.html", n_shuffles=10).read_text(encoding="utf-8")
    script = unescape(re.search(r"<pre>(import .*?)</pre>", page, re.DOTALL)[1])
    table = re.search(r"data:text/csv;base64,([^\"]+)", page)[1]
    (folder / "sites.csv").write_bytes(base64.b64decode(table))
    (folder / "again.py").write_text(f"{script}\nstack.save('again.zspy')\n", encoding="utf-8")
    ran = subprocess.run([sys.executable, "again.py"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    same_tables(stack.sites, hs.load("again.zspy").sites)
    assert 'rotation="distortion"' in script.replace("'", '"')
    assert hs.load("again.zspy").rvae_verdict == stack.rvae_verdict
    assert "bit for bit" in page and "are not repeated" not in page


@pytest.mark.slow
def test_all_options_of_a_fit_are_repeated(stack):
    mask = np.zeros(len(stack.sites), bool)
    mask[[3, 8, 21]] = True
    stack.rvae(
        1, translation=True, shift_prior=0.3, n_factors=4, batch_size=np.int64(32),
        learning_rate=np.float64(1e-3), max_fit_sites=60, navigation_mask=mask, random_state=0,
        **QUICK,
    )  # fmt: skip
    script = check_repeats(stack)
    for option in ("shift_prior=0.3", "n_factors=4", "batch_size=32", "learning_rate=0.001",
                   "q_max=0.15", "np.isin(np.arange("):  # fmt: skip
        assert option in script.text


@pytest.mark.slow
@pytest.mark.parametrize("rotation", ["auto", "distortion", "motif", False])
def test_what_turns_is_repeated(stack, rotation):
    stack.rvae(1, rotation=rotation, random_state=0, **QUICK)
    script = check_repeats(stack)
    given = re.search(r"rotation=([^,)]*)", script.text)
    assert (given[1] if given else repr("auto")) == repr(rotation)  # a default goes unsaid


@pytest.mark.slow
def test_a_model_without_angles_and_the_network_of_the_paper(stack, film):
    stack.rvae(1, rotation=False, random_state=0, **QUICK)
    check_repeats(stack)
    # Every pixel of the network costs.
    stack = SubImageStack.from_positions(hs.load("film.hspy"), film.positions[:40], window_size=16)
    stack.rvae(
        1, "convolutional", translation=True, epochs=1, shift_delay=0.5, rotation_prior=0.2,
        batch_size=16, random_state=0,
    )  # fmt: skip
    assert calls_in(check_repeats(stack)) == ["rvae"]


def test_a_seed_that_was_not_given_is_drawn_and_repeated(stack):
    stack.rvae(1, **QUICK)
    stack.embedding("isomap", source="signal")
    stack.cluster_analysis("rvae", algorithm="kmeans", n_clusters=3)
    first = stack.sites["latent_0"]
    check_repeats(stack)
    stack.rvae(1, **QUICK)
    assert not np.array_equal(first, stack.sites["latent_0"])  # another one each time


@pytest.mark.slow
def test_a_lazy_stack_is_repeated_lazily(film):
    image = hs.load("film.hspy", lazy=True)
    stack = SubImageStack.from_positions(image, film.positions, window_size=32)
    stack.rvae(1, random_state=0, **QUICK)
    stack.decomposition("PCA", 2)
    script = check_repeats(stack)
    assert "lazy=True" in script.text
    stack.compute()
    stack.decomposition("NMF", 2, random_state=0)
    assert "compute" in calls_in(check_repeats(stack))


def test_windows_at_whole_pixels(film):
    stack = SubImageStack.from_positions(
        hs.load("film.hspy"), film.positions, window_size=32, centring="nearest"
    )
    stack.rvae(1, random_state=0, **QUICK)
    check_repeats(stack)


@pytest.mark.slow
def test_models_that_were_given_are_loaded_from_their_files(stack):
    stack.rvae(1, random_state=0, **QUICK)
    model = stack.rvae_model
    model.save("film.safetensors")
    model.save("model.safetensors")
    model.save("initial_model.safetensors")
    other = SubImageStack.from_positions(stack.image, stack.sites.xy, window_size=32)
    other.apply_rvae("film.safetensors")
    assert "apply_rvae('film.safetensors')" in check_repeats(other).text
    other.apply_rvae(model)
    assert "# model.safetensors holds the model that was given" in check_repeats(other).text
    other.rvae(1, initial_model=model, random_state=0, **QUICK)
    check_repeats(other)
    stack.rvae(1, initial_model=stack.rvae_model, random_state=1, **QUICK)
    stack.apply_rvae(stack.rvae_model)
    assert calls_in(check_repeats(stack)) == ["rvae", "rvae", "apply_rvae"]


@pytest.mark.slow
def test_a_loaded_stack_remembers_its_calls(stack):
    stack.rvae(1, random_state=0, **QUICK)
    stack.assign_variants(4)
    for ending in ("zspy", "hspy"):
        stack.save(f"stack.{ending}")
        loaded = hs.load(f"stack.{ending}")
        assert "image.hspy" in script_of(loaded).text
        loaded.image = stack.image
        assert calls_in(check_repeats(loaded)) == ["rvae", "assign_variants"]


@pytest.mark.slow
def test_sub_images_that_were_turned_back(stack):
    stack.rvae(1, rotation="motif", random_state=0, **QUICK)
    turned = stack.derotate()
    turned.decomposition("PCA", 2, random_state=0)
    assert calls_in(check_repeats(turned)) == ["rvae", "derotate", "decomposition"]
    stack.rvae(1, rotation="distortion", random_state=0, **QUICK)
    assert stack.rvae_verdict.kind == "variants" and stack.assign_variants(4, origin=0.8) == 4
    turned = stack.derotate(fill_value=None)
    assert "lattice_turn" in turned.sites
    assert calls_in(check_repeats(turned)) == ["rvae", "assign_variants", "derotate"]


@pytest.mark.slow
def test_a_frame_of_a_series():
    series, truths = hs_rvae.simulation.simulate_series((130, 140), 3, cell=18.0, random_state=1)
    series.save("series.hspy")
    series = hs.load("series.hspy")
    xy = [truth.b_sites[["x", "y"]] for truth in truths]
    stack = SubImageStack.from_positions(series, xy, window_size=32)
    stack.link_frames(max_distance=5.0)
    one = stack.select_sites(stack.sites["frame"] == 1)
    one.rvae(1, random_state=0, **QUICK)
    check_repeats(one, not_repeated=1)  # the frames are not all here to be linked
    stack.rvae(1, random_state=0, **QUICK)
    check_repeats(stack)


# What cannot be repeated -----------------------------------------------------


def test_an_estimator_is_not_repeated_and_its_columns_come_from_the_table(stack):
    stack.rvae(1, random_state=0, **QUICK)
    stack.cluster_analysis("rvae", algorithm=KMeans(3, random_state=0))
    stack.assign_variants(4)
    script = check_repeats(stack, not_repeated=1)
    assert "algorithm is a KMeans, which cannot be written as text" in script.not_repeated[0]
    assert "# stack.cluster_analysis('rvae', algorithm=...)" in script.text
    assert calls_in(script) == ["rvae", "assign_variants"]


def test_a_generator_is_not_repeated_nor_what_builds_on_it(stack):
    stack.rvae(1, random_state=np.random.default_rng(0), **QUICK)
    stack.assign_variants(4)
    stack.decomposition("PCA", 2)
    script = check_repeats(stack, not_repeated=2)
    assert "builds on a call that is not repeated" in script.not_repeated[1]
    assert calls_in(script) == ["decomposition"]


def test_blind_source_separation_is_not_repeated(stack):
    stack.decomposition("SVD", 2)  # whose solver is random
    check_repeats(stack)
    stack.blind_source_separation(2, print_info=False)
    stack.cluster_analysis("bss", n_clusters=2)
    script = check_repeats(stack, not_repeated=1)
    assert script.not_repeated[0].endswith("blind source separation is not recorded.")


def test_columns_changed_or_removed_by_hand(stack):
    stack.sites["mine, too"] = np.linspace(0, 1, len(stack.sites)) / 3
    stack.rvae(2, random_state=0, **QUICK)
    stack.sites["latent_1"] = -stack.sites["latent_1"]
    stack.sites.remove("latent_0_std")
    stack.sites["later"] = np.arange(len(stack.sites)) % 3
    script = check_repeats(stack)
    assert calls_in(script) == ["rvae"] and "sites.remove('latent_0_std')" in script.text


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        lambda stack: stack.select_sites(stack.sites["x"] > 80),
        lambda stack: stack.inav[::-1],
        lambda stack: stack.isig[2:-2, 2:-2],
        lambda stack: stack * 2,
    ],
)
def test_other_sites_or_sub_images_than_those_of_the_fit(stack, change):
    stack.rvae(1, random_state=0, **QUICK)
    script = check_repeats(change(stack), not_repeated=1)
    assert calls_in(script) == []


def test_a_fit_after_a_choice_of_sites_is_repeated(stack):
    chosen = stack.select_sites(stack.sites["x"] > 60)
    chosen.rvae(1, random_state=0, **QUICK)
    assert calls_in(check_repeats(chosen)) == ["rvae"]


def test_a_fit_that_is_not_recorded_is_said(stack):
    both = hs_rvae.stack([stack, stack.deepcopy()])
    both.rvae(1, random_state=0, **QUICK)
    one = both.select_sites(both.sites["image"] == 0)
    check_repeats(one, not_repeated=1)
    stack.rvae(1, random_state=0, **QUICK)
    joined = hs_rvae.stack([stack, stack])
    script = check_repeats(joined.select_sites(joined.sites["image"] == 1), not_repeated=1)
    assert "its call is not recorded" in script.not_repeated[0]


def test_angles_of_a_fit_that_is_not_recorded_are_not_registered_again(stack):
    stack.rvae(1, random_state=0, **QUICK)
    del stack.metadata.Sub_images.calls
    stack.register_angle(0.3)
    stack.assign_variants(4)
    assert calls_in(check_repeats(stack, not_repeated=2)) == []


def test_another_image_under_the_same_name_stops_the_lines(stack):
    stack.rvae(1, random_state=0, **QUICK)
    script = script_of(stack)
    other = stack.image.deepcopy()
    other.data = other.data[::-1].copy()
    other.save("film.hspy", overwrite=True)
    with pytest.raises(AssertionError, match="other pixels"):
        exec(script.text, {})


# The record ------------------------------------------------------------------


def test_a_call_that_fails_is_not_recorded(stack):
    before = stack.metadata.as_dictionary()["Sub_images"].get("calls")
    with pytest.raises(ValueError, match="n_init"):
        stack.rvae(n_init=0)
    with pytest.raises(TypeError, match="no_such_option"):
        stack.assign_variants(no_such_option=1)
    assert stack.metadata.as_dictionary()["Sub_images"].get("calls") == before


@pytest.mark.slow
def test_fits_that_were_tried_and_dropped_leave_no_trace(stack):
    for seed in range(3):
        stack.rvae(1, random_state=seed, **QUICK)
        stack.assign_variants(4)
    assert calls_in(check_repeats(stack)) == ["rvae", "assign_variants"]


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, -0.1, 1e-300, "a'\"\n", (1,), (), [1, (2.5, None)], {"a": [1]}, np.int64(0),
        np.float32(0.1), np.bool_(True), np.str_("x"), float("inf"), np.array([True, False, True]),
        np.eye(4, dtype=bool), np.zeros((0, 2)), np.array([[1.5, -2]]), np.arange(3, dtype="int8"),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_as_text_is_the_same_value(value):
    again = eval(as_text(value), {"np": np})
    assert np.array_equal(again, value) if isinstance(value, np.ndarray) else again == value
    kinds = [one.dtype if isinstance(one, np.ndarray) else None for one in (again, value)]
    assert kinds[0] == kinds[1]


def test_what_has_no_text_is_refused(stack):
    for value in (KMeans(), object(), np.zeros(5000), np.array([np.nan]), [len], stack, {1, 2}):
        with pytest.raises(TypeError, match="no text"):
            as_text(value)


def test_the_lines_are_python_also_without_any_call(stack):
    stack.sites["angle"] = np.zeros(len(stack.sites))
    script = check_repeats(stack, not_repeated=1)
    ast.parse(script.text)
