# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions: order, Atomap objects, files."""

from types import SimpleNamespace

import hyperspy.api as hs
import numpy as np
import pandas as pd
import pytest

from hs_rvae.position_files import read_sublattices
from hs_rvae.positions import (
    as_positions,
    check_positions_fit,
    column_table,
    inside_image,
    is_sublattice,
    pick_sublattice,
    position_classes,
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
        (np.zeros((4, 3)), "xy", ValueError, r"shape \(n, 2\).*xy\[:, :2\], with order='rc' if"),
        (np.zeros((2, 3)), "xy", ValueError, r"xy\[:, :2\], with order='rc' if"),
        (np.zeros((2, 4)), "xy", ValueError, r"turn them over, as in xy\.T"),
        (np.zeros((4, 1)), "xy", ValueError, "pass one row for each"),
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


def test_widths_without_amplitudes_are_kept_and_one_width_alone_is_no_fit():
    columns = sublattice_positions(sublattice(sigma=2.5, amplitude=1.0))  # as files have them
    assert set(columns) == {"x", "y", "sigma_x", "sigma_y", "rotation"}
    half = sublattice(sigma=2.5, amplitude=40.0)
    del half.sigma_y
    assert set(sublattice_positions(half)) == {"x", "y"}


def test_sublattice_without_fit_attributes_has_positions():
    bare = SimpleNamespace(atom_list=[0], x_position=[3.0], y_position=[4.0])
    assert set(sublattice_positions(bare)) == {"x", "y"}


def test_an_array_is_no_sublattice():
    with pytest.raises(TypeError, match="Use from_positions for arrays"):
        sublattice_positions(XY)
    for name in ("atom_list", "x_position"):  # one of the two is not enough
        assert not is_sublattice(SimpleNamespace(**{name: [0]}))


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


def test_b_is_the_default_or_a_or_the_only_one():
    def default(*names):
        members = [sublattice(name=name) for name in names]
        return pick_sublattice(SimpleNamespace(sublattice_list=members))[0].name

    assert default("A", "B") == default("B", "A", "C") == "B"
    assert default("A", "C") == "A"
    assert default("O") == "O"
    with pytest.raises(ValueError, match="2 sublattices: choose one .*0: '', 1: 'O'"):
        default("", "O")


@pytest.mark.parametrize(
    ("choice", "match"),
    [
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
    with pytest.raises(ValueError, match="has no sublattices"):
        pick_sublattice(SimpleNamespace(sublattice_list=[]))


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


@pytest.mark.parametrize(
    ("swapped", "inside", "refused"),
    [(20, 275, True), (19, 276, False), (200, 45, True), (200, 44, False)],
)
def test_swapped_are_nearly_all_and_five_times_those_that_fit_as_given(swapped, inside, refused):
    """Five fit neither way: a fifth of those outside, and two in a hundred, at the most."""
    rows = [[50.0, 150.0]] * swapped + [[50.0, 50.0]] * inside + [[500.0, 500.0]] * 5
    if not refused:
        return check_positions_fit(np.array(rows), (100, 200))
    with pytest.raises(ValueError, match="only if swapped"):
        check_positions_fit(np.array(rows), (100, 200))


def test_stray_positions_do_not_count_as_swapped():
    # 260 lies outside either way, NaN nowhere.
    check_positions_fit(np.array([[260.0, 20.0], [150.0, 90.0], [np.nan, 5.0]]), (100, 200))


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


TABLE = pd.DataFrame({"site": [0, 1, 2], "y": XY[:, 1], "x": XY[:, 0]})
WRITERS = {
    "spaces": lambda path: np.savetxt(path, XY),
    "spaces and a comment": lambda path: np.savetxt(path, XY, header="of the film, in µm"),
    "names in a comment": lambda path: np.savetxt(path, TABLE, header="site y x"),
    "names in a comment with commas": lambda path: np.savetxt(
        path, TABLE, header="site, y, x", delimiter=", "
    ),
    "aligned": lambda path: np.savetxt(path, XY, fmt="%12.3f"),
    "tabs": lambda path: np.savetxt(path, XY, delimiter="\t"),
    "semicolons": lambda path: np.savetxt(path, XY, delimiter=" ; "),
    "table with tabs": lambda path: TABLE.to_csv(path, sep="\t"),
    "table with semicolons": lambda path: TABLE.to_csv(path, sep=";", index=False),
    "table with spaces": lambda path: TABLE.to_csv(path, sep=" ", index=False),
    "capitals": lambda path: TABLE.rename(columns=str.upper).to_csv(path),
    "from a spreadsheet": lambda path: TABLE.to_csv(path, sep=";", encoding="utf-8-sig"),
    "whole numbers": lambda path: np.savetxt(path, np.rint(XY * 4), fmt="%d"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_positions_come_from_text_of_all_kinds(kind, tmp_path):
    WRITERS[kind](tmp_path / "xy.txt")
    factor = 4 if kind == "whole numbers" else 1
    np.testing.assert_allclose(as_positions(tmp_path / "xy.txt"), XY * factor, atol=1e-3)


def test_missing_numbers_of_a_text_are_nan(tmp_path):
    (tmp_path / "xy.txt").write_text("-- --\n4.0 6.5\n9.25 1.0\n")
    np.testing.assert_array_equal(np.isnan(as_positions(tmp_path / "xy.txt"))[:, 0], [1, 0, 0])
    (tmp_path / "xy.csv").write_text("x,y\n,\n4.0,6.5\nnan,1.0\n")
    np.testing.assert_array_equal(as_positions(tmp_path / "xy.csv")[1], XY[1])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("3,0;5,0\n4,0;6,5\n", r"has decimal commas \('4,0;6,5'\).*decimal=','"),
        ("x;y\n3;5,0\n", "has decimal commas"),
        ("3,0\t5,0\n4,0\t6,5\n", "has decimal commas"),
        ("3,0 5,0\n4,0 6,5\n", "has decimal commas"),
        ("3 5 0\n4 6 1\n", r"two numbers a line, but 3 numbers.*np\.loadtxt\(path\)\[:, :2\]"),
        ("x,y\nred,blue\n", "neither the columns x and y"),
        ("# nothing\n", "it is empty"),
        ("3 5\n4 6 1\n", "xy.txt.*not as many entries in each line"),
        ("x,y\n1,3,5\n2,4,6\n", "xy.txt.*not as many entries in each line"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_with_the_reason(text, match, tmp_path):
    (tmp_path / "xy.txt").write_text(text)
    with pytest.raises(ValueError, match=match):
        as_positions(tmp_path / "xy.txt")


def test_the_remedy_for_decimal_commas_works(tmp_path):
    (tmp_path / "xy.txt").write_text("x;y\n3,0;5,0\n4,0;6,5\n")
    table = pd.read_csv(tmp_path / "xy.txt", sep=None, decimal=",", engine="python")
    np.testing.assert_array_equal(as_positions(table), XY[:2])


def test_a_saved_dictionary_is_refused_with_a_remedy_that_works(tmp_path):
    np.save(tmp_path / "atomai.npy", {0: np.c_[XY[:, ::-1], np.zeros(3)]})
    with pytest.raises(ValueError, match=r"pass np\.load\(path, allow_pickle=True\)\.item\(\)"):
        as_positions(tmp_path / "atomai.npy")
    loaded = np.load(tmp_path / "atomai.npy", allow_pickle=True).item()
    np.testing.assert_array_equal(as_positions(loaded), XY)


def test_the_dictionary_of_atomai_is_row_column_and_class():
    given = {0: np.c_[XY[:, ::-1], [0.0, 2.0, 1.0]]}
    for order in ("xy", "rc"):
        np.testing.assert_array_equal(as_positions(given, order), XY)
    np.testing.assert_array_equal(position_classes(given)["class"], [0, 2, 1])
    assert position_classes({0: XY[:, ::-1]}) == position_classes(XY) == {}
    assert as_positions({0: np.empty((0, 3))}).shape == (0, 2)
    assert position_classes({0: []})["class"].shape == (0,)
    with pytest.raises(ValueError, match=r"coordinates of 2 images.*\{0: positions\[0\]\}"):
        as_positions({0: given[0], 1: given[0]})
    with pytest.raises(ValueError, match=r"shape \(3, 4\).*\(row, column, class\)"):
        as_positions({0: np.zeros((3, 4))})
    with pytest.raises(TypeError, match="keys 'a': give 'x' and 'y'"):
        as_positions({"a": XY})


def test_a_dictionary_of_x_and_y_is_a_table():
    np.testing.assert_array_equal(as_positions({"y": XY[:, 1], "x": XY[:, 0]}), XY)


def test_files_without_positions_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        as_positions(tmp_path / "none.csv")
    (tmp_path / "words.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(ValueError, match="neither the columns x and y nor two numbers"):
        as_positions(tmp_path / "words.csv")
    np.save(tmp_path / "cut.npy", XY)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-8])
    with pytest.raises(ValueError, match="cut.npy' is not a complete .npy file"):
        as_positions(tmp_path / "cut.npy")
    for content in (b"\x89HDF\r\n\x1a\n\x00\xff", b""):
        (tmp_path / "binary.csv").write_bytes(content)
        with pytest.raises(ValueError, match="binary.csv' is not a text file with positions"):
            as_positions(tmp_path / "binary.csv")


def test_peaks_of_hyperspy_are_rows_and_columns():
    y, x = np.mgrid[:60, :100]
    data = sum(np.exp(-((y - r) ** 2 + (x - c) ** 2) / 8) for r, c in [(10, 50), (40, 80)])
    peaks = hs.signals.Signal2D(data).find_peaks(
        method="local_max", interactive=False, min_distance=3
    )
    found = as_positions(peaks)
    np.testing.assert_allclose(found[np.argsort(found[:, 0])], [[50, 10], [80, 40]])


def test_the_edge_of_a_pixel_is_the_edge_of_the_image():
    places = np.array([[-0.5, 0], [-0.51, 0], [9.5, 4.5], [9.51, 0], [0, 4.51], [np.nan, 0]])
    np.testing.assert_array_equal(inside_image(places, (5, 10)), [1, 0, 1, 0, 0, 0])


TABLES = {
    "bare.txt": "3 5\n4 6\n",
    "numbers.csv": "3,5,2\n4,6,1\n7,8,2\n",
    "named.csv": "x,y,element\n3,5,Sr\n4,6,Ti\n7,8,Sr\n",
    "class.csv": "class,y,x\n1.0,5,3\n2.0,6,4\n",
    "comment.txt": "# a film\n# x y sublattice\n3 5 2\n",
}
GROUPS = {
    "bare.txt": {"sites": [[3, 5], [4, 6]]},
    "numbers.csv": {"1": [[4, 6]], "2": [[3, 5], [7, 8]]},
    "named.csv": {"Sr": [[3, 5], [7, 8]], "Ti": [[4, 6]]},
    "class.csv": {"1": [[3, 5]], "2": [[4, 6]]},
    "comment.txt": {"2": [[3, 5]]},
}


@pytest.mark.parametrize("name", TABLES)
def test_a_file_groups_positions_by_their_sublattice(tmp_path, name):
    (tmp_path / name).write_text(TABLES[name], encoding="utf-8")
    groups = read_sublattices(tmp_path / name)
    assert {name: xy.tolist() for name, xy in groups.items()} == GROUPS[name]
    assert all(xy.dtype == float for xy in groups.values())


def test_an_array_groups_positions_by_its_third_number(tmp_path):
    np.save(tmp_path / "three.npy", np.array([[3, 5, 0], [4, 6, 1]]))
    groups = read_sublattices(tmp_path / "three.npy")
    assert {name: xy.tolist() for name, xy in groups.items()} == {"0": [[3, 5]], "1": [[4, 6]]}
    np.save(tmp_path / "two.npy", np.array([[3.0, 5.0]]))
    assert read_sublattices(tmp_path / "two.npy")["sites"].tolist() == [[3, 5]]
    for content in (np.zeros((2, 4)), np.zeros((2, 1)), np.zeros(3), np.array([["3", "5"]])):
        np.save(tmp_path / "other.npy", content)
        with pytest.raises(ValueError, match="other.npy' has the shape .*: give two or three"):
            read_sublattices(tmp_path / "other.npy")
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        read_sublattices(tmp_path / "none.npy")


def test_a_sublattice_is_chosen_by_name_number_or_itself():
    members = [sublattice(name=name) for name in ("first", "second", "third")]
    lattice = SimpleNamespace(sublattice_list=members)
    for chosen in ("second", 1, -2, members[1]):
        one, others = pick_sublattice(lattice, chosen)
        assert one is members[1] and others == [members[0], members[2]]
    for wrong in ("fourth", 3, -4, 0.5, sublattice(name="first")):
        with pytest.raises(ValueError, match="first.*second.*third"):
            pick_sublattice(lattice, wrong)


def test_a_table_of_columns_counts_while_it_describes_them():
    one = sublattice()
    assert column_table(one) is None
    one.column_table = pd.DataFrame({"x": XY[:, 0], "y": XY[:, 1], "sigma": 1.0})
    assert column_table(one) is one.column_table
    one.x_position = XY[:, 0] + 0.01  # Atomap has moved them
    assert column_table(one) is None
    one.column_table = one.column_table.iloc[:2]
    assert column_table(one) is None


@pytest.mark.parametrize("y", [5.0, [1.0], [[1.0, 2.0]], "ab", None])
def test_rows_of_x_and_y_are_equally_long(y):
    with pytest.raises(ValueError, match="positions has x of the shape .* give rows of numbers"):
        as_positions({"x": [1.0, 2.0] if np.ndim(y) else y, "y": y})
