# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains of a stack: options, tables that follow its sites, files, reasons."""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import hs_rvae
from hs_rvae import SubImageStack
from hs_rvae.cli.results import save_domains
from hs_rvae.report import domains as of_report
from hs_rvae.report.figures import _maps
from hs_rvae.verdict import Verdict

CELL = 16


def make_stack(n=(10, 16), lazy=False, frames=None, **columns):
    """Stack of a lattice whose left and right halves have opposite displacements."""
    j, i = np.indices(n)
    xy = CELL * (1.0 + np.column_stack([i.ravel(), j.ravel()]))
    shape = ((n[0] + 1) * CELL, (n[1] + 1) * CELL)
    image = hs.signals.Signal2D(
        np.random.default_rng(0).random(((frames,) if frames else ()) + shape)
    )
    for axis in image.axes_manager.signal_axes:
        axis.scale, axis.units = 0.02, "nm"
    variant = (i.ravel() >= n[1] // 2).astype(int)
    u = np.where(variant > 0, -1.0, 1.0)
    noise = np.random.default_rng(1).normal(0, 0.05, (2, len(u)))
    parts = {"variant": variant, "displacement_x": u + noise[0], "displacement_y": noise[1]}
    parts |= columns
    one = (xy, parts) if frames is None else ([xy] * frames, [parts] * frames)
    return SubImageStack.from_positions(
        image, one[0], window_size=8, columns=one[1], lazy=lazy, show_progressbar=False,
        units=dict.fromkeys(("displacement_x", "displacement_y"), "px"),
    )  # fmt: skip


def same(table, other):
    """Whether two tables of domains or walls are alike."""
    table, other = (one.drop(columns="segments", errors="ignore") for one in (table, other))
    return table.equals(other) and table.attrs == other.attrs


@pytest.mark.parametrize("lazy", [False, True])
def test_domains_and_walls_of_a_stack(lazy):
    stack = make_stack(lazy=lazy)
    assert stack.find_domains() == 2
    assert stack.sites.writers["domain"] == "find_domains"
    assert stack.domains["n_sites"].tolist() == [80, 80]
    assert stack.domains.attrs["units"]["area"] == "nm²"
    wall = stack.walls.iloc[0]
    assert wall["charged"] and wall["narrow"] and "charge" not in stack.walls
    assert wall["length"] == pytest.approx(10 * CELL * 0.02, rel=0.02)
    assert wall["x"] == pytest.approx(8.5 * CELL, abs=CELL / 2)


def test_the_sign_of_a_charge_needs_the_polarity():
    stack = make_stack()
    stack.find_domains(polarity=1)
    assert stack.walls["charge"].tolist() == [1]
    stack.find_domains(polarity=-1)
    assert stack.walls["charge"].tolist() == [-1]


def test_other_labels_have_domains():
    stack = make_stack()
    stack.sites["twin"] = (np.asarray(stack.sites["y"]) > 5.5 * CELL).astype(int)
    assert stack.find_domains("twin") == 2
    assert not stack.walls["charged"].any()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"column": "phase"}, KeyError, "no column 'phase'"),
        ({"column": "x"}, ValueError, "integer column of labels"),
        ({"min_sites": 0}, ValueError, "min_sites=0"),
        ({"min_sites": 2.5}, ValueError, "min_sites=2.5"),
        ({"polarity": 2}, ValueError, "polarity=2"),
    ],
)
def test_unusable_options_are_refused(options, error, text):
    with pytest.raises(error, match=text):
        make_stack().find_domains(**options)


def test_a_column_of_the_user_is_kept():
    stack = make_stack(domain=np.zeros(160, int))
    with pytest.raises(ValueError, match="overwrite=True"):
        stack.find_domains()
    assert stack.find_domains(overwrite=True) == 2


def test_without_domains_the_tables_say_what_to_call():
    for table in ("domains", "walls"):
        with pytest.raises(RuntimeError, match="stack.find_domains"):
            getattr(make_stack(), table)


def test_no_labels_give_empty_tables_and_a_reason(caplog):
    stack = make_stack(variant=np.full(160, -1))
    assert stack.find_domains() == 0
    assert "no site has a variant" in caplog.text
    for table in (stack.domains, stack.walls):
        assert not len(table) and table.attrs["reason"] == "no site has a variant"
    assert make_stack(n=(4, 4)).find_domains(min_sites=9) == 0


def test_tables_follow_the_sites():
    stack = make_stack()
    stack.find_domains()
    whole = stack.domains
    right = stack.select_sites(stack.sites["domain"] == 1)
    assert right.domains["domain"].tolist() == [1] and not len(right.walls)
    assert right.domains["neighbours"].tolist() == [[]]
    part = stack.inav[:80]  # five rows
    assert part.domains["n_sites"].tolist() == [40, 40]
    assert part.walls["length"].item() == pytest.approx(5 * CELL * 0.02, rel=0.03)
    few = stack.inav[:3]
    assert not len(few.domains) and few.domains.attrs["reason"]
    assert same(stack.domains, whole)
    assert same(stack.deepcopy().domains, whole)
    assert same(stack.isig[1:-1, :].domains, whole)


def test_tables_are_copies():
    stack = make_stack()
    stack.find_domains()
    table = stack.domains
    table.loc[:, "n_sites"] = 0
    assert stack.domains["n_sites"].min() > 0


def test_labels_that_changed_are_noticed():
    stack = make_stack()
    stack.find_domains()
    stack.sites["variant"] = (np.asarray(stack.sites["y"]) > 5.5 * CELL).astype(int)
    with pytest.raises(RuntimeError, match="changed since"):
        stack.domains  # noqa: B018
    stack.sites.remove("variant")
    with pytest.raises(RuntimeError, match="is gone"):
        stack.walls  # noqa: B018


def test_layers_that_were_given_to_their_neighbours_have_not_changed():
    x = np.indices((10, 16))[1].ravel()
    stack = make_stack(variant=np.select([x < 7, x > 8], [0, 1], 2))
    assert stack.find_domains(min_sites=30) == 2  # without the layer of 20 sites
    assert stack.domains["n_sites"].sum() == 160
    stack.sites["variant"] = (np.asarray(stack.sites["y"]) > 5.5 * CELL).astype(int)
    with pytest.raises(RuntimeError, match="changed since"):
        stack.domains  # noqa: B018


@pytest.mark.parametrize("ending", ["hspy", "zspy"])
def test_files_keep_the_domains(tmp_path, ending):
    stack = make_stack()
    stack.find_domains(polarity=-1)
    stack.save(tmp_path / f"stack.{ending}")
    loaded = hs.load(tmp_path / f"stack.{ending}")
    assert same(loaded.domains, stack.domains) and same(loaded.walls, stack.walls)


def test_domains_of_a_series_are_found_in_each_frame():
    stack = make_stack(frames=2)
    assert stack.find_domains() == 4
    assert stack.domains["frame"].tolist() == [0, 0, 1, 1]
    assert stack.walls["frame"].tolist() == [0, 1]
    second = stack.select_sites(stack.sites["frame"] == 1)
    assert second.domains["frame"].tolist() == [1, 1]
    with pytest.raises(ValueError, match="several frames"):
        stack.plot_domains(image=False)
    rows = of_report.rows_of_domains(stack)
    assert rows[0][:2] == ("frame", "domain")
    assert [row[:2] for row in rows[1:]] == [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]
    assert [row[:2] for row in of_report.rows_of_walls(stack)[1:]] == [("0", "0, 1"), ("1", "0, 1")]
    stack.sites["angle"] = np.zeros(len(stack.sites))
    left_out = {title: missing for title, _, _, missing in _maps(stack)}
    assert left_out["Domains"] == "the sites are those of several frames."
    second.plot_domains(image=False)
    plt.close("all")


def test_joined_stacks_keep_domains_found_alike():
    films = [make_stack(), make_stack()]
    for film in films:
        film.find_domains()
    joined = hs_rvae.stack(films)
    assert joined.domains["image"].tolist() == [0, 0, 1, 1]
    assert joined.walls["image"].tolist() == [0, 1]
    films[1].find_domains(min_sites=4)
    with pytest.raises(RuntimeError, match="stack.find_domains"):
        hs_rvae.stack(films).domains  # noqa: B018
    assert hs_rvae.stack(films).find_domains() == 4


def test_a_model_and_new_variants_remove_old_domains():
    image, truth = hs_rvae.simulation.simulate_perovskite((300, 300), domain_size=5, random_state=0)
    stack = SubImageStack.from_positions(image, truth.b_sites[["x", "y"]], show_progressbar=False)
    stack.rvae(output_dimension=1, random_state=0, show_progressbar=False)
    stack.assign_variants()
    assert stack.find_domains() > 0
    assert np.isfinite(stack.walls["width"]).any()  # of angle and order amplitude
    stack.assign_variants()
    assert "domain" not in stack.sites
    stack.find_domains()
    stack.register_angle(1.0)
    assert "domain" not in stack.sites
    stack.assign_variants()
    stack.find_domains()
    stack.apply_rvae(stack.rvae_model, show_progressbar=False)
    assert "domain" not in stack.sites


@pytest.mark.parametrize("kind", ["continuous", "nothing"])
def test_verdicts_without_variants_have_no_domains(kind, caplog):
    stack = make_stack()
    stack.sites.claim({"variant": "assign_variants"})
    verdict = Verdict(kind, "distortion")
    stack.metadata.set_item("Sub_images.rvae.verdict", verdict.as_dict())
    assert stack.find_domains() == 0
    assert "stack.rvae_verdict" in stack.walls.attrs["reason"]
    assert "No domains" in caplog.text


def test_the_figure_shows_numbers_and_walls():
    stack = make_stack()
    stack.find_domains()
    ax = stack.plot_domains()
    assert [text.get_text() for text in ax.texts[-2:]] == ["0", "1"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Charged wall (1)"]
    lines = {line.get_gid(): line for line in ax.collections}
    rim, line = lines["rim of walls charged"], lines["walls charged"]
    assert rim.get_linewidth()[0] > line.get_linewidth()[0]
    assert list(lines).index("rim of walls charged") < list(lines).index("walls charged")
    ax = stack.plot_domains("variant", numbers=False, legend=False, image=False, colorbar=True)
    assert ax.get_legend() is None
    plt.close("all")


def test_charged_antiphase_walls_are_both():
    stack = make_stack()
    stack.find_domains()
    walls = stack.walls.assign(kind="antiphase")
    ax = hs_rvae.plots.plot_domains(stack.sites, stack.domains, walls)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["Charged antiphase wall (1)"]
    plt.close("all")


def test_pixels_that_are_not_square():
    stack, wide = make_stack(), make_stack()
    wide.sites.signal.metadata.set_item("Sites.pixel_size", (0.025, 0.016))
    for one in (stack, wide):
        one.find_domains()
    np.testing.assert_allclose(wide.domains["area"], stack.domains["area"])
    # The wall is along y.
    assert wide.walls["length"].item() == pytest.approx(10 * CELL * 0.016, rel=0.02)


def test_words_and_tables_of_a_report(tmp_path):
    stack = make_stack()
    assert not of_report.found(stack) and of_report.sentences(stack) == []
    stack.find_domains(polarity=-1)
    assert of_report.sentences(stack) == [
        "2 domains with 100.0% of the sites, and 1 wall between them: 1 charged, 1 narrower than "
        "0.5 cells."
    ]
    assert of_report.rows_of_domains(stack)[1][:3] == ("0", "0", "80")
    wall = of_report.rows_of_walls(stack)[1]
    assert wall[0] == "0, 1" and "below 0.5" in wall[5] and wall[-1] == "yes, −"
    save_domains(stack, tmp_path, "film")
    table = pd.read_csv(tmp_path / "film.domains.csv")
    assert table["neighbours"].tolist() == [1, 0]
    assert len(pd.read_csv(tmp_path / "film.walls.csv")) == 1
    stack.sites["variant"] = np.full(160, -1)
    stack.find_domains()
    assert of_report.sentences(stack) == ["No domains: no site has a variant."]
    assert of_report.rows_of_domains(stack) == of_report.rows_of_walls(stack) == []
