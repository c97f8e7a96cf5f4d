# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns, defects and boundaries are in the image where the truth has them."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import cKDTree

from hs_rvae.simulation import ProjectedStructure, simulate_crystal, simulate_perovskite
from hs_rvae.simulation.structures import STRUCTURES, imaged_basis

PERFECT = dict(
    dose=np.inf, strain=0.0, disorder=0.0, scan_jitter=0.0, random_composition=0.0,
    thickness_gradient=0.0, random_state=0,
)  # fmt: skip


def xy_of(table):
    return table[["x", "y"]].to_numpy()


def values_at(image, table):
    """Intensities at the pixels nearest to columns."""
    x, y = np.round(xy_of(table)).astype(int).T
    return image.data[y, x]


def maxima(image, spacing):
    """Brightest pixels within half the distance of nearest columns, (x, y)."""
    smooth = gaussian_filter(image.data.astype(float), 1.0)
    peak = smooth == maximum_filter(smooth, int(0.8 * spacing) | 1)
    return np.argwhere(peak & (smooth > smooth.min() + 0.1 * np.ptp(smooth)))[:, ::-1]


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize("name", STRUCTURES)
def test_every_column_is_a_maximum_and_every_maximum_a_column(name, light):
    image, truth = simulate_crystal(
        (240, 200),
        name,
        spacing=16,
        rotation=12,
        light_elements=light,
        column_width=0.14,
        **PERFECT,
    )
    xy, peaks = xy_of(truth.columns), maxima(image, 16)
    inner = ((xy > 4) & (xy < np.array([195, 235]))).all(axis=1)
    assert cKDTree(peaks).query(xy[inner])[0].max() < 1.6
    inner = ((peaks > 4) & (peaks < np.array([195, 235]))).all(axis=1)
    assert cKDTree(xy).query(peaks[inner])[0].max() < 1.6
    assert abs(cKDTree(xy).query(xy, k=2)[0][:, 1].min() - 16) < 1e-6


@pytest.mark.parametrize("name", STRUCTURES)
def test_counts_names_and_heights_follow_from_the_structure(name):
    _, truth = simulate_crystal((300, 340), name, spacing=12, light_elements=True, **PERFECT)
    columns, (cell,) = truth.columns, truth.cells
    places = STRUCTURES[name].basis
    expected = 300 * 340 * len(places) / abs(np.linalg.det(cell))
    assert abs(len(columns) / expected - 1) < 0.07
    for place, group in columns.groupby("place"):
        assert set(group["name"]) == {places[place][2]}
        assert group["amplitude"].nunique() == 1
        fraction = (xy_of(group) - xy_of(group)[0]) @ np.linalg.inv(cell)
        np.testing.assert_allclose(fraction, np.round(fraction), atol=1e-6)
        np.testing.assert_array_equal(
            np.round(fraction), group[["i", "j"]] - group[["i", "j"]].iloc[0]
        )
    assert columns["amplitude"].max() == 1
    assert (columns.groupby("kind")["name"].nunique() == 1).all()
    assert (columns["grain"] == 0).all() and len(truth.missing) == len(truth.defects) == 0


def test_the_image_is_calibrated_by_the_crystal():
    image, truth = simulate_crystal((100, 140), "graphene", spacing=20, random_state=0)
    axis = image.axes_manager.signal_axes[0]
    assert image.data.shape == (100, 140) and axis.units == "nm"
    assert image.metadata.General.title == "Simulated graphene"
    np.testing.assert_allclose(20 * axis.scale, 0.246 / np.sqrt(3))
    np.testing.assert_allclose(np.linalg.norm(truth.cells[0], axis=1) * axis.scale, 0.246)


def test_rotation_goes_from_x_towards_y():
    _, truth = simulate_crystal((100, 100), spacing=20, rotation=10, **PERFECT)
    first, second = truth.cells[0]
    assert abs(np.degrees(np.arctan2(first[1], first[0])) - 10) < 1e-9
    assert abs(np.degrees(np.arctan2(second[1], second[0])) - 100) < 1e-9


def test_the_kinds_are_places_that_a_shift_or_turn_maps_on_each_other():
    kinds = {name: list(imaged_basis(one, True).kinds()) for name, one in STRUCTURES.items()}
    assert kinds["perovskite [001]"] == [0, 1, 2, 2]
    assert kinds["fluorite [110]"] == [0, 1, 1, 0, 1, 1]
    assert kinds["wurtzite [11-20]"] == [0, 0, 1, 1]
    assert kinds["zinc blende [110]"] == [0, 1, 0, 1]
    assert kinds["graphene"] == [0, 0] and kinds["1H layer"] == [0, 1]
    assert kinds["1T layer"] == [0, 1, 1]
    assert kinds["hexagonal manganite [110]"] == [0, 1, 1, 2, 3, 3]
    assert list(imaged_basis(STRUCTURES["hexagonal manganite [110]"]).kinds(0.3)) == [
        0,
        0,
        0,
        1,
        1,
        1,
    ]
    bronze = imaged_basis(STRUCTURES["tungsten bronze [001]"])
    assert np.bincount(bronze.kinds()).tolist() == [2, 4, 2, 8]


def test_oxygen_is_imaged_where_light_elements_are():
    heavy, light = (
        simulate_crystal((200, 200), light_elements=one, **PERFECT)[1].columns
        for one in (False, True)
    )
    assert set(heavy["name"]) == {"Sr", "Ti/O"} and set(light["name"]) == {"Sr", "Ti/O", "O"}
    assert light.groupby("name")["amplitude"].first()["O"] < 0.4


def test_dark_columns_are_dark():
    image, truth = simulate_crystal(
        (200, 200), "1T layer", light_elements=True, dark=True, **PERFECT
    )
    assert values_at(image, truth.columns).max() < np.median(image.data)
    assert image.data.min() > 0.02  # nothing is cut off


def test_a_structure_of_ones_own():
    structure = ProjectedStructure([(0.4, 0.0), (0.1, 0.5)], [(0, 0, 2.0), (0.5, 0.5, 0.5)])
    image, truth = simulate_crystal((150, 150), structure, **PERFECT)
    heights = truth.columns.groupby("name")["amplitude"].unique()
    assert heights["2"] == [1.0] and heights["0.5"] == [0.25]
    bright = values_at(image, truth.columns[truth.columns["name"] == "2"])
    faint = values_at(image, truth.columns[truth.columns["name"] == "0.5"])
    assert bright.min() > 0.9 and faint.max() < 0.6
    assert image.metadata.General.title == "Simulated crystal"


@pytest.mark.parametrize("name", ["perovskite [001]", "1H layer", "graphene"])
def test_vacancies_are_empty_and_substitutions_have_their_ratio(name):
    image, truth = simulate_crystal(
        (300, 300), name, vacancies=0.02, substitutions=0.03, substitution_ratio=0.5, **PERFECT
    )
    whole, complete = simulate_crystal((300, 300), name, **PERFECT)
    assert len(truth.missing) == round(0.02 * len(complete.columns))
    assert len(truth.columns) + len(truth.missing) == len(complete.columns)
    changed = truth.columns[truth.columns["ratio"] != 1]
    assert len(changed) == round(0.03 * len(complete.columns))
    base = {
        kind: row["amplitude"] for kind, row in complete.columns.groupby("name").first().iterrows()
    }
    rest = truth.missing["name"].map(base)
    lost = values_at(whole, truth.missing) - values_at(image, truth.missing)
    assert (lost > 0.85 * rest).all()
    np.testing.assert_allclose(changed["amplitude"], 0.5 * changed["name"].map(base))
    lost = values_at(whole, changed) - values_at(image, changed)
    assert (lost > 0.4 * changed["name"].map(base)).all()
    assert cKDTree(xy_of(truth.columns)).query(xy_of(truth.missing))[0].min() > 15.9
    same = whole.data == image.data
    far = cKDTree(xy_of(truth.defects)).query(xy_of(truth.columns))[0] > 45
    assert far.any() and values_at(_as(image, same), truth.columns[far]).all()


def _as(image, data):
    other = image.deepcopy()
    other.data = data
    return other


def test_the_table_of_defects_lists_all_of_them():
    _, truth = simulate_crystal(
        (300, 300), "1H layer", vacancies=0.02, substitutions=0.01, substitution_ratio=1.3,
        interstitials=0.01, defect_names=["S2"], random_state=1,
    )  # fmt: skip
    counts = truth.defects.groupby("defect").size()
    total = len(truth.columns) + len(truth.missing) - counts["interstitial"]
    assert counts["vacancy"] == round(0.02 * total)
    assert counts["substitution"] == counts["interstitial"] == round(0.01 * total)
    assert set(truth.defects["name"]) == {"S2", "interstitial"}
    ratios = truth.defects.loc[truth.defects["defect"] == "substitution", "ratio"]
    assert (ratios == 1.3).all()
    assert truth.defects.loc[truth.defects["defect"] != "substitution", "ratio"].isna().all()


def test_interstitials_stand_in_gaps():
    image, truth = simulate_crystal((300, 300), "graphene", interstitials=0.03, **PERFECT)
    extra = truth.columns[truth.columns["place"] == -1]
    others = truth.columns[truth.columns["place"] >= 0]
    assert len(extra) == round(0.03 * len(others))
    apart, _ = cKDTree(xy_of(others)).query(xy_of(extra))
    np.testing.assert_allclose(apart, 16, atol=0.4)
    assert values_at(image, extra).min() > 0.6
    assert (extra["grain"] == -1).all() and (extra["kind"] == -1).all()


def test_an_antiphase_boundary_shifts_the_second_half():
    image, truth = simulate_crystal((300, 300), antiphase=(0.5, 0.5), **PERFECT)
    columns = truth.columns
    left, right = (columns[columns["grain"] == grain] for grain in (0, 1))
    assert left["x"].max() <= 149.5 + 0.51 and right["x"].min() >= 149.5
    cell = np.linalg.inv(truth.cells[0])
    corner = xy_of(left[left["name"] == "Sr"])[0]
    beyond = (xy_of(right[right["name"] == "Sr"]) - corner) @ cell % 1
    np.testing.assert_allclose(beyond, 0.5, atol=1e-6)
    assert values_at(image, columns[columns["name"] == "Sr"]).min() > 0.95
    np.testing.assert_allclose(columns["boundary_distance"], np.abs(columns["x"] - 150), atol=1e-9)


def test_a_grain_boundary_turns_the_second_grain():
    image, truth = simulate_crystal(
        (300, 300), "graphene", grain_angle=17, boundary=(120, 150, 60), rotation=5, **PERFECT
    )
    angles = [np.degrees(np.arctan2(*cell[0, ::-1])) for cell in truth.cells]
    np.testing.assert_allclose(angles, [5, 22])
    side = (truth.columns["x"] - 120) * np.sin(np.pi / 3) - (truth.columns["y"] - 150) * 0.5
    np.testing.assert_array_equal(side >= 0, truth.columns["grain"] == 1)
    np.testing.assert_allclose(np.abs(side), truth.columns["boundary_distance"])
    xy = xy_of(truth.columns)
    nearest = cKDTree(xy).query(xy, k=2)[0][:, 1]
    assert nearest.min() > 0.75 * 16
    inner = truth.columns["boundary_distance"] > 32
    assert (np.abs(nearest[inner & (xy > 16).all(1) & (xy < 284).all(1)] - 16) < 1e-6).all()
    assert values_at(image, truth.columns).min() > 0.95


def test_a_second_phase_has_places_and_kinds_of_its_own():
    _, truth = simulate_crystal((300, 300), "1H layer", second_phase="1T layer", **PERFECT)
    first, second = (truth.columns[truth.columns["grain"] == grain] for grain in (0, 1))
    assert set(first["place"]) == {0, 1} and set(second["place"]) == {2, 3, 4}
    assert set(first["kind"]) == {0, 1} and set(second["kind"]) == {2, 3}
    assert set(first["name"]) == {"Mo", "S2"} and set(second["name"]) == {"Mo", "S"}
    lengths = [np.linalg.norm(cell[0]) for cell in truth.cells]
    np.testing.assert_allclose(lengths[1] / lengths[0], 0.318 / 0.316)


@pytest.mark.parametrize("zoom", [2, 3, 2.5])
def test_an_enlarged_image_repeats_pixels(zoom):
    image, truth = simulate_crystal((240, 200), zoom=zoom, spacing=30, **PERFECT)
    assert image.data.shape == (240, 200)
    if zoom == int(zoom):
        small = image.data[::zoom, ::zoom]
        np.testing.assert_array_equal(np.kron(small, np.ones((zoom, zoom)))[:240, :200], image.data)
    rows = (np.diff(image.data, axis=0) != 0).any(axis=1).sum()
    assert rows == np.ceil(240 / zoom) - 1
    weight = gaussian_filter(image.data.astype(float), 3)
    inner = truth.columns[truth.columns["name"] == "Sr"]
    inner = inner[inner["x"].between(20, 180) & inner["y"].between(20, 220)]
    for x, y in xy_of(inner):
        box = np.s_[round(y) - 15 : round(y) + 16, round(x) - 15 : round(x) + 16]
        peak = np.argwhere(weight[box] > weight[box].max() - 0.02).mean(axis=0)
        assert np.hypot(peak[1] + round(x) - 15 - x, peak[0] + round(y) - 15 - y) < 1.0


def test_a_data_bar_is_constant_and_hides_columns():
    image, truth = simulate_crystal((200, 200), data_bar=40, random_state=0)
    assert (image.data[160:] == 0).all() and (image.data[159] > 0).any()
    assert truth.columns["y"].max() <= 159


def test_contamination_adds_smooth_blobs():
    plain, dirty = (
        simulate_crystal((256, 256), contamination=one, **PERFECT)[0].data for one in (0.0, 0.6)
    )
    blobs = dirty - plain
    assert 0.3 < blobs.max() <= 0.6 + 1e-6 and blobs.min() > -1e-6
    assert (np.abs(blobs) < 1e-6).mean() > 0.25
    assert np.abs(np.diff(blobs, axis=0)).max() < 0.05


def test_the_ramp_changes_heights_from_left_to_right():
    _, truth = simulate_crystal((200, 400), "graphene", **PERFECT | dict(thickness_gradient=0.4))
    expected = 1 + 0.4 * (truth.columns["x"] / 400 - 0.5)
    np.testing.assert_allclose(truth.columns["amplitude"], expected)


def test_strain_disorder_and_composition_have_their_size():
    settings = PERFECT | dict(random_composition=0.05, disorder=0.3)
    _, truth = simulate_crystal((600, 600), "graphene", **settings)
    assert abs(truth.columns["amplitude"].std() / 0.05 - 1) < 0.1
    _, perfect = simulate_crystal((600, 600), "graphene", **PERFECT)
    apart, _ = cKDTree(xy_of(perfect.columns)).query(xy_of(truth.columns))
    assert abs(np.sqrt((apart**2).mean()) / (0.3 * np.sqrt(2)) - 1) < 0.1
    _, strained = simulate_crystal((600, 600), "graphene", **PERFECT | dict(strain=0.01))
    xy = xy_of(strained.columns)
    nearest = cKDTree(xy).query(xy, k=2)[0][:, 1]
    assert 0.3 < np.std(nearest[((xy > 20) & (xy < 580)).all(1)] / 16) / 0.01 < 3


def test_counts_follow_the_dose_and_the_background():
    image, truth = simulate_crystal(
        (300, 300), "graphene", dose=200, background=0.5, random_state=0
    )
    assert abs(values_at(image, truth.columns).mean() / (200 * 1.5) - 1) < 0.05
    assert (image.data == np.round(image.data)).all()


def test_a_state_repeats_the_image_and_others_do_not():
    settings = dict(shape=(120, 120), structure="1H layer", vacancies=0.03)
    one, two, other = (simulate_crystal(random_state=s, **settings) for s in (0, 0, 1))
    assert np.array_equal(one[0].data, two[0].data)
    assert one[1].columns.equals(two[1].columns) and one[1].missing.equals(two[1].missing)
    assert not np.array_equal(one[0].data, other[0].data)


def test_a_single_perovskite_is_that_of_the_other_simulator():
    """The same chain of imaging: height and width of a column agree."""
    image, truth = simulate_crystal(
        (200, 200), spacing=24 / np.sqrt(2), column_width=0.11 * np.sqrt(2), **PERFECT
    )
    film, sites = simulate_perovskite(
        (200, 200), cell=24.0, shift=0, tilt=0, strain=0, disorder=0, chemistry=0, scan_jitter=0,
        random_composition=0, thickness_gradient=0, b_amplitude=0.466, dose=np.inf, random_state=0,
    )  # fmt: skip
    bright = values_at(image, truth.columns[truth.columns["name"] == "Sr"])
    np.testing.assert_allclose(bright.max(), values_at(film, sites.a_sites).max(), rtol=0.02)
    np.testing.assert_allclose(image.data.mean(), film.data.mean(), rtol=0.02)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            dict(structure="perovskit"),
            "structure='perovskit': give a ProjectedStructure, or one of",
        ),
        (dict(second_phase="1H"), "structure='1H'"),
        (dict(spacing=1.0), "spacing=1.0: give a number from 2 to"),
        (dict(spacing="16"), "spacing='16'"),
        (dict(rotation=np.nan), "rotation=nan"),
        (dict(dose=0), "dose=0: give a positive number"),
        (dict(dose=True), "dose=True"),
        (dict(vacancies=1.2), "vacancies=1.2"),
        (dict(vacancies=0.6, substitutions=0.6), "more than all columns"),
        (dict(defect_names=["O"]), r"defect_names=\['O'\]: give some of Sr, Ti/O, in a list"),
        (dict(defect_names="Sr"), "in a list"),
        (dict(antiphase=0.5), "antiphase=0.5: give two numbers"),
        (dict(grain_angle="a"), "grain_angle='a'"),
        (dict(boundary=(10, 10, 90)), "give antiphase, grain_angle or second_phase as well"),
        (dict(grain_angle=5, boundary=(10, 10)), r"boundary=\(10, 10\): give \(x, y, direction\)"),
        (dict(scan_jitter=9.0), "scan_jitter=9.0: give px, from 0 to half the spacing, 8"),
        (dict(data_bar=1.5), "data_bar=1.5"),
        (dict(zoom=0.5), "zoom=0.5"),
        (dict(shape=(10,)), r"shape=\(10,\)"),
    ],
)
def test_settings_that_make_no_image_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        simulate_crystal(**dict(shape=(64, 64)) | settings)


@pytest.mark.parametrize(
    ("cell", "basis", "message"),
    [
        ([(1, 0), (2, 0)], [(0, 0, "C")], "not parallel"),
        ([(1, 0)], [(0, 0, "C")], "two vectors"),
        ([(1, 0), (0, 1)], [], "basis is empty"),
        ([(1, 0), (0, 1)], [(0, 0)], r"\(u, v, elements or height\)"),
        ([(1, 0), (0, 1)], [(0, 0, "Xx")], "'Xx': give elements"),
        ([(1, 0), (0, 1)], [(0, 0, "S-2")], "'S-2': give elements"),
        ([(1, 0), (0, 1)], [(0, 0, 0.0)], "a height above 0"),
    ],
)
def test_structures_that_are_none_are_refused(cell, basis, message):
    with pytest.raises(ValueError, match=message):
        ProjectedStructure(cell, basis)
