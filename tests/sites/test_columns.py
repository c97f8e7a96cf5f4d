# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The register of columns: what it says, that it is complete, and that the guide repeats it."""

import re
from pathlib import Path

import numpy as np
import pytest

import hs_rvae
from hs_rvae.sites import columns

GUIDE = Path(hs_rvae.__file__).parents[1] / "docs" / "user_guide" / "sites.rst"


@pytest.fixture(autouse=True)
def no_columns_of_other_tests(monkeypatch):
    monkeypatch.setattr(columns, "_registered", {})


def as_list_table():
    """The register as the rows of the table in the guide."""
    lines = []
    for row in columns.COLUMNS:
        names = [f"``{name.replace('#', '0')}``" for name in row.names.split()]
        more = " ..." * ("#" in row.names)
        unit = "pm" if row.unit == "length" else row.unit
        lines += [f"   * - {', '.join(names)}{more}", f"     - {unit}".rstrip()]
        lines += [f"     - {row.meaning}"]
    return "\n".join(lines)


@pytest.mark.skipif(not GUIDE.exists(), reason="needs the source tree")
def test_the_guide_lists_the_columns_of_the_register():
    wanted = as_list_table()
    assert wanted in GUIDE.read_text(encoding="utf-8"), f"put this into {GUIDE.name}:\n{wanted}"


def test_each_column_has_one_row_a_writer_and_a_meaning():
    names = [name for row in columns.COLUMNS for name in row.names.split()]
    for name in names:
        found = [row for row in columns.COLUMNS if row.matches(name.replace("#", "3"))]
        assert len(found) == 1, name
    for row in columns.COLUMNS:
        assert row.kind in columns.KINDS and row.writer in columns.WRITERS
        assert row.meaning and not row.meaning.endswith(".")


@pytest.mark.parametrize(
    ("name", "unit", "kind"),
    [
        ("angle", "rad", "angle"),
        ("angle", "", "angle"),
        ("angle", "deg", "angle"),
        ("angle_std", "rad", "amplitude"),
        ("rotation", "rad", "angle"),
        ("cell_angle", "rad", "amplitude"),
        ("variant_residual", "rad", "signed"),
        ("latent_12", "", "signed"),
        ("shift_x_calibrated", "nm", "signed"),
        ("direction", "rad", "angle"),
        ("direction", "deg", "angle"),
        ("direction", "°", "angle"),
        ("direction", "", ""),
        ("direction_std", "rad", "amplitude"),
        ("direction_error", "deg", "amplitude"),
        ("well_residual", "rad", "signed"),
        ("lean", "mrad", ""),
        ("angle", "px", ""),
    ],
)
def test_a_column_is_what_its_name_and_unit_say(name, unit, kind):
    assert columns.kind(name, unit) == kind


def test_the_axis_of_an_ellipse_is_the_same_after_half_a_turn():
    assert columns.period("rotation", "rad") == np.pi
    assert columns.period("direction", "deg") == 2 * np.pi
    assert columns.period("angle_std", "rad") is None


@pytest.mark.parametrize(
    ("name", "unit", "label"),
    [
        ("angle", "rad", "Angle (°)"),
        ("angle_std", "rad", "Angle, standard deviation (°)"),
        ("displacement_x_calibrated", "pm", "Displacement x (pm)"),
        ("order_amplitude", "", "Order amplitude"),
        ("x", "px", "x (px)"),
        ("latent_0", "", "Latent 0"),
        ("tsne_1", "", "t-SNE 1"),
        ("my strain", "%", "my strain (%)"),
        ("direction", "deg", "direction (°)"),
    ],
)
def test_figures_print_the_name_and_the_unit(name, unit, label):
    assert columns.label(name, unit) == label


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("latent_3", "stack.rvae() or"),
        ("variant", "stack.assign_variants()"),
        ("nmf_1", "stack.decomposition()"),
        ("track", "stack.link_frames()"),
        ("displacement", "neighbours="),
        ("displacement_calibrated", "neighbours="),
        ("volume", "find_sublattices"),
    ],
)
def test_the_call_that_writes_a_column_is_named(name, call):
    assert call in columns.call_for(name)
    table = hs_rvae.SiteTable.from_columns({"x": [1.0]})
    with pytest.raises(KeyError, match=re.escape(call)):
        table[name]


def test_users_describe_columns_of_their_own():
    columns.register("easy_axis", "angle", unit="rad", period=np.pi, title="Easy axis")
    columns.register("tilt_# roll", "signed", unit="mrad")
    assert columns.period("easy_axis", "rad") == np.pi
    assert columns.label("easy_axis", "rad") == "Easy axis (°)"
    assert columns.kind("tilt_7", "rad") == columns.kind("roll", "") == "signed"
    table = hs_rvae.SiteTable.from_columns({"x": [1.0, 2.0]})
    table["roll"] = [0.1, -0.1]
    assert table.units["roll"] == "mrad"
    columns.register("easy_axis", "amplitude")  # again, as when a cell of a notebook is repeated
    assert columns.kind("easy_axis", "rad") == "amplitude"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("strain", "colour"), "kind='colour': take one of 'angle'"),
        (("strain latent_3", "signed"), "latent_3 is a column of the package"),
        (("latent_#", "signed"), "latent_# is a column of the package"),
        ((" ", "signed"), "names=' ': give the name"),
    ],
)
def test_a_description_that_cannot_be_used_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        columns.register(*arguments)
    with pytest.raises(ValueError, match="period=1.0: give 2 pi by a whole number"):
        columns.register("axis", "angle", period=1.0)
    assert columns._registered == {}


@pytest.mark.slow
def test_all_columns_of_a_whole_analysis_are_in_the_register():
    image, _ = hs_rvae.simulation.simulate_perovskite((420, 420), random_state=0)
    lattice = hs_rvae.find_sublattices(image)
    stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image, "B", window_size=48)
    stack.rvae(output_dimension=1, translation=True, epochs=1, n_init=1, random_state=0)
    shifts = {name: stack.sites[name] for name in stack.sites.columns if "shift" in name}
    stack.rvae(output_dimension=1, epochs=1, n_init=1, random_state=0)
    # What only other models write: shifts, and angles where an aberration moves their zero.
    units = {name: columns.unit(name) for name in shifts}
    assert shifts and "angle_pixels" not in stack.sites
    stack.sites.set_many(shifts, units, writer="rvae")
    pixels = {"angle_pixels": stack.sites["angle"]}
    stack.sites.set_many(pixels, {"angle_pixels": columns.unit("angle_pixels")}, writer="rvae")
    stack.assign_variants(4)
    stack.decomposition("PCA", 2)
    stack.embedding("isomap", n_neighbors=10)
    stack.cluster_analysis("rvae", n_clusters=2)
    stack.rvae_diagnostics(n_shuffles=10)
    stack = stack.derotate()
    stack = hs_rvae.stack([stack, stack])
    sites = stack.sites
    assert "lattice_turn" in sites
    for name in sites.columns:
        row = columns.find(name)
        assert row is not None, name
        assert sites.writers[name] == row.writer, name
        assert sites.units[name] == columns.unit(name), name
