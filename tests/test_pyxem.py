# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals of pyxem and exspy as images, and the way back to them, with the real classes."""

import hyperspy.api as hs
import numpy as np
import pytest

from hs_rvae import SubImageStack, find_sublattices, get_sublattice_means
from hs_rvae.simulation import simulate_4dstem, simulate_spectrum_image

pytest.importorskip("exspy")
pyxem = pytest.importorskip("pyxem")

REFUSED = {
    "three virtual images": "holds 3 detectors of one scan.*inav.0.",
    "beam shift": r"get_magnitude_signal\(\) or image.phase_retrieval\(\)",
    "beam shift, transposed": "get_magnitude_signal",
    "magnitude and phase in colours": "colour picture",
    "patterns": "get_virtual_image",
    "spectra": "isig",
    "a list of maps": "list of 1 signals",
    "a complex image": "complex",
    "patterns of one line": "2-D image|navigation axes|constant|too small|lattice",
}


@pytest.fixture(scope="module")
def patterns():
    signal, truth = simulate_4dstem(
        (300, 300),
        step=2,
        detector=32,
        cell=32,
        column_width=0.06,
        domain_size=4,
        chemistry=0.0,
        electrons=2e4,
        random_state=0,
    )
    signal.set_signal_type("electron_diffraction")
    return signal, truth


@pytest.fixture(scope="module")
def spectra():
    return simulate_spectrum_image((150, 150), n_channels=64, counts=20, cell=16, random_state=0)


@pytest.fixture(scope="module")
def images(patterns, spectra):
    signal, _ = patterns
    ring = hs.roi.CircleROI(0, 0, 60, 20)
    disk = hs.roi.CircleROI(0, 0, 12)
    shift = signal.get_direct_beam_position(method="center_of_mass")
    lazy = signal.as_lazy()
    return {
        "integrated intensity": signal.get_integrated_intensity(ring),
        "virtual image": signal.get_virtual_image(ring),
        "lazy virtual image": lazy.get_virtual_image(ring),
        "three virtual images": signal.get_virtual_image([ring, disk, ring]),
        "beam shift": shift,
        "beam shift, transposed": shift.T,
        "a component": shift.isig[0].T,
        "magnitude": shift.get_magnitude_signal(),
        "integrated phase": shift.phase_retrieval(),
        "magnitude and phase in colours": shift.get_magnitude_phase_signal(),
        "sum of the patterns": signal.sum(axis=("kx", "ky")),
        "a component as a map": shift.isig[0],
        "patterns": signal,
        "spectra": spectra[1],
        "one channel as a map": spectra[1].isig[10:40].sum(-1),
        "a list of maps": [spectra[1].isig[3].T],
        "image of the spectra": spectra[0],
        "a complex image": hs.signals.ComplexSignal2D(spectra[0].data * 1j),
        "patterns of one line": signal.inav[:, 3],
    }


@pytest.mark.parametrize(
    "name", ["integrated intensity", "virtual image", "lazy virtual image", "sum of the patterns"]
)
def test_images_of_patterns_are_accepted_with_their_calibration(images, patterns, name):
    truth = patterns[1]
    xy = truth.b_sites[["x", "y"]].to_numpy() / 2
    stack = SubImageStack.from_positions(images[name], xy, window_size=24)
    axis = patterns[0].axes_manager.navigation_axes[0]
    assert stack.sites.pixel_units == "nm" and stack.sites.pixel_size[0] == axis.scale
    assert stack.metadata.Acquisition_instrument.TEM.beam_energy == 300.0


@pytest.mark.parametrize("kind", ["virtual_dark_field", "electron_diffraction", "diffraction"])
def test_the_signal_type_of_an_image_does_not_matter(spectra, kind):
    image, _, truth = spectra
    image = image.deepcopy()
    image.set_signal_type(kind)
    xy = truth.film.b_sites[["x", "y"]]
    one_frame = hs.signals.Signal2D(image.data[None])
    for given in (image, image.T, one_frame):
        stack = SubImageStack.from_positions(given, xy, window_size=20)
        assert len(stack.sites) > 20


@pytest.mark.parametrize("unit", ["nm", "Å", "A", "angstrom", "pm", "um", "µm"])
def test_displacements_are_right_in_any_unit_of_length(spectra, unit):
    image, _, truth = spectra
    image, xy = image.deepcopy(), truth.film.b_sites[["x", "y"]]
    size = {"nm": 1.0, "pm": 1e3, "um": 1e-3, "µm": 1e-3}.get(unit, 10.0)
    before = SubImageStack.from_positions(image, xy, 20, neighbours=truth.film.a_sites)
    for axis in image.axes_manager.signal_axes:
        axis.scale, axis.units = axis.scale * size, unit
    after = SubImageStack.from_positions(image, xy, 20, neighbours=truth.film.a_sites)
    name = "displacement_x_calibrated"
    assert after.sites.units[name] == "pm"
    np.testing.assert_allclose(after.sites[name], before.sites[name], rtol=1e-9)


@pytest.mark.parametrize("name", ["virtual image", "magnitude", "integrated phase"])
def test_columns_are_found_without_a_warning_of_a_derivative(images, name, caplog):
    find_sublattices(images[name], show_progressbar=False)
    assert "derivative" not in caplog.text


@pytest.mark.parametrize("name", ["a component", "a component as a map"])
def test_a_component_gets_a_warning(images, name, caplog):
    find_sublattices(images[name], show_progressbar=False)
    assert "resembles a derivative" in caplog.text


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_an_image_is_refused_with_the_way_out(images, name):
    with pytest.raises((ValueError, TypeError), match=REFUSED[name]):
        find_sublattices(images[name], show_progressbar=False)


def test_patterns_come_back_as_patterns(patterns, images):
    signal, truth = patterns
    b = truth.b_sites
    stack = SubImageStack.from_positions(
        images["virtual image"],
        b[["x", "y"]].to_numpy() / 2,
        window_size=24,
        columns={"variant": b["variant"].to_numpy()},
    )
    means = stack.get_cluster_means("variant", signal, radius=2)
    assert type(means) is type(signal) and means.axes_manager.signal_shape == (32, 32)
    assert means.axes_manager.signal_axes[0].units == "mrad"
    each = stack.get_site_signals(signal.as_lazy(), radius=2)
    assert each._lazy and each._signal_type == "electron_diffraction"
    assert means.get_virtual_image(hs.roi.CircleROI(0, 0, 12)).data.shape == means.data.shape[:1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_detectors_of_one_scan_give_the_same_variants(seed):
    signal, truth = simulate_4dstem(
        (500, 500),
        step=2,
        detector=32,
        cell=26,
        column_width=0.06,
        domain_size=7,
        chemistry=0.15,
        electrons=4000,
        random_state=seed,
    )
    signal.set_signal_type("electron_diffraction")
    shift = signal.get_direct_beam_position(method="center_of_mass")
    phase, dark_field = (
        shift.phase_retrieval(),
        signal.get_virtual_image(hs.roi.CircleROI(0, 0, 60, 20)),
    )
    xy = truth.b_sites[["x", "y"]].to_numpy() / 2
    one = SubImageStack.from_positions(phase, xy, window_size=24)
    found = {"phase": one, "dark field": one.recut(dark_field)}
    found["both"] = SubImageStack.from_positions(
        hs.stack([phase, dark_field]), xy, window_size=24, channels=["phase", "dark field"]
    )
    for stack in found.values():
        stack.rvae(1, epochs=1, random_state=0)
        stack.assign_variants(4)
        np.testing.assert_array_equal(stack.sites["site_index"], one.sites["site_index"])
    for name in ("dark field", "both"):
        variants = np.stack([one.sites["variant"], found[name].sites["variant"]])
        defined = (variants >= 0).all(0)
        assert defined.mean() > 0.8
        assert (variants[0] == variants[1])[defined].mean() >= 0.97


def test_patterns_become_sub_images(patterns, images):
    signal, truth = patterns
    a, b = (sites[["x", "y"]] / 2 for sites in (truth.a_sites, truth.b_sites))
    stack = SubImageStack.from_positions(
        images["integrated intensity"], b, window_size=18, neighbours=a
    )
    for data in (signal, signal.as_lazy()):
        at_sites = stack.get_site_signals(data, radius=1, about="cage")
        of_patterns = SubImageStack.from_site_signals(at_sites, stack.sites)
        assert of_patterns.metadata.Sub_images.patterns.scan_rotation == 0
        assert 0 < len(of_patterns.sites) <= len(stack.sites)
        axis = of_patterns.axes_manager.signal_axes[0]
        assert axis.units == signal.axes_manager.signal_axes[0].units
    of_patterns.rvae(1, epochs=1, random_state=0)
    assert of_patterns.rvae_model.rotation_ == "distortion"


def test_spectra_come_back_with_lines_and_errors(spectra):
    image, signal, _ = spectra
    signal.set_elements(["Pb"])
    signal.set_microscope_parameters(beam_energy=200)
    lattice = find_sublattices(image, show_progressbar=False)
    means = get_sublattice_means(lattice, signal, radius=2)
    assert type(means) is type(signal)
    assert means.metadata.Sample.elements == ["Pb"]
    model = means.inav[0].isig[0.6:1.6].create_model(auto_background=False, auto_add_lines=False)
    peak = hs.model.components1D.Gaussian(centre=0.95, sigma=0.05, A=1)
    model.append(peak)
    model.fit()
    assert np.isfinite(peak.A.std) and peak.A.value > 0
