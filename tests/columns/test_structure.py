# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A known crystal: its projection, its match with found places, the distortion against it."""

import logging
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk, graphene, mx2
from ase.io import write
from ase.spacegroup import crystal
from scipy.ndimage import affine_transform
from scipy.spatial import cKDTree

import hs_rvae
from hs_rvae.columns.distortion import (
    average_cell,
    directions_without_stretch,
    stretch_of,
    without_stretch,
)
from hs_rvae.columns.projection import project, reduced
from hs_rvae.columns.structure_match import FoundBasis, best_match, lengths_and_angle
from hs_rvae.positions import pick_sublattice

A = 3.905


def perovskite(a="Sr", b="Ti", edge=A, edge_c=None):
    cell = [edge, edge, edge_c or edge, 90, 90, 90]
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return crystal([a, b, "O", "O", "O"], places, cellpar=cell)


def zinc_blende():
    return bulk("CdTe", "zincblende", a=6.48, cubic=True)


def wurtzite():
    return bulk("ZnO", "wurtzite", a=3.25, c=5.207)


def fluorite():
    return bulk("CeO2", "fluorite", a=5.411, cubic=True)


@pytest.fixture(scope="module")
def film():
    image, truth = hs_rvae.simulation.simulate_perovskite((256, 256), random_state=0)
    return image, truth


# Projection ------------------------------------------------------------------

PROJECTIONS = [
    # structure, zone axis, lengths (nm) and angle of the cell, elements
    (perovskite, (0, 0, 1), (0.3905, 0.3905, 90), ["Sr", "Ti/O", "O", "O"]),
    (perovskite, (1, 1, 0), (0.2761, 0.3905, 90), ["Sr/O", "Ti", "O"]),
    (perovskite, (2, 2, 0), (0.2761, 0.3905, 90), ["Sr/O", "Ti", "O"]),
    (zinc_blende, (1, 1, 0), (0.3968, 0.3968, 70.53), ["Te", "Cd"]),
    (zinc_blende, (0, 0, 1), (0.3240, 0.3240, 90), ["Te", "Cd"]),
    (wurtzite, (1, 1, 0), (0.2815, 0.5207, 90), ["Zn", "Zn", "O", "O"]),  # [11-20]
    (wurtzite, (0, 0, 1), (0.3250, 0.3250, 60), ["Zn/O", "Zn/O"]),
    (fluorite, (0, 0, 1), (0.2706, 0.2706, 90), ["Ce", "O"]),
    (fluorite, (1, 1, 0), (0.3314, 0.3314, 70.53), ["Ce", "O", "O"]),
    (lambda: mx2("MoS2"), (0, 0, 1), (0.3180, 0.3180, 60), ["Mo", "S"]),
    (graphene, (0, 0, 1), (0.2460, 0.2460, 60), ["C", "C"]),
    (lambda: bulk("Si", cubic=True), (1, 1, 0), (0.3325, 0.3325, 70.53), ["Si", "Si"]),
]


@pytest.mark.parametrize("structure, zone_axis, cell, elements", PROJECTIONS)
def test_projection(structure, zone_axis, cell, elements):
    projection = project(structure(), zone_axis)
    found = lengths_and_angle(projection.cell)
    np.testing.assert_allclose(found[:2], cell[:2], atol=1e-4)
    assert min(abs(found[2] - cell[2]), abs(180 - found[2] - cell[2])) < 0.05
    assert [place.element for place in projection.places] == elements
    assert projection.places[0].position == (0, 0)


def test_places_of_the_projection():
    places = {p.element: p.position for p in project(perovskite(), (1, 1, 0)).places}
    assert places["Ti"] == pytest.approx((0, 0.5)) and places["O"] == pytest.approx((0.5, 0.5))
    molybdenum, sulphur = project(mx2("MoS2")).places
    assert sulphur.position == pytest.approx((2 / 3, 2 / 3))  # a centre of the triangles
    assert sulphur.weight / molybdenum.weight == pytest.approx(2 * (16 / 42) ** 1.7)
    # The dumbbell of zinc blende: a quarter of the edge.
    projection = project(zinc_blende(), (1, 1, 0))
    step = np.array(projection.places[1].position)
    step = (step - np.round(step)) @ projection.cell
    assert np.hypot(*step) == pytest.approx(0.162)
    # Wurtzite: Zn and O of a bilayer are 0.12 c apart along c.
    zinc, _, *oxygen = project(wurtzite(), (1, 1, 0)).places
    assert min(abs(o.position[1] % 0.5 - 0.12) for o in oxygen) < 1e-3 and zinc.element == "Zn"


def test_the_choice_of_the_cell_does_not_matter():
    primitive = bulk("CdTe", "zincblende", a=6.48)  # its third vector is [110] of the cube
    one, other = project(primitive, (0, 0, 1)), project(zinc_blende(), (1, 1, 0))
    np.testing.assert_allclose(lengths_and_angle(one.cell), lengths_and_angle(other.cell))
    assert [p.weight for p in one.places] == pytest.approx([p.weight for p in other.places])


@pytest.mark.parametrize("zone_axis", [(1, -3, 2), (0, -2, 5), (7, 4, 0), (0, 0, -1), (1, 1, 1)])
def test_any_axis_has_the_density_of_the_crystal(zone_axis):
    structure = zinc_blende()
    projection = project(structure, zone_axis)
    in_volume = sum(n for place in projection.places for n in place.atoms.values())
    in_volume /= abs(np.linalg.det(projection.cell))
    assert in_volume == pytest.approx(8 / 0.648**3)


def test_reduced_cell():
    found = reduced(np.array([[5.0, 1.0], [9.0, 2.0]]))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 1])


def test_occupancies_from_a_file(tmp_path):
    mixed = """data_x
_cell_length_a 3.95
_cell_length_b 3.95
_cell_length_c 3.95
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
La La 0 0 0 0.7
Sr Sr 0 0 0 0.3
Mn Mn 0.5 0.5 0.5 1
O O 0.5 0.5 0 1
"""
    path = tmp_path / "mixed.cif"
    path.write_text(mixed)
    first, second, *_ = project(path).places
    assert (first.element, second.element) == ("La/Sr", "Mn/O")
    assert first.weight == pytest.approx((0.7 * 57**1.7 + 0.3 * 38**1.7) / 0.395)


def as_diffpy(structure, charges=("2+", "4+", "2-")):
    """A stand-in with what is used of a Structure of diffpy."""
    names = dict(zip(dict.fromkeys(structure.get_chemical_symbols()), charges, strict=True))
    atoms = [
        SimpleNamespace(element=symbol + names[symbol], xyz=xyz, occupancy=1.0)
        for symbol, xyz in zip(
            structure.get_chemical_symbols(), structure.get_scaled_positions(), strict=True
        )
    ]

    class Structure(list):
        lattice = SimpleNamespace(base=np.array(structure.cell))

    return Structure(atoms)


def test_structures_of_orix_and_diffpy():
    expected = [(p.element, p.weight) for p in project(perovskite()).places]
    structure = as_diffpy(perovskite())
    phase = SimpleNamespace(structure=structure, space_group=None)
    for one in (structure, phase):
        assert [(p.element, p.weight) for p in project(one).places] == expected


def test_phase_of_orix():
    orix = pytest.importorskip("orix.crystal_map")
    diffpy = pytest.importorskip("diffpy.structure")
    atoms = [
        diffpy.Atom(symbol, xyz)
        for symbol, xyz in [("Sr", [0, 0, 0]), ("Ti", [0.5] * 3), ("O", [0.5, 0.5, 0])]
    ]
    lattice = diffpy.Lattice(A, A, A, 90, 90, 90)
    phase = orix.Phase(space_group=221, structure=diffpy.Structure(atoms, lattice))
    assert [p.element for p in project(phase).places] == ["Sr", "Ti/O", "O", "O"]


# Bad input -------------------------------------------------------------------


@pytest.mark.parametrize(
    "structure, zone_axis, error, message",
    [
        ("nowhere.cif", (0, 0, 1), FileNotFoundError, "'nowhere.cif': there is no such file"),
        (Atoms("H2O", np.eye(3)), (0, 0, 1), ValueError, "has no unit cell"),
        (Atoms(cell=np.eye(3)), (0, 0, 1), ValueError, "has no atoms"),
        (Atoms("X", cell=np.eye(3) * 4), (0, 0, 1), ValueError, "of no element: 'X'"),
        (3.905, (0, 0, 1), TypeError, "structure is a float: give an ase.Atoms"),
        (perovskite(), (0, 0, 0), ValueError, "that are not all 0"),
        (perovskite(), (0, 1), ValueError, "give three whole numbers"),
        (perovskite(), (0, 0.5, 1), ValueError, "give three whole numbers"),
        (perovskite(), 1, ValueError, "give three whole numbers"),
        (perovskite(), None, ValueError, "give three whole numbers"),
        (perovskite(), (1, 1, -2, 0), ValueError, r"give three, \(u - t, v - t, w\)"),
        (mx2("MoS2"), (1, 0, 0), ValueError, r"only be seen along \(0, 0, 1\)"),
    ],
)
def test_unusable_structures(structure, zone_axis, error, message):
    with pytest.raises(error, match=message):
        hs_rvae.find_sublattices(np.zeros((4, 4)), structure=structure, zone_axis=zone_axis)


def test_a_file_that_is_no_crystal(tmp_path):
    path = tmp_path / "text.cif"
    path.write_text("no crystal")
    with pytest.raises(ValueError, match="is not a CIF file that ase can read"):
        project(path)
    with pytest.raises(FileNotFoundError):
        project(tmp_path)


def test_unusable_corrections():
    image = np.zeros((32, 32))
    with pytest.raises(ValueError, match="correct_distortion needs structure="):
        hs_rvae.find_sublattices(image, correct_distortion=True)
    with pytest.raises(TypeError, match="give True, False or a hyperspy.api.roi.RectangularROI"):
        hs_rvae.find_sublattices(image, structure=perovskite(), correct_distortion="substrate")


# Match -----------------------------------------------------------------------


def as_found(
    structure, zone_axis, affine, *, seen=None, larger=None, scale=0.01, mirrored=False, seed=0
):
    """The basis that a search would find in an image: brightest first, with 3 % of error."""
    projection = project(structure, zone_axis)
    rng = np.random.default_rng(seed)
    places = [p for p in projection.places if seen is None or p.element in seen]
    larger = np.eye(2, dtype=int) if larger is None else np.array(larger)
    cell = projection.cell * [1, -1]
    shifts = [(i, j) for i in range(larger[0, 0]) for j in range(larger[1, 1])]
    xy = np.array([(np.array(p.position) + s) @ cell for s in shifts for p in places])
    names = [p.element for _ in shifts for p in places]
    weights = np.array([p.weight for _ in shifts for p in places])
    if mirrored:
        affine = np.diag([-1, 1]) @ affine
    image_cell = larger @ cell @ affine
    positions = np.linalg.solve(image_cell.T, (xy @ affine).T).T
    heights = weights**0.8 * rng.normal(1, 0.01, len(weights))
    order = np.argsort(-heights)
    positions = positions[order] - positions[order[0]] + rng.normal(0, 0.005, (len(order), 2))
    found = FoundBasis(
        image_cell,
        np.mod(positions, 1),
        heights[order],
        np.full(len(order), 100),
        True,
        False,
    )
    return projection, found, tuple(names[k] for k in order)


def turn(degrees):
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


CASES = [
    (perovskite, (0, 0, 1), ("Sr", "Ti/O")),
    (perovskite, (1, 1, 0), ("Sr/O", "Ti")),
    (perovskite, (1, 1, 0), None),
    (zinc_blende, (1, 1, 0), None),
    (wurtzite, (1, 1, 0), None),
    (wurtzite, (1, 1, 0), ("Zn",)),
    (fluorite, (1, 1, 0), None),
    (lambda: mx2("MoS2"), (0, 0, 1), None),
    (lambda: perovskite("Pb", "Ti", 3.9, 4.15), (0, 1, 0), ("Pb", "Ti/O")),
]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 17, 45, 100, 233])
@pytest.mark.parametrize("structure, zone_axis, seen", CASES)
def test_places_are_named_at_any_turn(structure, zone_axis, seen, degrees, mirrored):
    projection, found, names = as_found(
        structure(), zone_axis, turn(degrees), seen=seen, mirrored=mirrored
    )
    match = best_match(projection, found)
    assert match.elements == names
    unseen = [projection.places[k].element for k in match.missing]
    assert unseen == []
    stretch = stretch_of(match.nominal, found.cell)
    np.testing.assert_allclose(stretch, np.eye(2), atol=1e-6)


@pytest.mark.parametrize("stretch", [np.diag([1.03, 1]), [[1, 0.02], [0.02, 0.98]]])
@pytest.mark.parametrize("structure, zone_axis, seen", CASES)
def test_stretched_and_wrongly_calibrated(structure, zone_axis, seen, stretch):
    affine = turn(30) @ np.array(stretch) * 1.08
    projection, found, names = as_found(structure(), zone_axis, affine, seen=seen)
    match = best_match(projection, found)
    assert match.elements == names
    # A symmetric matrix after the turn: in the axes of the image.
    measured = stretch_of(match.nominal, found.cell)
    np.testing.assert_allclose(measured, np.array(stretch) * 1.08, atol=1e-6)


def test_polarity_of_zinc_blende_in_both_senses():
    for degrees in (0, 180):
        for mirrored in (False, True):
            projection, found, names = as_found(
                zinc_blende(), (1, 1, 0), turn(degrees), mirrored=mirrored
            )
            match = best_match(projection, found)
            assert match.elements == names == ("Te", "Cd")
            # Heights that are exchanged give the other names, at the same places.
            swapped = FoundBasis(
                found.cell, found.positions, found.heights[::-1], found.counts, True, False
            )
            assert best_match(projection, swapped).elements == ("Cd", "Te")


def test_the_sense_of_the_beam():
    """A trigonal layer without a mirror in the plane: three kinds of atom at three places."""
    layer = Atoms(
        ["W", "Se", "C"],
        scaled_positions=[(0, 0, 0), (0.3, 0.1, 0), (0.55, 0.6, 0)],
        cell=[[4, 0, 0], [1, 4.7, 0], [0, 0, 5]],
        pbc=True,
    )
    for mirrored in (False, True):
        projection, found, names = as_found(layer, (0, 0, 1), turn(70), mirrored=mirrored)
        match = best_match(projection, found)
        assert match.elements == names and match.mirrored == mirrored


@pytest.mark.parametrize("larger", [[[2, 0], [0, 1]], [[1, 1], [0, 2]], [[2, 0], [0, 2]]])
def test_the_found_cell_is_larger(larger):
    projection, found, names = as_found(
        perovskite(), (0, 0, 1), turn(12), seen=("Sr", "Ti/O"), larger=larger
    )
    assert best_match(projection, found).elements == names


def test_the_found_cell_is_smaller():
    """A cell doubled by small shifts of A, which a search does not see."""
    doubled = perovskite().repeat((2, 1, 1))
    doubled.positions[0, 1] += 0.3
    projection = project(doubled)
    assert lengths_and_angle(projection.cell)[1] == pytest.approx(0.781)
    _, found, names = as_found(perovskite(), (0, 0, 1), turn(12), seen=("Sr", "Ti/O"))
    match = best_match(projection, found)
    assert match.elements == names
    np.testing.assert_allclose(lengths_and_angle(match.nominal), (0.3905, 0.3905, 90))


def test_an_image_without_calibration():
    projection, found, names = as_found(perovskite(), (1, 1, 0), turn(12) * 70)
    free = FoundBasis(*list(found.__dict__.values())[:4], False, False)
    assert best_match(projection, free).elements == names


def test_other_crystals_do_not_match():
    _, found, _ = as_found(perovskite(), (0, 0, 1), turn(12), seen=("Sr", "Ti/O"))
    for structure, zone_axis in [
        (zinc_blende(), (1, 1, 0)),
        (zinc_blende(), (0, 0, 1)),
        (wurtzite(), (1, 1, 0)),
        (mx2("MoS2"), (0, 0, 1)),
        (perovskite(), (1, 1, 1)),
        (perovskite(edge=4.9), (0, 0, 1)),
    ]:
        assert best_match(project(structure, zone_axis), found) is None


# Names in an image -----------------------------------------------------------


def test_names_of_an_image(film, caplog, tmp_path):
    path = tmp_path / "titanate.cif"
    write(path, perovskite())
    with caplog.at_level(logging.INFO, "hs_rvae"):
        lattice = hs_rvae.find_sublattices(film[0], structure=path)
    assert [(s.name, s.element) for s in lattice.sublattice_list] == [("A", "Sr"), ("B", "Ti/O")]
    assert [place.element for place in lattice.crystal.places] == ["Sr", "Ti/O"]
    for name in ("Sr", "A", 0):
        assert pick_sublattice(lattice, name)[0].name == "A"
    for name in ("Ti", "Ti/O", "O", "B"):
        assert pick_sublattice(lattice, name)[0].name == "B"
    with pytest.raises(ValueError, match=r"0: 'A' \(Sr\), 1: 'B' \(Ti/O\)"):
        pick_sublattice(lattice, "Ba")
    found = lattice.crystal.structure
    assert found.formula == "SrTiO3" and found.missing == () and found.cautions == ()
    assert [place.element for place in found.faint] == ["O", "O"]
    assert found.scale == pytest.approx(0.015, rel=0.01)
    assert "A is Sr, B is Ti/O" in caplog.text and "instead of 0.3905 nm" in caplog.text
    assert "strain of the crystal look the same" in caplog.text
    assert "perhaps not seen in dark field" in caplog.text
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert "distortion" not in lattice.sublattice_list[0].column_table.attrs


def test_calibration_that_is_off(film, caplog):
    image = film[0].deepcopy()
    for axis in image.axes_manager.signal_axes:
        axis.scale = 0.16  # 7 % more, and another unit
        axis.units = "Å"
    lattice = hs_rvae.find_sublattices(image, structure=perovskite("Ba", "Ti", 3.99))
    assert [s.element for s in lattice.sublattice_list] == ["Ba", "Ti/O"]
    assert "differs from that of BaTiO3 by more than 3 %" in caplog.text
    assert lattice.crystal.structure.cautions == lattice.crystal.cautions != ()


def test_image_without_calibration(film, caplog):
    lattice = hs_rvae.find_sublattices(film[0].data, structure=perovskite())
    assert [s.element for s in lattice.sublattice_list] == ["Sr", "Ti/O"]
    found = lattice.crystal.structure
    assert found.scale == pytest.approx(0.015, rel=0.02)
    assert np.linalg.det(found.stretch) == pytest.approx(1)


def test_a_structure_that_does_not_match(film):
    with pytest.raises(
        ValueError,
        match=r"CdTe along \[1, 1, 0\] does not match the image. Found: cell 0.3.*Te, Cd",
    ):
        hs_rvae.find_sublattices(film[0], structure=zinc_blende(), zone_axis=(1, 1, 0))


def test_columns_that_are_missing(film, caplog):
    lattice = hs_rvae.find_sublattices(film[0], structure=perovskite(), n_sublattices=1)
    assert [s.element for s in lattice.sublattice_list] == ["Sr"]
    assert [place.element for place in lattice.crystal.structure.missing] == ["Ti/O"]
    assert "should be seen were not found: Ti/O at (0.50, 0.50)" in caplog.text


def test_heights_that_contradict(film, caplog):
    lattice = hs_rvae.find_sublattices(film[0], structure=perovskite("Ca", "W"))
    assert [s.element for s in lattice.sublattice_list] == ["W/O", "Ca"]
    hs_rvae.find_sublattices(film[0], structure=bulk("NaCl", "rocksalt", a=5.53, cubic=True))
    assert "do not rise with the atomic numbers" in caplog.text


def test_a_series_has_elements():
    series, _ = hs_rvae.simulation.simulate_series((200, 200), 2, random_state=0)
    lattices = hs_rvae.find_sublattices(
        series, structure=perovskite("Bi", "Fe", 3.96), correct_distortion=True
    )
    assert lattices.tables("Fe") == lattices.tables("B")
    with pytest.raises(ValueError, match=r"'A' \(Bi\)"):
        lattices.tables("Ba")
    stack = hs_rvae.SubImageStack.from_atom_lattice(lattices, series, "Fe", window_size=40)
    first = stack.sites["stretch_xx"][stack.sites["frame"] == 0]
    assert np.ptp(first) == 0 and abs(first[0] - 1) < 0.05


# Distortion ------------------------------------------------------------------


def test_stretch_and_its_inverse():
    stretch = np.array([[1.02, 0.01], [0.01, 0.97]])
    cell = np.array([[3.0, 1.0], [0.2, 4.0]])
    for mirror in ([1, 1], [1, -1]):
        moved = cell * mirror @ turn(35) @ stretch
        np.testing.assert_allclose(stretch_of(cell, moved), stretch, atol=1e-12)
    vectors = np.random.default_rng(0).normal(size=(50, 2))
    np.testing.assert_allclose(without_stretch(vectors @ stretch, stretch), vectors)
    angle = np.arctan2(*(vectors @ stretch).T[::-1])
    back, std = directions_without_stretch(angle, stretch, np.full(50, 1e-3))
    np.testing.assert_allclose(back, np.arctan2(vectors[:, 1], vectors[:, 0]), atol=1e-9)
    moved, _ = directions_without_stretch(angle + 1e-3, stretch)
    np.testing.assert_allclose(moved - back, std, rtol=1e-2)
    # Pixels that are not square.
    size = np.array([0.01, 0.02])
    np.testing.assert_allclose(
        without_stretch((vectors @ stretch) / size, stretch, tuple(size)), vectors / size
    )


def lattice_table(cell, shape=(12, 12), noise=0.05, seed=0):
    rng = np.random.default_rng(seed)
    i, j = (index.ravel() for index in np.indices(shape))
    xy = 20 + np.column_stack([i, j]) @ cell + rng.normal(0, noise, (i.size, 2))
    return pd.DataFrame(
        {"x": xy[:, 0], "y": xy[:, 1], "i": i, "j": j, "grain": 0, "status": 0, "amplitude": 1.0}
    )


def test_average_cell():
    cell = np.array([[26.0, 0.4], [-0.2, 25.0]])
    table = lattice_table(cell)
    table.loc[3, "x"] += 5  # one that is wrong
    found, std, count = average_cell([table])
    assert count == len(table) - 1
    assert (np.abs(found - cell) < 4 * std).all() and std.max() < 0.003
    with pytest.raises(ValueError, match="there are 11 columns of one lattice"):
        average_cell([table], [np.arange(len(table)) < 11])


def stretched(film, stretch):
    """The film as a stretched scan shows it, and where its columns are."""
    image, truth = film
    inverse = np.linalg.inv(stretch)
    middle = (np.array(image.data.shape[::-1]) - 1) / 2
    rows = inverse[::-1, ::-1]
    data = affine_transform(
        image.data.astype(float), rows, middle[::-1] - rows @ middle[::-1], order=3, mode="reflect"
    )
    other = image.deepcopy()
    other.data = data
    return other, lambda xy: (xy - middle) @ stretch + middle


STRETCH = np.array([[1.03, 0.015], [0.015, 0.98]])


@pytest.fixture(scope="module")
def large_film():
    return hs_rvae.simulation.simulate_perovskite((400, 400), random_state=1)


@pytest.fixture(scope="module")
def searched(large_film):
    """The stretched image, the function of its positions, and its columns as seen and corrected."""
    image, moved = stretched(large_film, STRETCH)
    found = [
        hs_rvae.find_sublattices(image, structure=perovskite(), correct_distortion=correct)
        for correct in (False, True)
    ]
    return image, moved, *found


@pytest.mark.slow
def test_displacements_without_the_stretch(large_film, searched):
    """Displacements and cells of a stretched image are those of the image before."""
    image, _ = large_film
    moved_image, moved, off, lattice = searched
    plain = hs_rvae.find_sublattices(image, structure=perovskite())
    before = hs_rvae.SubImageStack.from_atom_lattice(plain, image, "Ti", window_size=36).sites
    uncorrected = hs_rvae.SubImageStack.from_atom_lattice(off, moved_image, "B", window_size=36)
    after = hs_rvae.SubImageStack.from_atom_lattice(lattice, moved_image, "B", window_size=36)
    assert "stretch_xx" not in uncorrected.sites and lattice.crystal.structure.corrected
    after, uncorrected = after.sites, uncorrected.sites
    # Nothing happened to the positions.
    for name in ("x", "y"):
        np.testing.assert_array_equal(after[name], uncorrected[name])
    own = plain.crystal.structure.stretch  # of the film itself, by its domains
    np.testing.assert_allclose(lattice.crystal.structure.stretch, STRETCH @ own, atol=0.01)
    distance, row = cKDTree(after.xy).query(moved(before.xy))
    same = distance < 1
    assert same.mean() > 0.8
    names = ["displacement_x", "displacement_y"]
    wanted = np.linalg.solve(own, before[names].T).T[same]
    got, raw = after[names][row[same]], uncorrected[names][row[same]]
    assert not np.allclose(got, raw, equal_nan=True)
    good = np.isfinite(wanted).all(1) & np.isfinite(got).all(1)
    error = np.abs(np.median((got - wanted)[good], axis=0))
    spread = (got - wanted)[good].std(axis=0)
    assert (error < 0.05).all() and (spread < 0.15).all()
    cell = [np.nanmedian(after[name]) for name in ("cell_a", "cell_b", "cell_angle")]
    nominal = A / 0.15  # 0.015 nm are a pixel
    np.testing.assert_allclose(cell, [nominal, nominal, np.pi / 2], rtol=0.01)
    assert np.nanmedian(uncorrected["cell_a"]) > 1.02 * nominal


def test_the_rectangle_decides(large_film):
    """The stretch is that of the columns in the rectangle, in the units of the image."""
    import hyperspy.api as hs

    image = stretched(large_film, STRETCH)[0]
    image.axes_manager.signal_axes[0].offset = 10.0
    roi = hs.roi.RectangularROI(left=10.0, top=0.0, right=12.6, bottom=2.8)
    structure = perovskite()
    lattice = hs_rvae.find_sublattices(image, structure=structure, correct_distortion=roi)
    tables = [s.column_table for s in lattice.sublattice_list]
    inside = [(t.x.to_numpy() < 173.4) & (t.y.to_numpy() < 186.7) for t in tables]
    cell, _, count = average_cell(tables, inside)
    assert 60 < count < 180
    found = lattice.crystal.structure
    np.testing.assert_allclose(found.measured, cell)
    np.testing.assert_allclose(tables[0].attrs["distortion"], found.stretch)
    everywhere = average_cell(tables)[0]
    assert np.abs(cell - everywhere).max() > 1e-3
    outside = hs.roi.RectangularROI(left=0, top=0, right=1, bottom=1)
    with pytest.raises(ValueError, match="inside it there are 0 columns of one lattice"):
        hs_rvae.find_sublattices(image, structure=structure, correct_distortion=outside)


@pytest.mark.slow
def test_angles_without_the_stretch(searched):
    """Angles of a distortion lose the stretch, and sub-images are decoded with it."""
    image, _, *lattices = searched
    stacks = []
    for lattice in lattices:
        stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image, "B", window_size=40)
        stack.rvae(output_dimension=1, epochs=2, random_state=0)
        stacks.append(stack)
    plain, corrected = stacks
    assert plain.rvae_verdict.rotation == "distortion"
    stretch = np.array(lattice.sublattice_list[1].column_table.attrs["distortion"])
    wanted, std = directions_without_stretch(
        plain.sites["angle"], stretch, plain.sites["angle_std"]
    )
    off = np.angle(np.exp(1j * (corrected.sites["angle"] - wanted)))
    np.testing.assert_allclose(off, 0, atol=1e-6)
    np.testing.assert_allclose(corrected.sites["angle_std"], std, rtol=1e-6)
    assert np.nanmax(np.abs(corrected.sites["angle"] - plain.sites["angle"])) > 0.01
    for one, other in zip(*(stack.get_rvae_model().data[:20] for stack in stacks), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 * np.nanmax(np.abs(one)))
    corrected.apply_rvae(corrected.rvae_model)
    np.testing.assert_allclose(
        np.angle(np.exp(1j * (corrected.sites["angle"] - wanted))), 0, atol=1e-6
    )
