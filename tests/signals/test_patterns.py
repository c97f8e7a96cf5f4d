# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Diffraction patterns as sub-images: their angles are directions in the scan."""

import hyperspy.api as hs
import numpy as np
import pytest

from hs_rvae import SubImageStack
from hs_rvae.signals import patterns as module
from hs_rvae.signals.patterns import find_disk
from hs_rvae.simulation import simulate_4dstem

# Fits of seconds each.
pytestmark = pytest.mark.slow

FILM = {"cell": 26, "column_width": 0.06, "domain_size": 5, "chemistry": 0.1}
FIT = {"output_dimension": 1, "epochs": 1, "random_state": 0}


def scan_of(seed=0, size=312, **options):
    """4D-STEM data, and the stack of the B columns of the scan with their displacements."""
    data, truth = simulate_4dstem((size, size), random_state=seed, **FILM | options)
    a, b = (sites[["x", "y"]] / 2 for sites in (truth.a_sites, truth.b_sites))
    image = data.sum(axis=("kx", "ky"))
    return data, SubImageStack.from_positions(image, b, window_size=14, neighbours=a)


@pytest.fixture(scope="module")
def scan():
    return scan_of()


@pytest.fixture(scope="module")
def patterns(scan):
    data, stack = scan
    return stack.get_site_signals(data, radius=1, about="cage")


@pytest.fixture(scope="module")
def fitted(scan, patterns):
    stack = SubImageStack.from_site_signals(patterns, scan[1].sites)
    stack.rvae(**FIT)
    return stack


def directions(stack):
    x, y = stack.sites[["displacement_x", "displacement_y"]].T
    return np.arctan2(y, x)


def displaced(stack):
    length = np.hypot(*stack.sites[["displacement_x", "displacement_y"]].T)
    return length > 0.5 * np.median(length)


def off(stack, angle=None):
    """Mean of exp(i (angle - direction of the displacement)) of the displaced sites."""
    angle = stack.sites["angle"] if angle is None else angle
    return np.exp(1j * (angle - directions(stack)))[displaced(stack)].mean()


def turned(patterns, k):
    """The same patterns, turned by k quarters from +x towards +y about their centre."""
    new = patterns.deepcopy()
    # The centre of a detector of even size lies on a pixel: the first row and column fall out.
    new.data[:, 1:, 1:] = np.rot90(new.data[:, 1:, 1:], -k, axes=(1, 2))
    return new


def test_angles_are_the_directions_of_displacements(fitted):
    assert fitted.rvae_verdict.kind == "variants"
    assert fitted.rvae_model.rotation_ == "distortion"
    assert abs(off(fitted)) > 0.9
    assert abs(np.angle(off(fitted))) < np.radians(8)
    offset, agreement = fitted.deepcopy().register_angle("displacement")
    assert offset == 0 and agreement > 0.9  # directions already


def test_sub_images_are_the_root_of_the_counts_about_the_bright_disk(scan, patterns):
    unknown = patterns.deepcopy()
    del unknown.metadata.Regions
    stack = SubImageStack.from_site_signals(unknown, scan[1].sites)
    node = stack.metadata.Sub_images.patterns
    assert np.allclose(node.centre, 32, atol=0.1) and node.radius == pytest.approx(7.5, abs=0.5)
    good = np.isfinite(patterns.data).all(axis=(1, 2))
    half = stack.data.shape[-1] // 2
    window = slice(32 - half, 33 + half)
    np.testing.assert_allclose(stack.data, np.sqrt(patterns.data[good, window, window]))
    axis = stack.axes_manager.signal_axes[0]
    assert axis.units == "mrad" and axis.value2index(0.0) == half
    for name in ("site_index", "x", "y", "displacement_x"):
        np.testing.assert_array_equal(stack.sites[name], scan[1].sites[name][good])
    assert stack.sites.units["x"] == "px" and stack.sites.pixel_units == "nm"
    assert stack.metadata.Acquisition_instrument.TEM.beam_energy == 300


def test_turned_patterns_have_the_same_angles(scan, patterns, fitted):
    other = SubImageStack.from_site_signals(turned(patterns, 1), scan[1].sites, scan_rotation=90)
    other.rvae(**FIT)
    apart = np.angle(np.exp(1j * (other.sites["angle"] - fitted.sites["angle"])))
    assert np.abs(np.degrees(apart[displaced(fitted)])).max() < 3
    assert other.metadata.Sub_images.rvae.angle_offset == pytest.approx(np.pi / 2)
    np.testing.assert_allclose(
        np.rot90(other.get_rvae_model().data, 1, axes=(1, 2)), fitted.get_rvae_model().data,
        atol=0.05 * fitted.data.std(),
    )  # fmt: skip


@pytest.mark.slow
def test_the_scan_rotation_of_the_metadata_is_taken_off(fitted):
    data, stack = scan_of(rotation=30.0)
    patterns = stack.get_site_signals(data, radius=1, about="cage")
    other = SubImageStack.from_site_signals(patterns, stack.sites)
    other.rvae(**FIT)
    assert other.metadata.Sub_images.patterns.scan_rotation == 30
    assert abs(off(other)) > 0.9 and abs(np.angle(off(other))) < np.radians(8)
    # Noise of its own: the angles agree as well as each does with the truth.
    agreement = np.exp(1j * (other.sites["angle"] - fitted.sites["angle"]))[displaced(fitted)]
    assert abs(agreement.mean()) > 0.85 and abs(np.angle(agreement.mean())) < np.radians(8)
    without = SubImageStack.from_site_signals(patterns, stack.sites, scan_rotation=0)
    without.rvae(**FIT)
    lag = np.exp(1j * (without.sites["angle"] - other.sites["angle"]))
    np.testing.assert_allclose(lag, np.exp(1j * np.pi / 6), atol=1e-5)


def test_mirrored_patterns_are_mirrored_back(scan, patterns, fitted):
    mirrored = patterns.deepcopy()
    mirrored.data[:, 1:] = mirrored.data[:, :0:-1]
    other = SubImageStack.from_site_signals(mirrored, scan[1].sites, flip=True)
    np.testing.assert_allclose(other.data, fitted.data, atol=1e-4)


@pytest.mark.slow
def test_undistorted_films_show_nothing_though_the_probe_is_off_the_centre():
    data, stack = scan_of(shift=0.0)
    patterns = stack.get_site_signals(data, radius=1, about="cage")
    other = SubImageStack.from_site_signals(patterns, stack.sites)
    other.rvae(**FIT)
    assert other.rvae_verdict.kind == "nothing"
    assert not other.sites["order_amplitude"].any()


def test_sites_keep_where_the_probe_was(scan, patterns):
    data, stack = scan
    offset = patterns.metadata.Regions.offset
    good = np.isfinite(offset).all(axis=1)
    np.testing.assert_array_equal(good, np.isfinite(patterns.data).all(axis=(1, 2)))
    cage = stack.sites.xy - stack.sites[["displacement_x", "displacement_y"]]
    assert np.abs(offset[good]).max() <= 0.5 + 1e-9
    place = (cage + offset)[good]
    np.testing.assert_allclose(place, np.rint(place), atol=1e-6)


def test_patterns_without_the_place_of_the_probe_are_warned_of(scan, patterns, caplog):
    unknown = patterns.deepcopy()
    del unknown.metadata.Regions
    SubImageStack.from_site_signals(unknown, scan[1].sites)
    assert "do not have the places of the probe" in caplog.text


def test_lazy_patterns_equal_eager_ones(scan, patterns, fitted, monkeypatch):
    lazy = scan[1].get_site_signals(scan[0].as_lazy(), radius=1, about="cage")
    small = SubImageStack.from_site_signals(lazy, scan[1].sites)
    assert not small._lazy  # small beside the memory
    monkeypatch.setattr(module, "_SMALL", 0)
    large = SubImageStack.from_site_signals(lazy, scan[1].sites)
    assert large._lazy and type(large).__name__ == "LazySubImageStack"
    for stack in (small, large):
        np.testing.assert_allclose(np.asarray(stack.data), fitted.data, atol=1e-5)
    large.rvae(**FIT)
    apart = np.angle(np.exp(1j * (large.sites["angle"] - fitted.sites["angle"])))
    assert np.abs(apart[displaced(fitted)]).max() < 0.02


def test_saved_patterns_go_on(fitted, tmp_path):
    fitted.save(tmp_path / "patterns.hspy")
    fitted.rvae_model.save(tmp_path / "model.safetensors")
    loaded = hs.load(tmp_path / "patterns.hspy")
    assert loaded.metadata.Sub_images.patterns.radius == fitted.metadata.Sub_images.patterns.radius
    loaded.apply_rvae(tmp_path / "model.safetensors")
    np.testing.assert_allclose(loaded.sites["angle"], fitted.sites["angle"], atol=1e-5)


def test_verbs_after_the_fit_work_on_patterns(fitted, tmp_path):
    stack = fitted.deepcopy()
    stack._rvae_model = fitted.rvae_model
    stack.assign_variants(4)
    means = stack.get_cluster_means("variant")
    assert means.axes_manager.signal_shape == stack.axes_manager.signal_shape
    assert stack.get_rvae_distortion(4).data.shape[0] == 4
    assert stack.derotate().data.shape == stack.data.shape
    assert stack.report(tmp_path / "report.html").is_file()


@pytest.mark.parametrize("centre", [(20.0, 20.0), (25.3, 30.6)])
def test_the_disk_is_found_by_its_rim(centre):
    y, x = np.indices((50, 60))
    distance = np.hypot(x - centre[0], y - centre[1])
    disk = np.clip(9.5 - distance, 0, 1) * (1 + 0.3 * np.tanh((x - centre[0]) / 3)) + 0.01
    found = find_disk(100 * disk)
    assert np.allclose(found.centre, centre, atol=0.15)
    assert found.radius == pytest.approx(9.2, abs=0.5)
    mass = (x * disk).sum() / disk.sum()
    assert abs(mass - centre[0]) > 0.7  # what deflects moves the centre of mass


def test_centre_and_radius_can_be_given(scan, patterns):
    sites = scan[1].sites
    stack = SubImageStack.from_site_signals(patterns, sites, centre=(31.6, 32.2), radius=10)
    np.testing.assert_allclose(stack.sites["offset_x"], -0.4, atol=1e-9)
    np.testing.assert_allclose(stack.sites["offset_y"], 0.2, atol=1e-9)
    step = stack.axes_manager.signal_axes[0].scale
    same = SubImageStack.from_site_signals(
        patterns, sites, centre=(31.6, 32.2), radius=10.0 * float(step)
    )
    assert stack.data.shape == same.data.shape and stack.data.shape[-1] >= 21


def _shorter(sites):
    return sites.to_dataframe().iloc[:-1]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p, t, d: (d, t), ValueError, r"\(site \| kx, ky\) is expected"),
        (lambda p, t, d: (p.data, t), TypeError, "get_site_signals"),
        (lambda p, t, d: (p, _shorter(t)), ValueError, "patterns: give the table"),
        (lambda p, t, d: (p, {"x": t["x"]}), ValueError, "needs x and y"),
        (lambda p, t, d: (p, t, (200.0, 3.0)), ValueError, "inside the detector"),
        (lambda p, t, d: (p, t, "middle"), ValueError, "centre='middle'"),
        (lambda p, t, d: (p, t, None, 40), ValueError, "leaves the detector"),
        (lambda p, t, d: (p, t, None, 2**60), ValueError, "leaves the detector"),
        (lambda p, t, d: (p, t, None, 1e25), ValueError, "leaves the detector"),
        (lambda p, t, d: (p, t, None, -1), ValueError, "radius=-1"),
        (lambda p, t, d: (p, t, None, None, "30"), ValueError, "scan_rotation='30'"),
        (lambda p, t, d: (p, t, None, None, 0, "y"), ValueError, "flip='y'"),
        (lambda p, t, d: (p * 1j, t), TypeError, "real numbers"),
        (lambda p, t, d: (p * 0, t), ValueError, "no counts"),
    ],
)
def test_bad_input_is_refused(scan, patterns, call, error, message):
    with pytest.raises(error, match=message):
        SubImageStack.from_site_signals(*call(patterns, scan[1].sites, scan[0]))


def test_a_stack_is_no_signal_of_patterns(fitted):
    with pytest.raises(TypeError, match="sub-images already"):
        SubImageStack.from_site_signals(fitted, fitted.sites)


def test_shifts_of_patterns_are_refused(fitted):
    with pytest.raises(ValueError, match="translation=True"):
        fitted.deepcopy().rvae(translation=True)
