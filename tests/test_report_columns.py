# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The beginning of a report: columns and warnings, with and without a crystal."""

import json
import logging
from types import SimpleNamespace

import hyperspy.api as hs
import numpy as np
import pandas as pd
import pytest

import hs_rvae
from hs_rvae import SubImageStack
from hs_rvae.cautions import collected_warnings, keeping_warnings
from hs_rvae.columns.crystal import Crystal, Grain, Place
from hs_rvae.columns.failed_fits import warn_of_failed_fits
from hs_rvae.report import columns
from hs_rvae.report.figures import draw_columns
from hs_rvae.signals.recording import noted_warnings


@pytest.fixture(scope="module")
def film(make_film):
    return make_film(0, n_cells=24, nonpolar=0.0)


@pytest.fixture(scope="module")
def lattice(film):
    lattice = hs_rvae.find_sublattices(film.image)
    lattice.crystal = None
    return lattice


@pytest.fixture
def crystal(lattice):
    """The result of a search in the film, with three columns of no lattice and two grains."""
    a, b = (sublattice.column_table for sublattice in lattice.sublattice_list)
    cell = np.asarray(a.attrs["cell"])
    places = (
        Place("A", (0.0, 0.0), len(a), 100.0, 0.99, "Pb"),
        Place("B", (0.5, 0.5), len(b), 40.0, 0.875, "Ti"),
        Place("B", (0.5, 0.0), 0, 40.0, 0.625, "Zr"),
    )
    grains = (Grain(0, cell, 900), Grain(1, cell, 120))
    unassigned = pd.DataFrame({"x": [50.0, 60.0, 70.0], "y": [80.0, 80.0, 90.0], "grain": -1})
    found = int(a.found.sum() + b.found.sum())
    return Crystal(cell, places, grains, unassigned, found + 25, ("Two grains were found.",))


@pytest.fixture
def crystal_stack(lattice, crystal, film):
    lattice.crystal = crystal
    try:
        yield SubImageStack.from_atom_lattice(lattice, film.image, window_size=36)
    finally:
        lattice.crystal = None


def test_columns_are_counted_without_a_crystal(lattice, film):
    stack = SubImageStack.from_atom_lattice(lattice, film.image, window_size=36)
    a, b = (len(sublattice.atom_list) for sublattice in lattice.sublattice_list)
    text = " ".join(columns.sentences(stack))
    assert text.startswith(f"{a + b:,} columns: {a:,} A and {b:,} B.")
    assert f"{len(stack.sites):,} of the {b:,} B have a sub-image." in text
    assert "The fit failed for" in text and "left out" not in text
    assert "Average cell: a = " in text and " pm (" in text and "angle 9" in text
    head, *rows = columns.rows(stack)
    assert head == ("sublattice", "columns", "median height", "fit failed", "shape held")
    assert [row[:2] for row in rows] == [("A", f"{a:,}"), ("B", f"{b:,}")]


def test_a_crystal_adds_places_grains_and_what_was_left_out(crystal_stack, crystal):
    text = " ".join(columns.sentences(crystal_stack))
    assert "They lie in 2 grains of 900 and 120 columns." in text
    assert "3 more belong to no lattice (crosses)." in text
    assert f"25 of {crystal.n_maxima:,} maxima of the image" in text
    head, a, b = columns.rows(crystal_stack)
    about_b = dict(zip(head, b, strict=True))
    assert about_b["element"] == "Ti or Zr" and a[:2] == ("A", "Pb")
    assert about_b["place in the cell"] == "(0.500, 0.500), (0.500, 0.000)"
    assert about_b["cells occupied"] == "75.0%"
    positions, _ = columns.columns_of(crystal_stack)
    assert list(positions) == ["A", "B", ""] and len(positions[""]) == 3
    assert noted_warnings(crystal_stack)[-1] == "Two grains were found."


@pytest.mark.parametrize("ending", ["hspy", "zspy"])
@pytest.mark.parametrize("lazy", [False, True])
def test_columns_and_warnings_are_saved(crystal_stack, tmp_path, ending, lazy):
    crystal_stack.save(tmp_path / f"stack.{ending}")
    again = hs.load(tmp_path / f"stack.{ending}", lazy=lazy)
    assert columns.sentences(again) == columns.sentences(crystal_stack)
    assert columns.rows(again) == columns.rows(crystal_stack)
    assert noted_warnings(again) == noted_warnings(crystal_stack)
    np.testing.assert_array_equal(
        columns.columns_of(again)[0]["A"], columns.columns_of(crystal_stack)[0]["A"]
    )
    few = again.inav[:5]
    assert columns.rows(few) == columns.rows(crystal_stack)


def test_the_picture_is_left_out_without_an_image(crystal_stack):
    figures, left_out = draw_columns(crystal_stack)
    assert [figure.title for figure in figures] == ["Columns"] and not left_out
    crystal_stack._image = None
    figures, left_out = draw_columns(crystal_stack)
    assert not figures and left_out == [
        "Columns: the image is not there: stack.load_image() reads it."
    ]


def test_positions_without_a_search_are_sites(film):
    stack = SubImageStack.from_positions(film.image, film.positions, 36)
    assert columns.sentences(stack) == [
        f"{len(stack.sites):,} positions were given; no search for columns is known."
    ]
    assert columns.rows(stack) == []
    assert list(columns.columns_of(stack)[0]) == ["sites"]


def test_lattices_of_atomap_and_many_sublattices_are_counted():
    members = [
        SimpleNamespace(name=name, x_position=[1.0] * k, y_position=[2.0] * k)
        for k, name in enumerate(["Bi", "Fe", "", "Fe"], 1)
    ]
    record = columns.record_of(SimpleNamespace(sublattice_list=members))
    names = [one["name"] for one in json.loads(record["about"])["sublattices"]]
    assert names == ["Bi", "Fe", "2", "Fe 3"]
    assert np.bincount(record["group"]).tolist() == [1, 2, 3, 4]


@pytest.mark.slow
def test_every_warning_of_the_run_is_a_point_to_check(film, tmp_path):
    """Of the search, of the cutting and of the fit; those below a warning are not."""
    logger = logging.getLogger("hs_rvae.somewhere")

    @keeping_warnings
    def search():
        logger.info("All is well.")
        logger.warning("Half of the maxima are left out: pass %s or n_init=7.", "cell=")
        return SimpleNamespace(sublattice_list=lattice.sublattice_list)

    lattice = hs_rvae.find_sublattices(film.image)
    positions = film.positions.copy()
    middle = np.linalg.norm(positions - positions.mean(axis=0), axis=1).argmin()
    positions[0] = positions[middle] + 1.0  # found twice
    stack = SubImageStack.from_positions(film.image, positions, 36)
    assert any("found twice" in text for text in noted_warnings(stack))
    stack = SubImageStack.from_atom_lattice(search(), film.image, "B", window_size=16)
    stack = stack.select_sites(np.arange(60))
    stack.rvae(epochs=2, n_init=1, random_state=0)
    texts = noted_warnings(stack)
    assert any("window of 16 px" in text for text in texts)
    for command, option in ((None, "cell= or n_init=7"), ("hs-rvae", "--cell or --starts 7")):
        page = stack.report(tmp_path / "r.html", command=command).read_text(encoding="utf-8")
        box = page.partition('class="care"')[2].partition("</div>")[0]
        assert f"Half of the maxima are left out: pass {option}." in box
        assert "All is well" not in page and "The soft disk inscribed" in box
        assert box.count("the verdict is not trustworthy") == 1
    assert page.index('<h2 id="columns">') < page.index('<h2 id="outcome">')


@pytest.mark.slow
def test_a_second_fit_takes_the_warnings_of_the_first_with_it(film):
    stack = SubImageStack.from_positions(film.image, film.positions, 36)
    few = np.arange(len(stack.sites)) >= 60
    for mask, warned in ((few, True), (None, False)):
        stack.rvae(epochs=1, n_init=1, random_state=0, navigation_mask=mask)
        assert any("sites are few" in text for text in noted_warnings(stack)) == warned


def test_warnings_are_collected_once_and_the_logger_is_left_as_it_was():
    logger = logging.getLogger("hs_rvae.x")
    before = list(logging.getLogger("hs_rvae").handlers)
    with collected_warnings() as texts:
        for _ in range(2):
            logger.warning("%d of %d", 1, 2)
        logger.info("no")
    assert texts == ["1 of 2"] and logging.getLogger("hs_rvae").handlers == before


@pytest.mark.parametrize(("failed", "warned"), [(4, False), (6, True)])
def test_most_fits_that_fail_are_a_warning(caplog, failed, warned):
    table = pd.DataFrame(
        {
            "found": [True] * 10 + [False] * 40,
            "status": [1] * (failed - 2) + [0] * (12 - failed) + [1] * 40,
            "shape_held": [False] * 8 + [True] * 2 + [False] * 40,
        }
    )
    warn_of_failed_fits([[table]])
    lines = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(lines) == warned
    if warned:
        assert "Only 4 of 10 free fits" in lines[0] and "for 2 the shape was held" in lines[0]


def test_a_clear_crystal_has_no_warning_about_its_fits(film, caplog):
    hs_rvae.find_sublattices(film.image)
    assert not [r for r in caplog.records if "free fits" in r.getMessage()]
