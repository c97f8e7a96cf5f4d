# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the methods of a stack do with the verdict on its angles."""

import hyperspy.api as hs
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

import hs_rvae
from hs_rvae.verdict import Verdict

FOUR = (45, 135, 225, 315)


def circular(a, b):
    return np.degrees(np.abs(np.angle(np.exp(1j * (a - b)))))


def given(degrees, kind="variants", rotation="distortion", *, n=600, spread=4.0, symmetry=4):
    """A stack of small windows with angles about directions (deg) in domains, and a verdict."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(8 + 6.0 * np.arange(30), 8 + 6.0 * np.arange(n // 30))
    number = (x.ravel() * len(degrees) / (x.max() + 1)).astype(int)
    angle = np.radians(np.asarray(degrees)[number] + spread * rng.standard_normal(n))
    image = hs.signals.Signal2D(rng.standard_normal((int(y.max()) + 9, int(x.max()) + 9)))
    stack = hs_rvae.SubImageStack.from_positions(
        image, np.column_stack([x.ravel(), y.ravel()]), window_size=8
    )
    columns = {"angle": np.angle(np.exp(1j * angle)), "angle_std": np.full(n, 0.07)}
    columns |= {"order_amplitude": np.ones(n), "order_amplitude_std": np.full(n, 0.07)}
    stack.sites.set_many(columns, dict.fromkeys(["angle", "angle_std"], "rad"), writer="rvae")
    verdict = Verdict(kind, rotation, evidence={"predicted": 0.8}, notes=("A note.",))
    node = {"verdict": verdict.as_dict(), "lattice_symmetry": symmetry, "angle_offset": 0.0}
    stack.metadata.set_item("Sub_images.rvae", node | {"fit_id": "a fit"})
    return stack, number


def test_groups_do_not_depend_on_what_widens_the_posteriors():
    stack, _ = given([0, 90, 180, 270], spread=15.0)
    other, _ = given([0, 90, 180, 270], spread=15.0)
    other.sites.set("angle_std", 1.3 * other.sites["angle_std"], "rad")
    other.metadata.Sub_images.rvae.angle_std_factor = 1.3
    assert stack.assign_variants() == other.assign_variants() == 4
    np.testing.assert_array_equal(stack.sites["variant"], other.sites["variant"])


# The verdict is kept


@pytest.fixture(scope="module")
def whole(make_film):
    """A film of four variants with displacements; the verdict of its fit, and its variants."""
    film = make_film(0, n_cells=24, cell=18.0, domain_size=8, nonpolar=0.0)
    stack = hs_rvae.SubImageStack.from_positions(
        film.image, film.positions, window_size=32, neighbours=film.truth.a_sites
    )
    stack.rvae(output_dimension=1, epochs=1, random_state=0)
    assert stack.assign_variants() == 4
    index = stack.sites["site_index"]
    film.true_angle = film.truth.b_sites["angle"].to_numpy()[index]
    film.variant = film.truth.b_sites["variant"].to_numpy()[index]
    film.interior = film.truth.interior()[index]
    return stack, film


def saved(stack, path):
    stack.save(path)
    return hs.load(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda s, path: saved(s, path / "stack.hspy"),
        lambda s, path: saved(s, path / "stack.zspy"),
        lambda s, path: s.inav[20:90],
        lambda s, path: s.select_sites(s.sites["x"] > 200),
        lambda s, path: s.deepcopy(),
        lambda s, path: s.as_lazy(),
        lambda s, path: hs_rvae.stack([s.inav[:100], s.inav[100:]]),
        lambda s, path: s.get_rvae_model(),
    ],
    ids=["hspy", "zspy", "inav", "select_sites", "deepcopy", "lazy", "joined", "decoded"],
)
def test_the_verdict_stays_with_the_stack(whole, tmp_path, make):
    stack = whole[0]
    made = make(stack, tmp_path)
    verdict = made.rvae_verdict
    assert isinstance(verdict, Verdict) and verdict == stack.rvae_verdict
    assert verdict == stack.rvae_model.verdict_ and str(verdict) == str(stack.rvae_verdict)
    # The directions are those of all sites; shares and numbers are of the sites that are left.
    directions = ["direction", "direction_std", "width"]
    pd.testing.assert_frame_equal(made.variants[directions], stack.variants[directions])
    variant = made.sites["variant"]
    assert made.variants["n_sites"].sum() == (variant >= 0).sum()


def test_a_site_alone_has_the_verdict_of_all(whole):
    assert whole[0].inav[3].rvae_verdict == whole[0].rvae_verdict
    assert whole[0].inav[3].variants["n_sites"].sum() <= 1


def test_without_angles_there_is_no_verdict(whole):
    _, film = whole
    assert film.stack.rvae_verdict is None
    bare = film.stack.deepcopy()
    bare.rvae(output_dimension=1, rotation=False, epochs=1, random_state=0)
    assert bare.rvae_verdict is None and "angle" not in bare.sites


def test_another_image_gets_the_verdict_of_the_model(whole, tmp_path):
    stack, film = whole
    other = film.stack.deepcopy()
    other.apply_rvae(stack.rvae_model)
    assert other.rvae_verdict == stack.rvae_verdict
    stack.rvae_model.save(tmp_path / "model.safetensors")
    again = film.stack.deepcopy()
    again.apply_rvae(tmp_path / "model.safetensors")
    assert again.rvae_verdict == stack.rvae_verdict
    assert again.assign_variants() == 4


def test_stacks_of_different_fits_have_no_common_verdict():
    one, other = given(FOUR)[0], given(FOUR, "continuous")[0]
    other.metadata.Sub_images.rvae.fit_id = "another fit"
    assert hs_rvae.stack([one, other]).rvae_verdict is None
    other.metadata.Sub_images.rvae.fit_id = "a fit"
    assert hs_rvae.stack([one, one.deepcopy()]).rvae_verdict == one.rvae_verdict


# Variants follow the verdict


def test_variants_lie_at_any_distance():
    stack, number = given((10, 78, 200))
    assert stack.assign_variants() == 3
    table = stack.variants
    np.testing.assert_allclose(np.degrees(table["direction"]), [10, 78, 200], atol=1)
    assert (stack.sites["variant"] == number).mean() > 0.98
    assert np.degrees(np.nanmax(np.abs(stack.sites["variant_residual"]))) < 20
    # Four wells on request: some of them are empty, and the angles lie off them.
    assert stack.assign_variants(4) == 4 and len(stack.variants) == 4


def test_a_continuous_turn_has_variants_only_if_they_are_asked_for(caplog):
    rng = np.random.default_rng(0)
    stack, _ = given(rng.uniform(-180, 180, 300), "continuous")
    assert stack.assign_variants() == 0
    assert (stack.sites["variant"] == -1).all()
    assert "it has no variants (stack.rvae_verdict); n_variants=4 divides" in caplog.text
    assert stack.assign_variants(4, origin=0.0) == 4
    assert (stack.sites["variant"] >= 0).all()
    np.testing.assert_allclose(stack.variants["direction"], np.pi / 2 * np.arange(4), atol=1e-9)
    assert np.abs(stack.sites["variant_residual"]).max() <= np.pi / 4 + 1e-6


def test_sharp_groups_of_a_continuous_verdict_stay_unnamed():
    # The verdict is judged on displacements; the angles alone must not contradict it.
    stack, _ = given(FOUR, "continuous")
    assert stack.assign_variants() == 0


@pytest.mark.parametrize("n_variants", ["auto", 1, 4])
def test_nothing_has_no_variants_however_they_are_asked_for(n_variants, caplog):
    stack, _ = given(FOUR, "nothing")
    assert stack.assign_variants(n_variants, least_order=0.0) == 0
    assert (stack.sites["variant"] == -1).all() and stack.variants.empty
    assert "no distortion stands out from the noise" in caplog.text
    for advice in ("rotation=", "n_variants=", "subtract"):  # that would invent something
        assert advice not in caplog.text


def test_one_direction_is_one_variant():
    stack, _ = given((70,), "one direction")
    assert stack.assign_variants() == 1
    assert np.degrees(stack.variants["direction"][0]) == pytest.approx(70, abs=1)


def test_undistorted_sites_have_no_variant():
    stack, number = given(FOUR)
    amplitude = np.where(number == 1, 0.35, 1.0)
    stack.sites.set_many({"order_amplitude": amplitude}, writer="rvae")
    assert stack.assign_variants() == 3
    assert (stack.sites["variant"][number == 1] == -1).all()
    assert stack.assign_variants(least_order=0.2) == 4


def test_groups_of_a_strain_alone_are_the_variants():
    stack, number = given((0, 90), symmetry=4)
    verdict = Verdict("variants", "distortion", ("strain",))
    stack.metadata.set_item("Sub_images.rvae.verdict", verdict.as_dict())
    stack.sites.set_many({"strain_variant": number}, {"strain_variant": ""}, writer="rvae")
    assert stack.assign_variants() == 2
    np.testing.assert_array_equal(stack.sites["variant"], number)
    np.testing.assert_allclose(np.degrees(stack.variants["direction"]), [0, 90], atol=1)
    assert np.degrees(np.abs(stack.sites["variant_residual"])).max() < 20
    # Domains belong to the variants they were found in.
    stack.find_domains()
    assert stack.assign_variants() == 2 and "domain" not in stack.sites
    registered = stack.register_angle("displacement")
    assert registered.offset == 0 and np.isnan(registered.resultant)


# The table of the variants


def test_the_table_of_the_variants_has_directions_and_shares(whole):
    stack, film = whole
    table = stack.variants
    assert list(table.columns) == ["direction", "direction_std", "width", "share", "n_sites"]
    assert table.index.name == "variant" and table.index.tolist() == [0, 1, 2, 3]
    variant = stack.sites["variant"]
    np.testing.assert_array_equal(table["n_sites"], np.bincount(variant[variant >= 0]))
    assert table["share"].sum() == pytest.approx(1)
    # Known better than the angle of one site, and right: 45, 135, 225, 315 degrees.
    assert (table["direction_std"] < table["width"] / 2).all()
    assert (circular(table["direction"], np.radians(FOUR)) < 3).all()
    for k in range(4):
        angle = stack.sites["angle"][film.interior & (variant == k)]
        mean = np.angle(np.exp(1j * angle).mean())
        assert circular(mean, table["direction"][k]) < 2
    keep = film.interior & (variant >= 0)
    assert adjusted_rand_score(film.variant[keep], variant[keep]) > 0.98


def test_angles_without_a_model_have_a_table_too():
    stack, number = given((10, 78, 200))
    del stack.metadata.Sub_images.rvae
    assert stack.assign_variants() == 3
    np.testing.assert_allclose(np.degrees(stack.variants["direction"]), [10, 78, -160], atol=1)
    assert (stack.variants["direction_std"] < np.radians(1)).all()


def test_variants_of_before_are_not_those_of_now():
    stack, number = given(FOUR)
    with pytest.raises(ValueError, match=r"no variants; stack.assign_variants\(\) finds them"):
        len(stack.variants)
    stack.assign_variants()
    stack.sites.set("variant", number % 2)  # labels of one's own
    assert len(stack.variants) == 2 and stack.variants["n_sites"].sum() == len(number)
    stack.sites.remove("variant")
    with pytest.raises(ValueError, match="no variants"):
        len(stack.variants)
    with pytest.raises(ValueError, match=r"no variants; stack.assign_variants\(\) first"):
        stack.derotate()


def test_joined_stacks_with_different_variants_are_refused():
    one, other = given(FOUR)[0], given(FOUR)[0]
    one.assign_variants()
    other.assign_variants(2)
    joined = hs_rvae.stack([one, other])
    with pytest.raises(ValueError, match="in different ways: stack.assign_variants"):
        len(joined.variants)
    with pytest.raises(ValueError, match="no variants; stack.assign_variants"):
        joined.derotate()
    assert joined.assign_variants() == 4 and len(joined.variants) == 4
    # Angles of two fits have no common directions to write down.
    one.metadata.Sub_images.rvae.fit_id = "another fit"
    with pytest.raises(ValueError, match="in different ways"):
        len(hs_rvae.stack([one, other]).variants)


# Numbers


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 45])
def test_numbers_stay_under_offsets_of_a_few_degrees(first):
    labels = []
    for degrees in (-4, -2, 2, 4):
        stack, number = given(np.arange(4) * 90 + first + degrees, spread=3.0)
        assert stack.assign_variants() == 4
        labels.append(stack.sites["variant"])
        assert (labels[-1] == number).mean() > 0.98
        stack.assign_variants(4)
        assert (stack.sites["variant"] == number).mean() > 0.98
    assert all((labels[0] == other).mean() > 0.98 for other in labels)


def test_two_detectors_of_one_scan_number_variants_alike(whole):
    stack, film = whole
    # Another contrast: saturated, blurred, other noise.
    data = film.image.data - film.image.data.min()
    image = film.image.deepcopy()
    noise = np.random.default_rng(1).standard_normal(data.shape)
    image.data = np.tanh(1.5 * data / data.max()) + 0.02 * noise
    other = hs_rvae.SubImageStack.from_positions(
        image, film.positions, window_size=32, neighbours=film.truth.a_sites
    )
    other.rvae(output_dimension=1, epochs=1, random_state=1)
    assert other.assign_variants() == 4
    both = (other.sites["variant"] >= 0) & (stack.sites["variant"] >= 0)
    assert both[film.interior].mean() > 0.95  # in walls angles lie between the variants
    assert (other.sites["variant"] == stack.sites["variant"])[both].mean() > 0.98
    assert np.median(circular(other.sites["angle"], stack.sites["angle"])[both]) < 3


# The zero


def test_measured_displacements_give_the_zero_and_both_angles_turn_along(caplog):
    stack, _ = given(FOUR)
    # An aberration moved what the pixels show by 20 degrees.
    angle = stack.sites["angle"]
    pixels = np.angle(np.exp(1j * (angle - np.radians(20))))
    columns = {"displacement_x": np.cos(angle), "displacement_y": np.sin(angle)}
    stack.sites.set_many(columns, writer="neighbours")
    offset, agreement = stack.register_angle("displacement")
    assert (offset, agreement) == (0.0, pytest.approx(1.0))
    stack.sites.set_many({"angle_pixels": pixels}, {"angle_pixels": "rad"}, writer="rvae")
    # The displacements gave the other angles their zero, and so cannot confirm it.
    offset, agreement = stack.register_angle("displacement")
    assert (offset, agreement) == (0.0, pytest.approx(np.cos(np.radians(20)), abs=1e-6))
    offset, _ = stack.register_angle(1.0)
    for name, before in (("angle", angle), ("angle_pixels", pixels)):
        assert circular(stack.sites[name], before - offset).max() < 1e-6
    assert not caplog.text


def test_a_direction_has_no_offset_to_the_template():
    stack, _ = given(FOUR)
    before = stack.sites["angle"]
    assert stack.register_angle("template") == (0.0, pytest.approx(np.exp(-(0.07**2) / 2)))
    np.testing.assert_array_equal(stack.sites["angle"], before)


# Turned back


def test_variants_are_turned_onto_variant_0_by_turns_of_the_lattice(whole):
    stack, film = whole
    turned = stack.derotate()
    turn, variant = turned.sites["lattice_turn"], stack.sites["variant"]
    assert turned.sites.units["lattice_turn"] == "rad"
    assert turned.sites.writers["lattice_turn"] == "derotate"
    np.testing.assert_array_equal(np.isnan(turn), variant == -1)
    np.testing.assert_array_equal(np.isnan(turned.data).all((1, 2)), variant == -1)
    good = variant >= 0
    np.testing.assert_allclose(turn[good], np.pi / 2 * variant[good], atol=1e-6)
    np.testing.assert_array_equal(turned.sites["angle"], stack.sites["angle"])  # as they were
    # The same direction everywhere, and the same picture.
    left = stack.sites["angle"][good] - turn[good]
    assert np.median(circular(left, stack.variants["direction"][0])) < 6
    keep = film.interior & good
    line = np.arange(32) - 15.5
    inside = np.hypot(line, line[:, None]) < 14
    common = turned.data[keep][:, inside].mean(0)
    for k in np.flatnonzero(np.bincount(variant[keep], minlength=4) > 20):
        own = turned.data[keep & (variant == k)][:, inside].mean(0)
        before = stack.data[keep & (variant == k)][:, inside].mean(0)
        assert np.corrcoef(own, common)[0, 1] > 0.98
        assert k == 0 or np.corrcoef(before, common)[0, 1] < 0.95


def test_a_continuous_turn_is_turned_back_by_the_nearest_turn_of_the_lattice():
    rng = np.random.default_rng(0)
    stack, _ = given(rng.uniform(-180, 180, 300), "continuous")
    turn = stack.derotate().sites["lattice_turn"]
    steps = turn / (np.pi / 2)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    left = np.angle(np.exp(1j * (stack.sites["angle"] - turn)))
    assert np.abs(left).max() <= np.pi / 4 + 1e-6
    assert len(np.unique(np.round(steps) % 4)) == 4


def test_one_direction_stays_as_it_is():
    stack, _ = given((70,), "one direction")
    turned = stack.derotate(fill_value=None)
    assert not turned.sites["lattice_turn"].any()
    np.testing.assert_allclose(turned.data, stack.data, atol=1e-5)


@pytest.mark.parametrize(
    ("degrees", "kind", "symmetry", "message"),
    [
        (FOUR, "nothing", 4, "nothing to turn back. No distortion stands out from the noise"),
        (FOUR, "variants", 1, "no turn onto itself.*column of angles of your own"),
        ((10, 78, 200), "variants", 4, "variants 0 and . are .* not a multiple of 90 degrees"),
        ((30, 150, 270), "variants", 4, "not a multiple of 90 degrees.*get_cluster_means"),
    ],
)
def test_what_cannot_be_turned_back_is_refused_with_the_reason(degrees, kind, symmetry, message):
    stack, _ = given(degrees, kind, symmetry=symmetry)
    stack.assign_variants()
    with pytest.raises(hs_rvae.exceptions.ModelMismatch, match=message):
        stack.derotate()
    # A column of one's own turns in full, whatever the verdict.
    stack.sites.set("mine", stack.sites["angle"], "rad")
    turned = stack.derotate("mine")
    assert "lattice_turn" not in turned.sites and np.isfinite(turned.data).all()


def test_three_variants_of_a_hexagonal_lattice_are_turned_back():
    stack, number = given((30, 150, 270), symmetry=6)
    assert stack.assign_variants() == 3
    turn, good = stack.derotate().sites["lattice_turn"], stack.sites["variant"] >= 0
    np.testing.assert_allclose(turn[good], (2 * np.pi / 3 * number)[good], atol=1e-6)


def test_variants_come_before_turning_back():
    stack, _ = given(FOUR)
    with pytest.raises(ValueError, match=r"no variants; stack.assign_variants\(\) first"):
        stack.derotate()


def test_a_turning_motif_is_turned_back_in_full():
    stack, _ = given(FOUR, "turning motif", "motif")
    turned = stack.derotate()
    assert "lattice_turn" not in turned.sites
    expected = stack.deepcopy()
    expected.sites.set("mine", stack.sites["angle"], "rad")
    np.testing.assert_array_equal(turned.data, expected.derotate("mine").data)
