# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who wrote a column: methods replace their own columns and keep those of users."""

import hyperspy.api as hs
import numpy as np
import pytest
from sklearn.decomposition import PCA

import hs_rvae
from hs_rvae import SubImageStack
from hs_rvae.rvae.estimator import RVAE
from hs_rvae.sites import columns

FIT = {"output_dimension": 1, "epochs": 1, "n_init": 1, "random_state": 0}


@pytest.fixture
def stack(film):
    return film.stack.inav[:120].deepcopy()


@pytest.fixture
def fitted(fitted_once):
    return fitted_once.inav[:150].deepcopy()


def no_work(*args, **kwargs):
    raise AssertionError("work was done before the columns were looked at")


def state(stack):
    """Everything that a call that fails must leave as it was."""
    return (
        stack.sites.to_dataframe().to_csv(),
        stack.sites.units,
        stack.sites.writers,
        str(stack.metadata),
        stack._rvae_model,
        stack.learning_results.loadings is None,
    )


def refused(stack, verb, *args, names, **kwargs):
    """The call is refused, names the columns and the option, and changes nothing."""
    before = state(stack)
    with pytest.raises(ValueError, match=f"{names}.*you wrote.*overwrite=True"):
        getattr(stack, verb)(*args, **kwargs)
    assert state(stack) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["angle", "angle_std", "latent_0", "latent_7", "log_likelihood"])
@pytest.mark.parametrize("verb", ["rvae", "apply_rvae"])
def test_a_model_does_not_replace_columns_of_the_user(stack, model, monkeypatch, verb, name):
    stack.sites[name] = np.arange(120.0)
    for method in ("fit", "fit_transform", "transform"):
        monkeypatch.setattr(RVAE, method, no_work)
    args, kwargs = ((), FIT) if verb == "rvae" else ((model,), {})
    refused(stack, verb, *args, names=f"'{name}'", **kwargs)
    monkeypatch.undo()
    getattr(stack, verb)(*args, **kwargs, overwrite=True)
    assert stack.sites.writers["angle"] == "rvae"
    assert "latent_7" not in stack.sites


@pytest.mark.slow
def test_the_columns_of_the_simulated_truth_survive_a_fit(film):
    truth = film.truth.b_sites
    stack = SubImageStack.from_positions(
        film.image, truth[["x", "y"]], 32,
        columns={"true_angle": truth["angle"], "variant": truth["variant"]},
    )  # fmt: skip
    variant = stack.sites["variant"]
    stack.rvae(**FIT)
    np.testing.assert_array_equal(stack.sites["variant"], variant)
    stack.register_angle(0.3)
    np.testing.assert_array_equal(stack.sites["variant"], variant)
    refused(stack, "assign_variants", names="'variant'")
    assert stack.assign_variants(4, overwrite=True) == 4
    assert stack.sites.writers["variant"] == "assign_variants"
    stack.rvae(**FIT)
    assert "variant" not in stack.sites  # of angles that are no more


def test_columns_that_a_model_does_not_write_may_have_its_names(stack):
    stack.sites["shift_x"] = np.arange(120.0)
    stack.sites.set("angle", np.arange(120.0), "rad")
    stack.rvae(**FIT, rotation=False)
    np.testing.assert_array_equal(stack.sites["shift_x"], np.arange(120.0))
    np.testing.assert_array_equal(stack.sites["angle"], np.arange(120.0))
    refused(stack, "rvae", names="'shift_x'", **FIT, rotation=False, translation=True)


@pytest.mark.slow
def test_a_second_fit_replaces_its_own_columns_only(fitted):
    fitted.sites["latent_0_mean"] = np.ones(150)
    fitted.sites["strain"] = np.ones(150)
    fitted.rvae(**FIT)
    assert "latent_1" not in fitted.sites
    assert fitted.sites.writers["latent_0"] == "rvae"
    assert {"strain", "latent_0_mean"} <= set(fitted.sites.columns)


def test_a_column_that_was_changed_by_hand_is_the_users(fitted):
    fitted.sites["angle"] = fitted.sites["angle"] + 0.1
    refused(fitted, "rvae", names="'angle'", **FIT)
    refused(fitted, "register_angle", 0.0, names="'angle'")
    offset, _ = fitted.register_angle(0.0, overwrite=True)
    assert fitted.metadata.Sub_images.rvae.angle_offset == pytest.approx(offset)


def test_decompositions_and_embeddings_keep_columns_of_the_user(stack, monkeypatch):
    stack.sites.set("pca_3", np.arange(120.0), "e")
    monkeypatch.setattr("hs_rvae.signals.learning.decompose_in_memory", no_work)
    refused(stack, "decomposition", "PCA", output_dimension=2, names="'pca_3'")
    monkeypatch.undo()
    stack.decomposition("PCA", output_dimension=3, overwrite=True)
    assert stack.sites.numbered("pca") == ["pca_0", "pca_1", "pca_2"]
    assert stack.sites.units["pca_0"] == ""
    stack.decomposition("PCA", output_dimension=2)
    assert stack.sites.numbered("pca") == ["pca_0", "pca_1"]
    stack.sites["isomap_0"] = np.arange(120.0)
    monkeypatch.setattr("hs_rvae.learning.embedding.embed", no_work)
    refused(stack, "embedding", "isomap", names="'isomap_0'")
    monkeypatch.undo()
    stack.embedding("isomap", overwrite=True)
    assert stack.sites.writers["isomap_1"] == "embedding"


def test_a_method_keeps_the_columns_of_another(stack):
    stack.decomposition("PCA", output_dimension=2)
    loadings = stack.sites["pca_0"]
    with pytest.raises(ValueError, match=r"'pca_0', 'pca_1', which stack.decomposition\(\) wrote"):
        stack.embedding(PCA(2), source="signal")
    with pytest.raises(ValueError, match=r"'x', which SubImageStack.*name another, column=..."):
        stack.cluster_analysis("decomposition", n_clusters=2, column="x")
    np.testing.assert_array_equal(stack.sites["pca_0"], loadings)


def test_clusters_keep_columns_of_the_user(stack, monkeypatch):
    stack.decomposition("PCA", output_dimension=2)
    stack.sites["cluster_probability"] = np.full(120, 0.5)
    monkeypatch.setattr("hs_rvae.learning.clusters.cluster", no_work)
    refused(stack, "cluster_analysis", n_clusters=2, names="'cluster_probability'")
    monkeypatch.undo()
    stack.cluster_analysis(n_clusters=2, column="group", random_state=0)
    stack.cluster_analysis(n_clusters=3, column="group", random_state=0)
    assert (stack.sites["cluster_probability"] == 0.5).all()
    stack.cluster_analysis(n_clusters=2, overwrite=True, random_state=0)
    assert stack.sites.writers["cluster_probability"] == "cluster_analysis"


def test_tracks_of_the_user_are_kept():
    series, truths = hs_rvae.simulation.simulate_series((120, 120), 2, random_state=0)
    positions = [truth.b_sites[["x", "y"]] for truth in truths]
    tracks = [{"track": np.arange(len(xy))[::-1]} for xy in positions]
    stack = SubImageStack.from_positions(series, positions, 32, columns=tracks)
    number = stack.sites["track"]
    assert stack.sites.writers["track"] == ""
    refused(stack, "link_frames", names="'track'")
    np.testing.assert_array_equal(stack.sites["track"], number)
    stack.link_frames(overwrite=True)
    assert stack.sites.writers["track"] == "link_frames"
    with pytest.raises(ValueError, match="columns must not contain 'frame'"):
        frames = [{"frame": np.zeros(len(xy))} for xy in positions]
        SubImageStack.from_positions(series, positions, 32, columns=frames)


def test_a_new_stack_says_who_wrote_its_columns(film):
    lattice = hs_rvae.find_sublattices(film.image)
    n = len(lattice.get_sublattice("B").x_position)
    stack = SubImageStack.from_atom_lattice(
        lattice, film.image, "B", 32, columns={"volume": np.ones(n), "mine": np.ones(n)}
    )
    writers = stack.sites.writers
    for name, writer in writers.items():
        expected = "" if name in ("volume", "mine") else columns.find(name).writer
        assert writer == expected, name
    assert (stack.sites["volume"] == 1).all()


def test_diagnostics_write_no_column_of_the_user(fitted):
    fitted.sites["disk_intensity"] = np.arange(150.0)
    found = fitted.rvae_diagnostics(n_shuffles=10, random_state=0)
    np.testing.assert_array_equal(fitted.sites["disk_intensity"], np.arange(150.0))
    assert fitted.sites.writers["lowest_intensity"] == "rvae_diagnostics"
    fitted.sites.remove("disk_intensity")
    again = fitted.rvae_diagnostics(n_shuffles=10, random_state=0)
    assert again.table.equals(found.table)  # the measured values, not the user's


@pytest.mark.slow
def test_a_comparison_leaves_columns_of_the_user_in_the_stack(film):
    stack = film.stack.deepcopy()
    stack.sites["variant"] = np.zeros(len(stack.sites), int)
    stack.sites.set("angle", np.zeros(len(stack.sites)), "rad")
    stack.sites["strain"] = np.ones(len(stack.sites))
    before = state(stack)
    settings = {"own": FIT, "smaller": FIT | {"window_size": 28}}
    comparison = hs_rvae.compare_rvae(stack, settings)
    assert state(stack) == before
    for one in comparison.stacks.values():
        writers = one.sites.writers
        assert (writers["angle"], writers["strain"]) == ("rvae", "")
        assert writers["offset_x"] == "from_positions"


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
def test_writers_follow_slices_copies_selections_joins_and_files(tmp_path, fitted, extension):
    fitted.sites["strain"] = np.ones(150)
    fitted.assign_variants(4)
    writers = fitted.sites.writers
    assert (writers["strain"], writers["angle"], writers["x"]) == ("", "rvae", "from_positions")
    fitted.save(tmp_path / f"stack.{extension}")
    loaded = hs.load(tmp_path / f"stack.{extension}")
    derived = {
        "loaded": loaded,
        "lazy": hs.load(tmp_path / f"stack.{extension}", lazy=True),
        "slice": loaded.inav[3:40],
        "one site": fitted.inav[3],
        "cropped windows": fitted.isig[2:-2, 2:-2],
        "copy": fitted.deepcopy(),
        "selection": fitted.select_sites(fitted.sites["x"] > 100),
        "part": fitted.split(number_of_parts=2)[1],
        "current": fitted.get_current_signal(),
        "residual": fitted.get_rvae_residual(),
        "turned": fitted.derotate(),
        "joined": hs_rvae.stack([fitted, fitted.inav[:20]]),
    }
    added = {"image": "stack", "lattice_turn": "derotate"}
    for name, one in derived.items():
        assert one.sites.writers | added == writers | added, name
        assert ("lattice_turn" in one.sites) == (name == "turned")
    with pytest.raises(ValueError, match="'angle', which you wrote"):
        loaded.sites["angle"] = np.zeros(150)
        loaded.rvae(**FIT)


def test_a_column_that_one_of_the_joined_stacks_got_from_the_user_is_the_users(stack):
    other = stack.deepcopy()
    stack.decomposition("PCA", output_dimension=2)
    other.sites["pca_0"] = np.zeros(120)
    joined = hs_rvae.stack([stack, other])
    assert (joined.sites.writers["pca_0"], joined.sites.writers["image"]) == ("", "stack")
    again = hs_rvae.stack([joined, stack])
    assert np.unique(again.sites["image"]).tolist() == [0, 1, 2]
    other.sites["image"] = np.full(120, 7)
    with pytest.raises(ValueError, match=r"stacks\[1\] has a column 'image' that hs_rvae.stack"):
        hs_rvae.stack([stack, other])
