# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions: order, Atomap objects, neighbours, displacement."""

from types import SimpleNamespace

import hyperspy.api as hs
import numpy as np
import pandas as pd
import pytest

from hs_rvae.positions import (
    as_positions,
    check_positions_fit,
    crowded,
    displacement,
    local_cells,
    nearest_neighbour_distance,
    nearest_shell_distance,
    pick_sublattice,
    sublattice_positions,
)
from hs_rvae.sites import SiteTable

XY = np.array([[3.0, 5.0], [4.0, 6.5], [9.25, 1.0]])


def sublattice(n=3, sigma=1.0, amplitude=1.0, name="A"):
    """Anything with the attributes of an Atomap Sublattice."""
    return SimpleNamespace(
        name=name,
        atom_list=[object()] * n,
        x_position=XY[:n, 0],
        y_position=XY[:n, 1],
        sigma_x=np.full(n, sigma),
        sigma_y=np.full(n, sigma),
        rotation=np.full(n, 0.01),
        atom_amplitude_gaussian2d=np.full(n, amplitude),
    )


def square_lattice(n=6, a=10.0):
    x, y = np.meshgrid(np.arange(n) * a, np.arange(n) * a)
    return np.stack([x.ravel(), y.ravel()], axis=1)


@pytest.mark.parametrize(
    "given",
    [
        XY,
        XY.tolist(),
        XY.astype(np.float32),
        pd.DataFrame({"y": XY[:, 1], "extra": 0, "x": XY[:, 0]}),
        SiteTable.from_columns({"y": XY[:, 1], "x": XY[:, 0]}),
        sublattice(),
    ],
    ids=["array", "list", "float32", "dataframe", "site table", "sublattice"],
)
def test_positions_come_in_many_shapes(given):
    positions = as_positions(given)
    assert positions.dtype == np.float64
    np.testing.assert_array_equal(positions, XY)


def test_rc_is_row_then_column():
    np.testing.assert_array_equal(as_positions(XY[:, ::-1], order="rc"), XY)


@pytest.mark.parametrize(
    ("given", "order", "error", "match"),
    [
        ([3.0, 5.0], "xy", ValueError, r"write a single position as \[\[x, y\]\]"),
        (np.zeros((4, 3)), "xy", ValueError, r"shape \(n, 2\)"),
        (SimpleNamespace(sublattice_list=[]), "xy", TypeError, "from_atom_lattice takes it"),
        (XY + 1j, "xy", TypeError, "real numbers, not complex128"),
        ([["a", "b"]], "xy", TypeError, "real numbers"),
        (XY, "yx", ValueError, "use 'xy' or 'rc'"),
    ],
)
def test_what_is_no_position_is_refused(given, order, error, match):
    with pytest.raises(error, match=match):
        as_positions(given, order)


def test_no_positions_stay_two_columns():
    assert as_positions([]).shape == (0, 2)


def test_placeholders_of_atomap_are_not_taken_for_a_fit():
    assert set(sublattice_positions(sublattice())) == {"x", "y"}


def test_fitted_shapes_are_kept_and_failed_fits_are_nan():
    fitted = sublattice(sigma=2.5, amplitude=40.0)
    fitted.atom_amplitude_gaussian2d[1] = 0.0  # Atomap's only sign of a fit that failed
    fitted.sigma_x[2] = fitted.sigma_y[2] = 1.0  # never fitted
    columns = sublattice_positions(fitted)
    assert set(columns) == {"x", "y", "sigma_x", "sigma_y", "rotation", "amplitude"}
    np.testing.assert_array_equal(columns["sigma_x"], [2.5, np.nan, np.nan])
    np.testing.assert_array_equal(columns["amplitude"], [40.0, np.nan, np.nan])


def test_sublattice_without_fit_attributes_has_positions():
    bare = SimpleNamespace(atom_list=[0], x_position=[3.0], y_position=[4.0])
    assert set(sublattice_positions(bare)) == {"x", "y"}


def test_an_array_is_no_sublattice():
    with pytest.raises(TypeError, match="Use from_positions for arrays"):
        sublattice_positions(XY)


def test_atomap_itself_is_understood():
    am = pytest.importorskip("atomap.api")
    real = am.Sublattice(XY, np.zeros((12, 12)), name="A")
    real.atom_list[0].sigma_x = 3.0
    columns = sublattice_positions(real)
    np.testing.assert_array_equal(columns["x"], XY[:, 0])
    np.testing.assert_array_equal(columns["sigma_x"], [3.0, np.nan, np.nan])
    lattice = am.Atom_Lattice(np.zeros((12, 12)), sublattice_list=[real])
    assert pick_sublattice(lattice) == (real, [])


@pytest.mark.parametrize("choice", ["B", 1, np.int64(1), -1])
def test_a_sublattice_is_picked_by_name_or_index(choice):
    a, b = sublattice(name="A"), sublattice(name="B")
    chosen, others = pick_sublattice(SimpleNamespace(sublattice_list=[a, b]), choice)
    assert chosen is b and others == [a]


@pytest.mark.parametrize(
    ("choice", "match"),
    [
        (None, r"2 sublattices: say which .*0: 'A', 1: 'B'"),
        ("C", r"'C' names 0 sublattices; there are \(0: 'A', 1: 'B'\)"),
        (2, r"no sublattice=2; there are"),
        (1.5, r"no sublattice=1.5; there are"),
        (sublattice(), "not part of the lattice"),
    ],
)
def test_an_unclear_sublattice_is_refused_with_the_names_there_are(choice, match):
    lattice = SimpleNamespace(sublattice_list=[sublattice(name="A"), sublattice(name="B")])
    with pytest.raises(ValueError, match=match):
        pick_sublattice(lattice, choice)


def test_a_sublattice_is_no_lattice():
    with pytest.raises(TypeError, match="Use from_sublattice"):
        pick_sublattice(sublattice())


def test_swapped_positions_are_refused():
    xy = np.array([[190.0, 20.0], [10.0, 90.0], [150.0, 50.0]])
    check_positions_fit(xy, (100, 200))
    with pytest.raises(ValueError, match=r"\(200 columns, 100 rows\) only if swapped: 2 of 3"):
        check_positions_fit(xy[:, ::-1], (100, 200))


def test_swapped_positions_are_refused_although_a_few_fit_neither_way():
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, (199, 99), size=(500, 2))
    xy[:3] = 500.0
    check_positions_fit(xy, (100, 200))
    with pytest.raises(ValueError, match="only if swapped"):
        check_positions_fit(xy[:, ::-1], (100, 200))


def test_stray_positions_do_not_count_as_swapped():
    # 260 lies outside either way, NaN nowhere.
    check_positions_fit(np.array([[260.0, 20.0], [150.0, 90.0], [np.nan, 5.0]]), (100, 200))


def test_nearest_neighbour_distance_is_the_lattice_parameter():
    positions = np.vstack([square_lattice(), square_lattice(), [[np.nan, 3.0]]])
    assert nearest_neighbour_distance(positions) == pytest.approx(10.0)


def test_one_position_has_no_neighbour_distance():
    with pytest.raises(ValueError, match="give window_size"):
        nearest_neighbour_distance(np.array([[1.0, 2.0], [np.nan, 0.0]]))


def test_crowded_positions_lie_within_a_quarter_of_a_distance():
    positions = np.vstack([square_lattice(), [[12.0, 10.0], [33.0, 30.0]]])
    # 2 px from (10, 10), 3 px from (30, 30), in a lattice of 10 px.
    np.testing.assert_array_equal(np.flatnonzero(crowded(positions)), [7, 36])
    assert not crowded(np.array([[0.0, 0.0], [1.0, 0.0]])).any()


def test_nearest_shell_is_the_corner_distance_of_a_square_cell():
    a = square_lattice()
    b = a[(a < 45).all(axis=1)] + 5.0
    assert nearest_shell_distance(b, a) == pytest.approx(5 * np.sqrt(2))
    # A displaced site is judged by the columns it moves away from.
    assert nearest_shell_distance(b + [1.0, 0.0], a) == pytest.approx(np.hypot(6, 5))
    # Two neighbours at most: no invented third.
    assert nearest_shell_distance(np.array([[5.0, 5.0]]), a[:2]) == pytest.approx(5 * np.sqrt(2))
    assert np.isnan(nearest_shell_distance(b, np.array([[np.nan, 1.0]])))


def test_displacement_is_the_movement_of_the_site():
    a = square_lattice()
    b = a[(a < 45).all(axis=1)] + 5.0
    moved = b + [1.5, -0.75]
    result = displacement(moved, a)
    np.testing.assert_allclose(result, np.broadcast_to([1.5, -0.75], b.shape), atol=1e-12)


def test_displacement_is_undefined_at_edges_and_beside_missing_columns():
    a = square_lattice()
    corner = (a == 0).all(axis=1)
    b = np.array([[5.0, 5.0], [15.0, 15.0], [-5.0, 25.0], [np.nan, 3.0]])
    defined = np.isfinite(displacement(b, a[~corner])).all(axis=1)
    np.testing.assert_array_equal(defined, [False, True, False, False])


def test_displacement_within_one_sublattice_leaves_the_site_itself_out():
    a = square_lattice()
    inner = ((a > 0) & (a < 50)).all(axis=1)
    a[14] += [2.0, 0.0]
    result = displacement(a)
    assert np.isfinite(result[inner]).all() and np.isnan(result[~inner]).all()
    np.testing.assert_allclose(result[14], [2.0, 0.0])
    np.testing.assert_allclose(result[13], [-0.5, 0.0])


def test_displacement_of_too_few_columns_is_nan():
    assert np.isnan(displacement(XY)).all()


def test_local_cells_of_a_turned_rectangle():
    turn = np.radians(20)
    a = 12 * np.array([np.cos(turn), np.sin(turn)])
    b = 15 * np.array([-np.sin(turn), np.cos(turn)])
    i, j = np.meshgrid(np.arange(-4, 5), np.arange(-4, 5))
    corners = i.reshape(-1, 1) * a + j.reshape(-1, 1) * b + 100
    centres = corners + (a + b) / 2 + np.array([0.8, -0.5])
    for found_a, found_b in (local_cells(centres, corners), local_cells(corners)):
        inner = np.isfinite(found_a[:, 0])
        assert inner.sum() >= 49
        np.testing.assert_allclose(found_a[inner], np.broadcast_to(a, (inner.sum(), 2)))
        np.testing.assert_allclose(found_b[inner], np.broadcast_to(b, (inner.sum(), 2)))


def test_positions_come_from_files(tmp_path):
    xy = np.array([[3.25, 5.5], [40.0, 6.0]])
    np.save(tmp_path / "xy.npy", xy)
    pd.DataFrame({"id": [1, 2], "y": xy[:, 1], "x": xy[:, 0]}).to_csv(tmp_path / "table.csv")
    np.savetxt(tmp_path / "bare.csv", xy, delimiter=",")
    np.savetxt(tmp_path / "rows.csv", xy[:, ::-1], delimiter=",")
    SiteTable.from_columns({"x": xy[:, 0], "y": xy[:, 1]}).save(tmp_path / "sites.csv")
    for name in ("xy.npy", "table.csv", "bare.csv", "sites.csv"):
        np.testing.assert_allclose(as_positions(tmp_path / name), xy)
    np.testing.assert_allclose(as_positions(str(tmp_path / "rows.csv"), order="rc"), xy)


def test_files_without_positions_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        as_positions(tmp_path / "none.csv")
    (tmp_path / "words.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(ValueError, match="neither the columns x and y nor two numbers"):
        as_positions(tmp_path / "words.csv")
    for content in (b"\x89HDF\r\n\x1a\n\x00\xff", b""):
        (tmp_path / "binary.csv").write_bytes(content)
        with pytest.raises(ValueError, match="binary.csv' is no text file with positions"):
            as_positions(tmp_path / "binary.csv")


def test_peaks_of_hyperspy_are_rows_and_columns():
    y, x = np.mgrid[:60, :100]
    data = sum(np.exp(-((y - r) ** 2 + (x - c) ** 2) / 8) for r, c in [(10, 50), (40, 80)])
    peaks = hs.signals.Signal2D(data).find_peaks(
        method="local_max", interactive=False, min_distance=3
    )
    found = as_positions(peaks)
    np.testing.assert_allclose(found[np.argsort(found[:, 0])], [[50, 10], [80, 40]])
