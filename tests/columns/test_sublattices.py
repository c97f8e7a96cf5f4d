# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding sublattices: what is found, under which name, and what is said when nothing is."""

import logging
import subprocess
import sys

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from scipy.spatial import cKDTree

import hs_rvae
from hs_rvae.columns import find_sublattices
from hs_rvae.simulation import simulate_perovskite

SHAPE = (288, 320)


@pytest.fixture(scope="module")
def crystal():
    return simulate_perovskite(SHAPE, rotation=7, random_state=0)


@pytest.fixture(scope="module")
def lattice(crystal):
    return find_sublattices(crystal[0])


def tables(lattice):
    return {s.name: s.column_table for s in lattice.sublattice_list}


# What is found ---------------------------------------------------------------


def test_both_sublattices_are_found_and_named(crystal, lattice, compare):
    result = compare(lattice, crystal[1], SHAPE)
    assert (result.A, result.B, result.wrong, result.stray) == (1, 1, 0, 0)
    # The Cramer-Rao bound at this dose is some 0.06 px for A, 0.15 px for B; jitter adds 0.1.
    assert result.rms_A < 0.15
    assert result.rms_B < 0.3


@pytest.mark.parametrize(
    "settings",
    [
        dict(rotation=45),
        dict(cell=15, shift=1.0),
        dict(dose=50),
        dict(layers=[(4, 1.0, 0.3), (3, 0.35, 0.2)], rotation=20),
        dict(layers=[(4, 1.0, 0.2), (3, 0.3, 0.7)], rotation=30),
        dict(strain=0.05),
        dict(scan_jitter=1.0),
        dict(aspect=1.4, rotation=10),
        dict(shift=5.0),
    ],
    ids=lambda settings: ", ".join(settings),
)
def test_crystals_of_all_kinds_are_found(settings, compare):
    image, truth = simulate_perovskite(SHAPE, random_state=1, **settings)
    result = compare(find_sublattices(image), truth, SHAPE)
    # Some 100 columns each: one may be missed.
    assert result.A > 0.99 and result.B > 0.98
    assert (result.wrong, result.stray) == (0, 0)


def test_faint_columns_are_found_where_the_lattice_has_a_place_for_them(compare):
    image, truth = simulate_perovskite(SHAPE, b_amplitude=0.08, random_state=2)
    lattice = find_sublattices(image)
    result = compare(lattice, truth, SHAPE)
    assert result.A == 1 and result.B > 0.97 and result.wrong == 0
    b = tables(lattice)["B"]
    assert not b.found.any() and tables(lattice)["A"].found.all()
    # About 0.4 px is the bound for so faint a column.
    assert result.rms_B < 0.9
    without = find_sublattices(image, fill_holes=False)
    assert list(tables(without)) == ["A"]


def test_a_crystal_without_b_columns_has_one_sublattice(compare, caplog):
    image, truth = simulate_perovskite(SHAPE, one_sublattice=True, random_state=3)
    with caplog.at_level(logging.INFO, "hs_rvae"):
        lattice = find_sublattices(image)
    assert list(tables(lattice)) == ["A"]
    result = compare(lattice, truth, SHAPE)
    assert (result.A, result.stray) == (1, 0)
    assert "one sublattice" in caplog.text


def test_without_noise_tails_are_not_taken_for_columns():
    """Profiles that are no Gaussians leave about 1 % of their height between the columns."""
    image = hs.data.atomic_resolution_image(size=400, spacing=0.4, pixel_size=0.015)
    found = tables(find_sublattices(image))
    assert list(found) == ["A"] and found["A"].found.all()
    # They are as high all along the rows, so that not even this makes columns of them.
    assert list(tables(find_sublattices(image, least_height=0.0))) == ["A"]


def test_vacancies_stay_empty_without_noise():
    import atomap.api as am

    image = am.dummy_data.get_simple_cubic_with_vacancies_signal()
    found = tables(find_sublattices(image))
    assert {name: len(table) for name, table in found.items()} == {"A": 397}


def test_columns_that_zigzag_by_a_quarter_of_the_cell_are_of_one_lattice():
    import atomap.api as am

    (a,) = find_sublattices(am.dummy_data.get_distorted_cubic_signal()).sublattice_list
    assert len(a.column_table) > 90


def test_many_maxima_that_fit_no_lattice_are_kept_and_warned_of(crystal, caplog):
    data = crystal[0].data.copy()
    spots = np.random.default_rng(0).uniform([205, 0], [320, 288], (90, 2))
    y, x = np.indices(SHAPE)
    data[:, 200:] = 20
    for spot in spots:
        data += 100 * np.exp(-(np.hypot(x - spot[0], y - spot[1]) ** 2) / 18)
    found = find_sublattices(data)
    assert "maxima of the image fit no lattice" in caplog.text
    assert "lattice.crystal.unassigned" in caplog.text and "find_columns" in caplog.text
    left = found.crystal.unassigned
    assert len(left) > 30 and (left.grain == -1).all() and left.x.min() > 190
    assert any("fit no lattice" in caution for caution in found.crystal.cautions)


def test_nothing_is_found_in_vacuum(compare):
    image, truth = simulate_perovskite(SHAPE, vacuum=1 / 3, random_state=4)
    lattice = find_sublattices(image)
    x = np.concatenate([table.x for table in tables(lattice).values()])
    assert x.max() < 2 / 3 * SHAPE[1] + 0.3 * truth.cell
    result = compare(lattice, truth, SHAPE)
    assert (result.A, result.B, result.wrong, result.stray) == (1, 1, 0, 0)


def test_dark_columns_are_recognised(compare):
    image, truth = simulate_perovskite(SHAPE, dark=True, random_state=5)
    found = find_sublattices(image)
    result = compare(found, truth, SHAPE)
    assert (result.A, result.B, result.wrong, result.stray) == (1, 1, 0, 0)
    a = tables(found)["A"]
    assert a.attrs["dark"]
    # Depths are positive, the background is that of the image: 1.3 - 0.2 at 150 counts.
    assert (a.amplitude[a.status == 0] > 0).all()
    assert abs(a.background.median() - 165) < 25
    told = find_sublattices(image, dark=True)
    assert tables(told)["A"].equals(a)


def test_around_a_dislocation_the_sublattices_are_kept_apart(compare):
    core = np.array([161.0, 140.0])
    image, truth = simulate_perovskite(SHAPE, dislocation=core, rotation=5, random_state=6)
    result = compare(find_sublattices(image), truth, SHAPE, core)
    assert result.A == 1 and result.B > 0.98
    assert (result.wrong, result.stray) == (0, 0)


def test_a_layer_without_contrast_does_not_change_the_names_behind_it(compare):
    layers = [(6, 1.0, 0.3), (3, 0.02, 0.02), (5, 0.3, 0.7), (3, 0.02, 0.02)]
    image, truth = simulate_perovskite((420, 300), layers=layers, rotation=4, random_state=7)
    lattice = find_sublattices(image)
    assert compare(lattice, truth, (420, 300)).wrong == 0
    a = tables(lattice)["A"]
    assert (a.grain == 0).all()
    assert len(a) > 0.9 * (truth.a_sites.amplitude > 0.1).sum()


# Places, tables, Atomap ------------------------------------------------------


def test_indices_count_cells_along_x_and_y():
    image, _ = simulate_perovskite(SHAPE, strain=0, shift=0, rotation=7, random_state=8)
    a, b = tables(find_sublattices(image)).values()
    cell = np.array(a.attrs["cell"])
    np.testing.assert_allclose(np.hypot(*cell.T), 26, atol=0.1)
    np.testing.assert_allclose(np.degrees(np.arctan2(cell[0, 1], cell[0, 0])), 7, atol=0.5)
    assert cell[1, 1] > 25
    for table, centre in ((a, 0), (b, 0.5)):
        assert not table.duplicated(["i", "j"]).any()
        expected = (table[["i", "j"]].to_numpy() + centre) @ cell
        origin = (a[["x", "y"]].to_numpy() - a[["i", "j"]].to_numpy() @ cell).mean(axis=0)
        error = np.hypot(*(table[["x", "y"]].to_numpy() - expected - origin).T)
        # Columns cut by the border may be a pixel off.
        assert np.median(error) < 0.3 and (error < 1).mean() > 0.9


def test_the_table_has_fit_errors_and_places(crystal, lattice):
    for sublattice in lattice.sublattice_list:
        table = sublattice.column_table
        assert len(table) == len(sublattice.atom_list)
        np.testing.assert_array_equal(sublattice.atom_positions, table[["x", "y"]])
        fit = {"sigma_x", "sigma_y", "rotation", "amplitude", "background", "residual", "volume"}
        assert fit | {"x_std", "y_std", "status", "found", "i", "j", "grain"} <= set(table.columns)
        assert {"start_x", "is_a", "kept"}.isdisjoint(table.columns)
        assert table.attrs["pixel_size"] == (0.015, 0.015)
        assert table.attrs["pixel_units"] == "nm"
        assert table.attrs["units"]["x"] == "px"
        assert table.attrs["consistency"] == 1
        # Brighter than the background, for columns have no holes; darker than their peaks.
        inner = table[(table.x > 12) & (table.y > 12) & (table.x < 305) & (table.y < 275)]
        assert (inner.disk_mean > inner.background).all()
        assert (inner.disk_mean < inner.background + inner.amplitude).all()
    a, b = tables(lattice).values()
    assert a.amplitude.median() > 2 * b.amplitude.median()
    assert a.disk_mean.median() > 1.5 * b.disk_mean.median()


def test_the_mean_of_the_disk_reaches_the_sites_in_units_of_the_image(crystal, lattice):
    image = crystal[0]
    table = tables(lattice)["B"]
    stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
    sites = stack.sites["x"], stack.sites["y"]
    kept = [np.hypot(table.x - x, table.y - y).argmin() for x, y in zip(*sites, strict=True)]
    np.testing.assert_array_equal(stack.sites["disk_mean"], table.disk_mean.to_numpy()[kept])
    # Dark columns: depths are positive, the mean is the image's.
    dark = hs.signals.Signal2D(1000.0 - image.data)
    mirrored = tables(find_sublattices(dark))["B"]
    np.testing.assert_allclose(mirrored.disk_mean, 1000 - table.disk_mean, atol=0.1)


@pytest.mark.slow
def test_columns_fitted_with_the_shape_held_have_a_mean():
    image, _ = simulate_perovskite((512, 512), b_amplitude=0.08, random_state=0)
    b = tables(find_sublattices(image))["B"]
    held = b[b.shape_held]
    assert len(held) > 5
    y, x = np.indices(image.data.shape)
    for column in held[held.disk_mean.notna()].itertuples():
        weight = np.hypot(x - column.x, y - column.y)
        weight = np.clip(b.attrs["disk_radius"] + 0.5 - weight, 0, 1)
        assert np.isclose(column.disk_mean, np.average(image.data, weights=weight))


def test_tail_and_disk_can_be_given(crystal):
    for table in tables(find_sublattices(crystal[0], tail=(0, 2), disk_radius=3)).values():
        assert table.attrs["tail"] == (0, 2)
        assert table.attrs["disk_radius"] == 3


def test_atomap_gets_the_raw_image_and_its_scale(crystal, lattice, capsys):
    image = crystal[0]
    for holder in (lattice, *lattice.sublattice_list):
        np.testing.assert_array_equal(holder.image, image.data)
        np.testing.assert_array_equal(holder.original_image, image.data)
        assert (holder.pixel_size, holder.units) == (0.015, "nm")
    sublattice = lattice.get_sublattice("B")
    sublattice.find_nearest_neighbors()
    marked = sublattice.get_atom_list_on_image()
    assert marked.axes_manager[0].scale == 0.015
    assert not np.shares_memory(lattice.image, image.data)
    find_sublattices(image.data - 100)
    assert capsys.readouterr().out == ""  # Atomap would print about negative values


def test_a_stack_is_made_from_the_lattice(crystal, lattice):
    stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=crystal[0], sublattice="B")
    b = tables(lattice)["B"]
    index = stack.sites["site_index"]
    np.testing.assert_array_equal(stack.sites["x"], b.x[index])
    assert len(index) > 60


# Choices ---------------------------------------------------------------------


@pytest.mark.parametrize("cell", [26, 26.0, [[26, 3], [-3, 26]], [[0, 26], [26, 0]]])
def test_the_cell_can_be_given(crystal, lattice, cell):
    given = find_sublattices(crystal[0], cell)
    for name, table in tables(given).items():
        assert abs(len(table) - len(tables(lattice)[name])) <= 2  # at the border
    assert np.array(tables(given)["A"].attrs["cell"])[0, 0] > 25


def test_the_cell_of_all_columns_makes_one_sublattice_of_them(crystal, lattice):
    one = find_sublattices(crystal[0], cell=26 / np.sqrt(2))
    assert list(tables(one)) == ["A"]
    assert abs(len(tables(one)["A"]) - sum(map(len, tables(lattice).values()))) <= 4


def test_names_and_number_of_sublattices_can_be_given(crystal, lattice):
    swapped = tables(find_sublattices(crystal[0], swap=True))
    assert list(swapped) == ["A", "B"]
    assert swapped["A"].equals(tables(lattice)["B"])
    alone = tables(find_sublattices(crystal[0], n_sublattices=1))
    assert list(alone) == ["A"]
    assert len(alone["A"]) == len(tables(lattice)["A"])


def test_choices_are_logged(crystal, caplog):
    with caplog.at_level(logging.INFO, "hs_rvae"):
        find_sublattices(crystal[0])
    for words in (
        "repeats itself", "Columns are brighter", "closer than", "the cell is larger",
        "maxima of the image", "fit no lattice", "no clear maximum", "places that hold a column",
        "Tail of the columns", "radius", "means in disks",
    ):  # fmt: skip
        assert words in caplog.text


def test_a_higher_threshold_leaves_more_to_the_lattice(crystal):
    table = tables(find_sublattices(crystal[0], threshold=0.6))
    assert table["A"].found.all()
    assert table["B"].found.mean() < 0.1
    assert len(table["B"]) > 90


# Images of all kinds ---------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "uint16", "int64", "float16", "float64", ">f4"]
)
def test_the_type_of_the_pixels_does_not_matter(crystal, lattice, dtype):
    image, _ = crystal
    values = np.minimum(image.data, 255).astype(dtype)
    for name, table in tables(find_sublattices(values)).items():
        expected = tables(lattice)[name]
        assert len(table) == len(expected)
        np.testing.assert_allclose(table[["x", "y"]], expected[["x", "y"]], atol=0.02)


@pytest.mark.parametrize("change", ["offset", "negative", "tiny", "huge"])
def test_offset_and_scale_of_the_pixels_do_not_matter(crystal, lattice, change):
    data = crystal[0].data.astype(np.float64)
    values = {
        "offset": data + 1e6, "negative": data - 1000, "tiny": data * 1e-15, "huge": data * 1e30
    }[change]  # fmt: skip
    for name, table in tables(find_sublattices(values)).items():
        expected = tables(lattice)[name]
        assert len(table) == len(expected)
        # The tail of the columns is estimated to two or three digits.
        np.testing.assert_allclose(table[["x", "y"]], expected[["x", "y"]], atol=0.1)


def test_lazy_images_and_plain_arrays_are_accepted(crystal, lattice):
    data = crystal[0].data
    for image in (
        crystal[0].as_lazy(),
        da.from_array(data, chunks=100),
        data,
        np.asfortranarray(data),
    ):
        found = tables(find_sublattices(image))
        for name, table in tables(lattice).items():
            np.testing.assert_array_equal(found[name][["x", "y"]], table[["x", "y"]])


def test_where_pixels_are_not_finite_nothing_is_found_and_all_else_is(crystal, lattice):
    data = crystal[0].data.copy()
    data[100:180, 60:150] = np.nan
    data[:, 250:253] = np.inf
    data[33, 200] = np.nan
    hidden = ~np.isfinite(data)
    for name, table in tables(find_sublattices(data)).items():
        x, y = np.round(table[["x", "y"]].to_numpy()).astype(int).T
        assert not hidden[y, x].any()
        expected = tables(lattice)[name][["x", "y"]].to_numpy()
        rows = np.clip(np.round(expected[:, 1]).astype(int)[:, None] + np.arange(-8, 9), 0, 287)
        columns = np.clip(np.round(expected[:, 0]).astype(int)[:, None] + np.arange(-8, 9), 0, 319)
        clear = ~hidden[rows[:, :, None], columns[:, None]].any(axis=(1, 2))
        distance = np.linalg.norm(expected[clear][:, None] - table[["x", "y"]].to_numpy(), axis=2)
        assert distance.min(axis=1).max() < 0.3


def _with_bar(image, background, kind="array"):
    """A picture in grey values, as a program exports it: a data bar with lettering below."""
    grey = np.round(255 * image.data / image.data.max()).astype(np.uint8)
    bar = np.full((40, grey.shape[1]), background, np.uint8)
    bar[12:30, 20:120:7] = 255 - background
    picture = hs.signals.Signal2D(np.vstack([grey, bar]))
    series = hs.stack([picture, hs.signals.Signal2D(np.vstack([bar, grey]))])
    return {"array": picture.data, "lazy": picture.as_lazy(), "series": series}[kind]


@pytest.fixture(scope="module")
def clean(crystal):
    """What is found in the picture without a bar."""
    data = crystal[0].data
    return find_sublattices(np.round(255 * data / data.max()).astype(np.uint8))


@pytest.mark.slow
@pytest.mark.parametrize("background", [0, 255])
@pytest.mark.parametrize("kind", ["array", "lazy", "series"])
def test_no_columns_are_found_in_a_data_bar_and_all_others_are(
    background, kind, crystal, clean, caplog
):
    image, rows = crystal[0], SHAPE[0]
    found = find_sublattices(_with_bar(image, background, kind))
    frames = found if kind == "series" else [found]
    for frame, top in zip(frames, (0, 40), strict=False):
        for one, other in zip(frame.sublattice_list, clean.sublattice_list, strict=True):
            table, inner = one.column_table, other.column_table
            assert table.y.min() > top - 1 and table.y.max() < rows + top
            far = inner[np.minimum(inner.y, rows - inner.y) > 30]
            distance = cKDTree(table[["x", "y"]] - [0, top]).query(far[["x", "y"]])[0]
            assert distance.max() < 0.2  # of the 8 bits and the tail, which all columns share
            assert abs(len(table) - len(inner)) <= 3
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    crop = f"40:{rows}" if kind == "series" else f":{rows}"
    assert f"image.isig[:, {crop}]" in record.getMessage()
    assert ("2 of 2 frames" in record.getMessage()) == (kind == "series")


def test_the_remedy_for_cells_of_a_few_pixels_works():
    y, x = np.mgrid[:120, :120]
    dots = 10.0 + 300 * np.exp(
        -(((x - 1.3 + 2.5) % 5 - 2.5) ** 2 + ((y - 1.3 + 2.5) % 5 - 2.5) ** 2) / 2 / 0.9**2
    )
    image = np.random.default_rng(0).poisson(dots)
    with pytest.raises(ValueError, match=r"columns are only 4.\d* px apart.*Pass radius=2"):
        find_sublattices(image)
    (a,) = find_sublattices(image, radius=2).sublattice_list
    assert len(a.column_table) == 24 * 24
    assert np.abs((a.column_table.x - 1.3 + 2.5) % 5 - 2.5).median() < 0.06


def test_specks_and_saturated_peaks_do_no_harm(crystal, compare):
    data = crystal[0].data.copy()
    data[50, 60], data[200, 300] = 1e5, 1e7
    result = compare(find_sublattices(data), crystal[1], SHAPE)
    assert result.A > 0.99 and result.B > 0.98 and result.wrong == 0
    # A columns are cut at half their height, hardly above B, which keeps its name all the same.
    result = compare(find_sublattices(np.minimum(crystal[0].data, 90)), crystal[1], SHAPE)
    assert (result.A, result.B, result.wrong) == (1, 1, 0)


def test_pixels_that_are_not_square_keep_both_scales(crystal, lattice, caplog):
    image = hs.signals.Signal2D(crystal[0].data[:, ::2])
    for axis, scale in zip(image.axes_manager.signal_axes, (0.03, 0.015), strict=True):
        axis.scale, axis.units = scale, "nm"
    found = tables(find_sublattices(image))
    assert "not square" in caplog.text
    for name, table in found.items():
        assert table.attrs["pixel_size"] == (0.03, 0.015)
        assert abs(len(table) - len(tables(lattice)[name])) <= 3
    nm = np.array(found["A"].attrs["cell"]) * (0.03, 0.015)
    np.testing.assert_allclose(np.hypot(*nm.T), 26 * 0.015, rtol=0.01)


# Bad input -------------------------------------------------------------------

_RNG = np.random.default_rng(9)
_STRIPES = np.sin(np.arange(200) / 4) + 0.1 * _RNG.normal(size=(200, 200))


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((0, 100)), ValueError, r"image is empty: its shape is \(0, 100\)"),
        (np.full((64, 64), 7), ValueError, r"image is constant \(7\)"),
        (np.full((64, 64), np.nan), ValueError, "no finite pixel"),
        (_RNG.normal(size=(10, 300)), ValueError, r"300 x 10 px\) is too small to hold two cells"),
        (
            _RNG.poisson(20, (200, 200)),
            ValueError,
            "No lattice was found in the image. Crop .*cell=.*band-passes tried",
        ),
        (_STRIPES, ValueError, "No lattice was found|do not form a lattice"),
        (np.ones((3, 64, 64)), ValueError, r"image has 3 dimensions"),
        ([hs.signals.Signal2D(np.ones((64, 64)))] * 2, TypeError, r"list of 2 signals.*image\[0\]"),
        (hs_rvae.SubImageStack(np.ones((3, 9, 9))), TypeError, "the image that they were cut from"),
        (np.ones((64, 64), complex), TypeError, "image is complex.*real part"),
        (np.full((64, 64), "a"), TypeError, "image has the dtype <U1"),
        (hs.signals.Signal2D(np.ones((3, 64, 64))), ValueError, "frame 0: image is constant"),
        (hs.signals.Signal2D(np.ones((2, 3, 64, 64))), ValueError, r"axes \(3, 2\).*inav"),
        (hs.signals.Signal1D(np.ones(64)), ValueError, r"image has the axes \( \| 64\)"),
    ],
)
def test_images_without_a_crystal_are_refused(image, error, message):
    with pytest.raises(error, match=message):
        find_sublattices(image)


def test_an_image_smaller_than_two_cells_is_refused(crystal):
    data = crystal[0].data[:44, :44]
    with pytest.raises(ValueError, match="No lattice was found.*two cells each way"):
        find_sublattices(data)
    with pytest.raises(ValueError, match=r"44 x 44 px\) is smaller than two cells"):
        find_sublattices(data, cell=[[26, 0], [0, 26]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(cell=33), "cell=33 px does not fit the lattice.*edges of 18.* or 2[56]"),
        (dict(cell=[[26, 0], [52, 0]]), "must not be parallel"),
        (dict(cell="wide"), "cell must be a length or two vectors.*not 'wide'"),
        (dict(cell=[1, 2, 3]), "cell must be a length or two vectors"),
        (dict(cell=np.nan), "cell must be a length or two vectors"),
        (dict(cell=0), "cell must be a length or two vectors"),
        (dict(cell=-26), "cell must be a length or two vectors.*not -26"),
        (dict(n_sublattices=0), "n_sublattices"),
        (dict(n_sublattices=3), "n_sublattices=3, but no column stands out"),
        (dict(threshold=50), "do not form a lattice.*lower threshold"),
        (dict(background="cubic"), "background='cubic' is unknown"),
    ],
)
def test_impossible_options_are_refused(crystal, options, message):
    with pytest.raises(ValueError, match=message):
        find_sublattices(crystal[0], **options)


def test_a_second_sublattice_cannot_be_forced_out_of_nothing():
    image, _ = simulate_perovskite(SHAPE, one_sublattice=True, random_state=3)
    with pytest.raises(ValueError, match="n_sublattices=2, but no column stands out"):
        find_sublattices(image, n_sublattices=2, significance=8)


def test_axes_with_different_units_are_refused(crystal):
    image = crystal[0].deepcopy()
    image.axes_manager[0].units = "mm"
    with pytest.raises(ValueError, match="different units.*Convert y"):
        find_sublattices(image)


# Shipped and real images ------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "pto_ac",
        "sto_null",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("bfo_lsmo", "pto_sto_vortex")),
    ],
)
def test_every_column_of_a_multislice_image_is_found_in_its_sublattice(name):
    image, truth = getattr(hs_rvae.data, name)()
    size = image.data.shape[0]
    for table, true in zip(
        tables(find_sublattices(image)).values(), (truth["a_xy"], truth["b_xy"]), strict=True
    ):
        inner = true[((true > 15) & (true < size - 15)).all(axis=1)]
        distance, _ = cKDTree(table[["x", "y"]]).query(inner)
        assert (distance < 2).mean() > 0.999
        # The Ti column of pto_ac is elongated by its oxygen; elsewhere 0.3 px at most.
        assert np.median(distance) < 0.5
        stray, _ = cKDTree(true).query(table[["x", "y"]])
        assert (stray < 3).all()


def test_the_whole_superlattice_is_found(pto_sro):
    """PbTiO3/SrRuO3: the contrast of A and B all but vanishes in the ruthenate."""
    a, b = tables(find_sublattices(pto_sro)).values()
    # A counts 490 columns; of B, some 25 are cut by the border and may be missed.
    assert abs(len(a) - 490) <= 8 and 455 <= len(b) <= 490
    assert a.attrs["consistency"] == 1
    for table in (a, b):
        assert (table.grain == 0).all()
        inner = table[table.y.between(10, 213)]
        counts = np.histogram(inner.x, bins=8, range=(0, 1312))[0]
        # 164 px hold 6 or 7 cells, and rows slant out of the strip: 6/7 of 8/9 at least.
        assert counts.min() > 0.75 * counts.max()


def test_alternating_shifts_do_not_confuse_the_lattice(dysco3):
    known, shift = hs_rvae.data.dysco3_positions()
    a = tables(find_sublattices(dysco3))["A"]
    inner = ((known > 60) & (known < 960)).all(axis=1) & (np.hypot(*shift.T) < 6)
    distance = np.linalg.norm(known[inner][:, None] - a[["x", "y"]].to_numpy(), axis=2)
    assert (distance.min(axis=1) < 2.5).mean() > 0.99
    nearest = a.iloc[distance.argmin(axis=1)]
    # Columns of one line, x, shift to the same side, and those of the next line to the other.
    up = (shift[inner][:, 1] > 0).astype(int)
    lines = nearest.i.to_numpy() % 2
    assert max((lines == up).mean(), (lines != up).mean()) > 0.97


@pytest.mark.slow
def test_multislice_columns_are_where_they_were_put():
    image, truth = hs_rvae.data.bfo_multislice()
    a, b = tables(find_sublattices(image)).values()
    true = truth["cell_centre_xy_warped"] + truth["B_shift_angstrom_xy"] / truth["px_angstrom"]
    inner = ((true > 20) & (true < 940)).all(axis=1)
    distance = np.linalg.norm(true[inner][:, None] - b[["x", "y"]].to_numpy(), axis=2).min(axis=1)
    assert (distance < 2).mean() > 0.999
    assert np.median(distance) < 0.3
    assert len(a) > 2200


# Cost ------------------------------------------------------------------------


@pytest.mark.slow
def test_atomap_is_imported_only_when_it_is_needed():
    code = "import sys, hs_rvae.columns; print('atomap' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
