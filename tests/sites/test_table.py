# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site table by itself."""

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pandas as pd
import pytest

from hs_rvae.positions import as_positions
from hs_rvae.sites import SiteTable


@pytest.fixture
def table():
    return SiteTable.from_columns(
        {"site_index": np.arange(4), "x": [1.0, 2.0, 3.5, 4.0], "y": [9.0, 8.0, 7.0, np.nan]},
        units={"x": "px", "y": "px"},
        pixel_size=(0.1, 0.2),
        pixel_units="Å",
        pixel_offset=(5, -5),
    )


def test_columns_are_read_by_name(table):
    assert table.columns == ("site_index", "x", "y")
    assert table.units == {"site_index": "", "x": "px", "y": "px"}
    assert len(table) == 4 and "x" in table and "z" not in table
    np.testing.assert_array_equal(table["x"], [1.0, 2.0, 3.5, 4.0])
    np.testing.assert_array_equal(table[["y", "x"]][0], [9.0, 1.0])
    np.testing.assert_array_equal(table.xy, table[["x", "y"]])
    assert (table.pixel_size, table.pixel_units) == ((0.1, 0.2), "Å")
    assert table.pixel_offset == (5.0, -5.0)


def test_integers_stay_integers(table):
    table.set("variant", np.array([0, 3, -1, 2], dtype=np.int8))
    table.set("defined", np.array([True, False, True, True]))
    assert table["site_index"].dtype == table["variant"].dtype == table["defined"].dtype == np.int64
    np.testing.assert_array_equal(table["variant"], [0, 3, -1, 2])
    assert table["x"].dtype == np.float64
    table.set("variant", [0.5, 1.0, 2.0, 3.0])
    assert table["variant"].dtype == np.float64


def test_an_unknown_column_is_refused_with_the_names_there_are(table):
    for ask in (
        lambda: table["angle"],
        lambda: table[["x", "angle"]],
        lambda: table.remove("angle"),
    ):
        with pytest.raises(KeyError, match=r"no column 'angle': run stack.*It has site_index"):
            ask()


def test_a_table_is_a_view_of_its_signal(table):
    table.set("angle", [0.0, 1.0, 2.0, 3.0], units="rad")
    again = SiteTable(table.signal)
    np.testing.assert_array_equal(again["angle"], [0.0, 1.0, 2.0, 3.0])
    assert again.units["angle"] == "rad"
    assert table.signal.axes_manager.signal_shape == (4,)


def test_reading_gives_copies(table):
    table["x"][:] = 0
    table.xy[:] = 0
    assert table["x"][0] == 1.0


def test_setting_an_item_keeps_the_unit_and_set_replaces_it(table):
    table["x"] = np.arange(4.0)
    assert table.units["x"] == "px"
    table.set("x", np.arange(4.0), units="nm")
    assert table.units["x"] == "nm" and table.columns == ("site_index", "x", "y")


def test_many_columns_are_written_at_once_or_not_at_all(table):
    table.set_many({"a": [1, 2, 3, 4], "y": np.ones(4)}, units={"a": "nat"})
    assert table.units == {"site_index": "", "x": "px", "y": "px", "a": "nat"}
    with pytest.raises(ValueError, match="Column 'c' has 3 values for 4 sites"):
        table.set_many({"b": np.ones(4), "c": np.ones(3)})
    assert "b" not in table


def test_columns_are_removed(table):
    table.set("variant", [0, 1, 2, 3])
    table.remove("x", "y")
    assert table.columns == ("site_index", "variant") and table["variant"].dtype == np.int64
    with pytest.raises(ValueError, match="last column"):
        table.remove("site_index", "variant")


@pytest.mark.parametrize(
    ("name", "values", "error", "match"),
    [
        ("z", np.ones(4) * 1j, TypeError, "needs real numbers, not complex128"),
        ("z", ["a", "b", "c", "d"], TypeError, "needs real numbers"),
        ("z", np.ones((4, 1)), ValueError, r"one value per site, not the shape \(4, 1\)"),
        ("z", 1.0, ValueError, "one value per site"),
        ("", np.ones(4), ValueError, "name must be a line of text"),
        (3, np.ones(4), ValueError, "name must be a line of text, not 3"),
    ],
)
def test_what_is_no_column_is_refused(table, name, values, error, match):
    with pytest.raises(error, match=match):
        table.set(name, values)


def test_signals_and_dask_arrays_make_columns(table):
    table["a"] = hs.signals.BaseSignal(np.arange(4.0)).T
    table["b"] = da.arange(4)
    np.testing.assert_array_equal(table["a"], table["b"])


@pytest.mark.parametrize("chosen", [[2, 0], np.array([True, False, True, False])])
def test_taken_sites_are_a_table_of_their_own(table, chosen):
    taken = table.take(chosen)
    np.testing.assert_array_equal(taken["x"], table["x"][chosen])
    assert taken["site_index"].dtype == np.int64
    assert (taken.units, taken.pixel_size, taken.pixel_units, taken.pixel_offset) == (
        table.units,
        table.pixel_size,
        table.pixel_units,
        table.pixel_offset,
    )
    taken["x"] = [0.0, 0.0]
    assert table["x"][0] == 1.0


def test_one_row_left_by_an_index_is_a_table(table):
    row = SiteTable(table.signal.inav[2])
    assert len(row) == 1 and row["x"] == [3.5]
    row.set("angle", [1.0])
    row.remove("y")
    assert row.signal.data.shape == (3,) and row["angle"] == [1.0] and len(row.take([0])) == 1


def test_dataframe_has_units_and_dtypes(table):
    frame = table.to_dataframe()
    assert frame.index.name == "site" and frame.attrs["units"] == table.units
    assert frame["site_index"].dtype == np.int64 and frame["x"].tolist() == [1.0, 2.0, 3.5, 4.0]


def test_a_saved_table_is_plain_csv_with_its_units_beside(table, tmp_path):
    path = tmp_path / "sites.csv"
    table["x"] = np.array([1 / 3, np.pi, 1e-300, -2.0])
    table.set("angle #1, registered", np.arange(4.0), units="rad")
    assert table.save(path) == path
    assert sorted(each.name for each in tmp_path.iterdir()) == ["sites.csv", "sites.units.csv"]
    frame = pd.read_csv(path)
    assert list(frame.columns) == ["site", *table.columns]
    pd.testing.assert_frame_equal(frame.set_index("site"), table.to_dataframe())
    units = pd.read_csv(tmp_path / "sites.units.csv", index_col="column", keep_default_na=False)
    assert units["unit"].to_dict() == table.units
    assert path.read_text(encoding="utf-8") == table.to_csv()
    np.testing.assert_array_equal(as_positions(path), table.xy)


def test_a_table_is_never_half_written(table, tmp_path, monkeypatch):
    path = tmp_path / "sites.csv"
    path.write_text("old")
    monkeypatch.setattr(pd.Series, "to_csv", lambda *_, **__: 1 / 0)  # the units, after the table
    with pytest.raises(ZeroDivisionError):
        table.save(path)
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["sites.csv"]


def test_a_folder_that_does_not_exist_is_named(table, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.*choose a folder that exists"):
        table.save(tmp_path / "nowhere" / "sites.csv")


def test_a_dataframe_makes_a_table_and_a_list_does_not():
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0], "kind": [0, 1]})
    table = SiteTable.from_columns(frame)
    assert table.columns == ("x", "y", "kind") and table["kind"].dtype.kind == "i"
    np.testing.assert_array_equal(table.xy, frame[["x", "y"]])
    with pytest.raises(TypeError, match="^columns=.*give a mapping of names to values"):
        SiteTable.from_columns([("x", [1.0]), ("y", [2.0])])


@pytest.mark.parametrize("name", ["pixel_size", "pixel_offset"])
@pytest.mark.parametrize("pair", [(np.nan, 1.0), (1.0, "2"), (1.0, 1.0, 1.0), 1.0])
def test_pixels_have_two_finite_numbers(name, pair):
    with pytest.raises((ValueError, TypeError), match=f"^{name}="):
        SiteTable.from_columns({"x": [1.0], "y": [2.0]}, **{name: pair})


def test_a_pixel_has_a_size():
    with pytest.raises(ValueError, match="^pixel_size=.*not zero"):
        SiteTable.from_columns({"x": [1.0], "y": [2.0]}, pixel_size=(0.0, 1.0))


def test_columns_of_different_lengths_make_no_table():
    with pytest.raises(ValueError, match=r"one common length, not \[2, 3\]"):
        SiteTable.from_columns({"x": np.ones(2), "y": np.ones(3)})


def test_a_signal_without_columns_is_no_table():
    with pytest.raises(ValueError, match="not a site table"):
        SiteTable(hs.signals.Signal1D(np.ones((3, 2))))


def test_a_lazy_signal_becomes_a_table_in_memory(table, capsys):
    lazy = SiteTable(table.signal.as_lazy())
    assert capsys.readouterr() == ("", "")  # no bar for what takes no time
    assert isinstance(lazy.signal.data, np.ndarray)
    np.testing.assert_array_equal(lazy["x"], table["x"])


def test_the_table_says_what_it_holds(table):
    assert repr(table) == "<SiteTable, 4 sites, columns: site_index, x (px), y (px)>"
    with pytest.raises(TypeError, match="not iterable"):
        iter(table)


def test_a_notebook_shows_the_first_and_last_sites_with_units(table):
    html = table._repr_html_()
    assert "<th>x (px)</th>" in html and "4 rows" in html
    many = SiteTable.from_columns({"x": np.arange(5000.0)})
    assert many._repr_html_().count("<tr") < 12


def test_names_of_columns_are_completed_and_suggested():
    table = SiteTable.from_columns({"x": [1.0], "y": [2.0], "latent_0": [0.5]})
    assert table._ipython_key_completions_() == ["x", "y", "latent_0"]
    with pytest.raises(KeyError, match="did you mean 'latent_0'"):
        table["latent0"]
    with pytest.raises(KeyError, match="'latent_4'; the last of its kind is 'latent_0'"):
        table["latent_4"]
    with pytest.raises(AttributeError, match=r"columns are items, sites\['latent_0'\]"):
        table.latent_0  # noqa: B018
    assert not hasattr(table, "nothing")
    with pytest.raises(KeyError, match="It has x, y, latent_0") as error:
        table["angle"]
    assert "mean" not in str(error.value)


def test_a_table_keeps_who_wrote_each_column(table):
    assert set(table.writers.values()) == {""}
    table.claim({"x": "from_positions", "nowhere": "rvae"})
    table.set_many({"angle": np.zeros(4)}, {"angle": "rad"}, writer="rvae")
    table["strain"] = np.zeros(4)
    expected = {"site_index": "", "x": "from_positions", "y": "", "angle": "rvae", "strain": ""}
    assert table.writers == expected
    assert table.take([0, 2]).writers == expected
    assert table.to_dataframe().attrs["writers"] == expected
    again = SiteTable.from_columns(dict(table.to_dataframe()), writers=table.writers)
    assert again.writers == expected
    table.remove("x", "strain")
    assert table.writers == {"site_index": "", "y": "", "angle": "rvae"}
    table["angle"] = np.ones(4)  # values of the user
    assert table.writers["angle"] == ""


def test_columns_are_written_and_removed_at_once_or_not_at_all(table):
    table.set_many({"pca_0": np.zeros(4), "pca_1": np.zeros(4)}, writer="decomposition")
    table.set_many({"pca_0": np.ones(4)}, writer="decomposition", remove=["pca_1", "pca_7"])
    assert table.columns == ("site_index", "x", "y", "pca_0") and (table["pca_0"] == 1).all()
    with pytest.raises(ValueError, match="'pca_1' has 3 values for 4 sites"):
        table.set_many({"pca_1": np.zeros(3)}, remove=["pca_0"])
    assert table.columns == ("site_index", "x", "y", "pca_0")


def test_numbered_columns_are_in_the_order_of_their_numbers(table):
    table.set_many({name: np.zeros(4) for name in ("pca_10", "pca_2", "pca_x", "my_pca_3")})
    assert table.numbered("pca") == ["pca_2", "pca_10"]


def test_columns_of_others_are_refused_by_name_and_owner(table):
    table.set_many({"angle": np.zeros(4)}, writer="rvae")
    table.check_free(["angle", "nowhere"], "stack.rvae", "rvae")
    table.check_free(["x"], "stack.rvae", "rvae", overwrite=True)
    with pytest.raises(ValueError, match="replace the column 'x', which you wrote.*overwrite=True"):
        table.check_free(["x", "angle"], "stack.rvae", "rvae")
    with pytest.raises(ValueError, match=r"'x', 'angle', which stack.rvae\(\) or .* and you wrote"):
        table.check_free(["angle", "x"], "stack.decomposition", "decomposition")


def test_a_table_of_an_earlier_version_has_the_writers_of_the_register(table):
    table.set_many({"angle": np.zeros(4), "strain": np.zeros(4)})
    del table.signal.metadata.Sites.writers
    assert table.writers["angle"] == "rvae" and table.writers["strain"] == ""
    table["strain"] = np.ones(4)
    assert table.writers["angle"] == "rvae"


DAMAGE = {
    "names twice": ({"columns": ["x", "x"]}, "it has 2 columns of values and 1 names"),
    "a name too few": ({"columns": ["x"]}, "it has 2 columns of values and 1 names"),
    "a unit too many": ({"units": ["px"] * 3}, "it has 2 columns and 3 units"),
    "a flag too few": ({"integer": [True]}, "it has 2 columns and 1 integer"),
    "no units": ({"units": None}, "it has 2 columns and 0 units"),
    "no size": ({"pixel_size": None, "pixel_offset": None}, "it has no pixel_size, pixel_offset"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_table_is_refused_with_its_fault(kind):
    changes, message = DAMAGE[kind]
    signal = SiteTable.from_columns({"x": [1.0, 2.0], "y": [3.0, 4.0]}).signal
    for key, value in changes.items():
        if value is None:
            delattr(signal.metadata.Sites, key)
        else:
            signal.metadata.set_item(f"Sites.{key}", value)
    with pytest.raises(ValueError, match=f"damaged site table: {message}"):
        SiteTable(signal)


@pytest.mark.parametrize("thing", [None, object(), np.ones((2, 2)), {"x": [1]}])
def test_what_is_no_signal_is_no_table(thing):
    with pytest.raises((ValueError, TypeError), match="signal is (not )?a "):
        SiteTable(thing)


def test_whole_numbers_are_exact_or_refused(table):
    values = np.array([2**53, -(2**53), 2**53 - 1, 0])
    table.set("number", values)
    np.testing.assert_array_equal(table["number"], values)
    for value in (2**53 + 1, -(2**53) - 1, np.uint64(2**63)):
        with pytest.raises(ValueError, match=r"whole numbers beyond 2\*\*53"):
            table.set("number", np.array([value, 0, 0, 0], dtype=np.asarray(value).dtype))
    table.set("number", np.array([1e300, 0, 0, 0]))


def test_a_table_of_another_format_is_refused():
    table = SiteTable.from_columns({"x": [1.0, 2.0]})
    assert table.signal.metadata.Sites.format == 1
    table.signal.metadata.Sites.format = 2
    with pytest.raises(ValueError, match="format 2, this version of hs_rvae reads 1: install"):
        SiteTable(table.signal)
    del table.signal.metadata.Sites.format  # as tables were before formats had numbers
    assert len(SiteTable(table.signal)) == 2


@pytest.mark.parametrize("names", [3, None, ("x", 1), {"x"}])
def test_what_is_no_name_of_a_column_is_refused(table, names):
    with pytest.raises(KeyError, match="names=.*: give the name of a column, or names in a list"):
        table[names]


@pytest.mark.parametrize("name", ["", "\n"])
def test_a_bad_name_is_not_blamed_on_the_values(table, name):
    with pytest.raises(ValueError, match="name must be a line of text") as refusal:
        table.set(name, table["x"])
    assert not str(refusal.value).startswith("values")
