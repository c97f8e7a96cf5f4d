# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns found by a trained network: its use, its file, its training."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from sklearn.metrics import adjusted_rand_score

import hs_rvae
from hs_rvae.columns import ColumnNetwork, find_columns, find_sublattices, train_network
from hs_rvae.columns.network.column_network import WEIGHTS
from hs_rvae.columns.network.inference import cells_of
from hs_rvae.columns.network.sampling import normalised, sampled, working_shape
from hs_rvae.columns.network.training_data import TrainingImage, batch_of
from hs_rvae.columns.search_image import Picture
from hs_rvae.simulation import simulate_crystal, simulate_perovskite, simulate_training_images

STEP = np.array([1.8, 1.8])


def columns_of(truth):
    return np.vstack([truth.a_sites[["x", "y"]], truth.b_sites[["x", "y"]]]).astype(float)


def scores(found, true, tolerance, shape, rim):
    """Precision and recall, one found column for each true one, away from the border."""
    found, size = np.asarray(found, float), np.array(shape[::-1])

    def inside(xy):
        return ((xy > rim) & (xy < size - 1 - rim)).all(axis=1)

    apart, nearest = cKDTree(found).query(true, distance_upper_bound=tolerance)
    hit = np.isfinite(apart)
    used = np.zeros(len(found), bool)
    used[nearest[hit]] = True
    return used[inside(found)].mean(), hit[inside(true)].mean()


@pytest.fixture(scope="module")
def network():
    return ColumnNetwork(device="cpu")


@pytest.fixture(scope="module")
def film():
    """A noisy film of 4 counts."""
    return simulate_perovskite((200, 200), dose=4.0, random_state=3)


# Use -------------------------------------------------------------------------


def test_columns_of_a_film_of_four_counts(film):
    image, truth = film
    table = find_columns(image, "network", show_progressbar=False)
    precision, recall = scores(table[["x", "y"]], columns_of(truth), 5, image.data.shape, 9)
    assert precision >= 0.95 and recall >= 0.9
    assert table.probability.between(0.5, 1).all()
    assert table.attrs["dark"] is False


def test_sublattices_of_a_noisy_film(film):
    image, truth = film
    lattice = find_sublattices(image, method="network", show_progressbar=False)
    assert [one.name for one in lattice.sublattice_list] == ["A", "B"]
    table = lattice.sublattice_list[0].column_table
    assert scores(table[["x", "y"]], truth.a_sites[["x", "y"]], 5, image.data.shape, 9)[1] > 0.95
    assert (table.probability[table.found] >= 0.5).all()
    assert table.probability[~table.found].isna().all()
    stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="A")
    assert "probability" in stack.sites


def test_dark_columns_are_found_as_well(network):
    image, truth = simulate_perovskite((200, 200), dark=True, dose=60, random_state=0)
    table = find_columns(image, network, show_progressbar=False)
    assert table.attrs["dark"]
    precision, recall = scores(table[["x", "y"]], columns_of(truth), 5, image.data.shape, 9)
    assert precision > 0.95 and recall > 0.95


def test_auto_takes_the_network_where_maxima_are_not_clear(film):
    noisy = find_columns(film[0], "auto", show_progressbar=False)
    clear, _ = simulate_perovskite((128, 128), random_state=0)
    assert "probability" in noisy
    assert "probability" not in find_columns(clear, "auto", show_progressbar=False)
    lattice = find_sublattices(film[0], method="auto", show_progressbar=False)
    assert "probability" in lattice.sublattice_list[0].column_table


def test_auto_gives_the_error_of_maxima_where_the_network_fails_too():
    noise = np.random.default_rng(0).poisson(9, (64, 64)).astype(float)
    with pytest.raises(ValueError, match="No lattice was found"):
        find_sublattices(noise, method="auto", show_progressbar=False)


def test_the_network_refuses_an_image_without_columns(network):
    noise = np.random.default_rng(0).normal(size=(64, 64))
    with pytest.raises(ValueError, match="sure of"):
        find_columns(noise, network, show_progressbar=False)


@pytest.mark.slow
def test_a_lazy_image_and_a_series_give_the_same_bits(film, network):
    image, _ = film
    expected = find_columns(image, network, show_progressbar=False)
    lazy = hs.signals.Signal2D(da.from_array(image.data, chunks=(100, 64))).as_lazy()
    series = hs.signals.Signal2D(np.stack([image.data, image.data]))
    for table in [
        find_columns(lazy, network, show_progressbar=False),
        *find_columns(series, network, show_progressbar=False),
    ]:
        np.testing.assert_array_equal(table.to_numpy(), expected.to_numpy())
    lattices = find_sublattices(series, method=network, show_progressbar=False)
    assert lattices.names == ["A", "B"] and len(lattices) == 2


def test_tiles_agree_with_the_whole(film, network):
    image = Picture.of(film[0]).values
    one = cells_of(network.net, network.device, image, STEP / 2)
    many = cells_of(network.net, network.device, image, STEP / 2, tile=128)
    assert np.abs(one.probability - many.probability).max() < 0.05
    assert one.probability.shape == tuple(-(-n // 2) for n in working_shape(image.shape, STEP / 2))


def test_pixels_that_were_not_measured_hold_no_columns(film, network):
    data = film[0].data.astype(float)
    data[60:120, 60:120] = np.nan
    table = find_columns(data, network, show_progressbar=False)
    inside = table.x.between(64, 115) & table.y.between(64, 115)
    assert len(table) > 50 and not inside.any()


def test_pixels_need_not_be_square(network):
    image, truth = simulate_perovskite((256, 256), dose=40, random_state=0)
    flat = hs.signals.Signal2D(image.data[::2] + image.data[1::2])
    for axis, scale in zip(flat.axes_manager.signal_axes, (0.015, 0.03), strict=True):
        axis.scale, axis.units = scale, "nm"
    found = Picture.of(flat)
    positions = network.detect(found).positions * (1, 2) + (0, 0.5)
    assert min(scores(positions, columns_of(truth), 5, (256, 256), 9)) > 0.95


def test_a_spacing_and_a_probability_may_be_given(film):
    picture = Picture.of(film[0])
    assert ColumnNetwork(spacing=20, device="cpu").detect(picture).spacing == 20
    sure = find_columns(film[0], ColumnNetwork(probability=0.95), show_progressbar=False)
    assert len(sure) < len(find_columns(film[0], "network", show_progressbar=False))


@pytest.mark.parametrize(
    ("method", "error", "words"),
    [
        ("unet", ValueError, "method='unet' is unknown"),
        (3, TypeError, "method=3: use"),
        (None, TypeError, "method=None: use"),
    ],
)
def test_unknown_methods_are_refused(film, method, error, words):
    for find in (find_columns, find_sublattices):
        with pytest.raises(error, match=words):
            find(film[0], method=method)


@pytest.mark.slow
def test_torch_is_loaded_when_a_network_is_asked_for():
    code = (
        "import json, sys, numpy, hs_rvae, hs_rvae.columns as columns\n"
        "image = hs_rvae.simulation.simulate_perovskite((96, 96), random_state=0)[0]\n"
        "columns.find_columns(image)\n"
        "before = 'torch' in sys.modules\n"
        "columns.ColumnNetwork\n"
        "print(json.dumps([before, 'torch' in sys.modules]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout.splitlines()[-1]) == [False, True]


# File ------------------------------------------------------------------------


def test_the_weights_are_small_and_have_no_pickle(network):
    assert WEIGHTS.stat().st_size < 1.2e6
    assert 2e5 < sum(one.numel() for one in network.net.parameters()) < 5e5
    assert WEIGHTS.read_bytes()[8:9] == b"{"  # the header of safetensors


def test_a_network_is_the_same_after_saving(film, network, tmp_path):
    network.save(tmp_path / "mine.safetensors")
    again = ColumnNetwork(tmp_path / "mine.safetensors", device="cpu")
    one, other = (each.detect(Picture.of(film[0])) for each in (network, again))
    np.testing.assert_array_equal(one.positions, other.positions)
    assert again.history == network.history and "parameters" in repr(again)


def test_damaged_and_foreign_files_are_refused_by_name(tmp_path):
    path = tmp_path / "damaged.safetensors"
    content = bytearray(WEIGHTS.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.safetensors' is damaged"):
        ColumnNetwork(path)
    path.write_bytes(content[:1000])
    with pytest.raises(ValueError, match="is not a safetensors file"):
        ColumnNetwork(path)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        ColumnNetwork(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"probability": 0.0}, "probability=0.0: give a number between 0 and 1"),
        ({"probability": 2}, "probability=2"),
        ({"spacing": 1.0}, "spacing=1.0"),
        ({"device": "elsewhere"}, "device='elsewhere'"),
    ],
)
def test_settings_are_checked(options, words):
    with pytest.raises(ValueError, match=words):
        ColumnNetwork(**options)


# Training --------------------------------------------------------------------


def test_training_images_follow_the_seed():
    first, again = (
        list(simulate_training_images(3, random_state=5, show_progressbar=False)) for _ in "ab"
    )
    for (image, positions, spacing), other in zip(first, again, strict=True):
        np.testing.assert_array_equal(image, other[0])
        np.testing.assert_array_equal(positions, other[1])
        assert 8 <= spacing <= 60 and np.isfinite(image).all()


def test_crops_have_their_columns_where_they_are_bright():
    image, truth = simulate_crystal((220, 220), "rock salt [001]", dose=np.inf, random_state=0)
    rng = np.random.default_rng(0)
    xy = truth.columns[["x", "y"]].to_numpy()
    one = TrainingImage.of(image.data, xy, np.zeros(len(xy), int), 16.0, np.ones(2), rng)
    crops, targets = batch_of([one], np.zeros(8, int), rng)
    for crop, target in zip(crops.numpy()[:, 0], targets.numpy(), strict=True):
        rows, columns = np.nonzero(target[0])
        x = (columns + 0.5 + target[1, rows, columns]) * 2 - 0.5
        y = (rows + 0.5 + target[2, rows, columns]) * 2 - 0.5
        inner = (np.abs(np.stack([x, y]) - 63.5) < 60).all(axis=0)
        values = crop[np.round(y[inner]).astype(int), np.round(x[inner]).astype(int)]
        assert len(values) > 50 and values.min() > 1
        assert (target[3, rows, columns] == 0).all() and (target[3][target[0] == 0] == -1).all()


def test_samples_keep_positions_and_means():
    y, x = np.indices((90, 120), np.float32)
    part = sampled(x + 100 * y, np.array([2.5, 1.5]), (4, 20), (6, 30))
    rows, columns = np.arange(4, 20)[:, None], np.arange(6, 30)
    expected = (columns + 0.5) * 2.5 - 0.5 + 100 * ((rows + 0.5) * 1.5 - 0.5)
    assert np.abs(part - expected).max() < 3  # 0.03 px down
    values = normalised(np.random.default_rng(0).normal(5, 3, (120, 120)).astype(np.float32))
    assert abs(values.mean()) < 0.05 and abs(values.std() - 1) < 0.05


@pytest.mark.slow
def test_a_new_network_learns_and_follows_its_seed():
    examples = list(simulate_training_images(4, random_state=0, show_progressbar=False))
    options = {"steps": 6, "batch_size": 2, "dark": False, "device": "cpu", "random_state": 1}
    one, other = (
        train_network(examples, "new", show_progressbar=False, **options) for _ in range(2)
    )
    for name, weights in one.net.state_dict().items():
        assert torch.equal(weights, other.net.state_dict()[name])
    assert len(one.history["loss"]) == 1


@pytest.mark.slow
def test_a_network_is_fine_tuned_with_classes(tmp_path):
    image, truth = simulate_perovskite((200, 200), random_state=0)
    groups = {"A": truth.a_sites[["x", "y"]], "B": truth.b_sites[["x", "y"]]}
    network = train_network(
        [(image, groups)], steps=30, batch_size=4, learning_rate=3e-3, device="cpu",
        random_state=0, show_progressbar=False,
    )  # fmt: skip
    assert network.classes == ("A", "B")
    network.save(tmp_path / "classes.safetensors")
    network = ColumnNetwork(tmp_path / "classes.safetensors", device="cpu")
    other, truth = simulate_perovskite((200, 200), random_state=1)
    table = find_columns(other, network, show_progressbar=False)
    precision, recall = scores(
        table.loc[table["class"] == "A", ["x", "y"]], truth.a_sites[["x", "y"]].to_numpy(float),
        5, (200, 200), 9,
    )  # fmt: skip
    assert precision > 0.9 and recall > 0.9
    # The lattice names the sublattices by itself; the classes stand beside.
    lattice = find_sublattices(other, method=network, show_progressbar=False)
    for sublattice in lattice.sublattice_list:
        found = sublattice.column_table.query("found")
        assert (found["class"] == sublattice.name).mean() > 0.9
        rest = sublattice.column_table.query("not found")
        assert set(rest["class"]) <= {""} and rest["probability"].isna().all()


def test_atomai_coordinates_train_as_well():
    image, truth = simulate_perovskite((160, 160), random_state=0)
    xy = columns_of(truth)
    atomai = {0: np.column_stack([xy[:, 1], xy[:, 0], np.zeros(len(xy))])}
    network = train_network(
        [(image, atomai)], steps=1, batch_size=1, device="cpu", show_progressbar=False
    )
    assert network.classes == ()


def test_an_interrupted_training_keeps_the_network():
    examples = list(simulate_training_images(1, random_state=0, show_progressbar=False))

    def interrupt():
        time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.warns(UserWarning, match="interrupted after"):
        network = train_network(
            examples, steps=10_000, batch_size=1, dark=False, show_progressbar=False
        )
    thread.join()
    assert isinstance(network, ColumnNetwork)


@pytest.mark.parametrize(
    ("examples", "error", "words"),
    [
        ([], ValueError, "examples is empty"),
        ([np.ones((64, 64))], TypeError, "examples: number 0"),
        ([(np.eye(64), [[3.0, 4.0]])], ValueError, "too few to show their distance"),
        ([(np.eye(64), [[3.0, 4.0]], 0.0)], ValueError, "spacing=0.0"),
        ([(np.eye(64), np.full((20, 3), 3.0), 9.0)], ValueError, "shape"),
    ],
)
def test_examples_are_checked(examples, error, words):
    with pytest.raises(error, match=words):
        train_network(examples, steps=1)
    with pytest.raises(ValueError, match="start='old'"):
        train_network(examples, "old")


# Study -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12])
@pytest.mark.parametrize("dose", [4.0, 5.0])
def test_recall_and_precision_of_a_film_at_low_dose(dose, seed):
    image, truth = simulate_perovskite((512, 512), dose=dose, random_state=seed)
    table = find_columns(image, "network", show_progressbar=False)
    precision, recall = scores(table[["x", "y"]], columns_of(truth), 5.5, (512, 512), 9)
    assert precision >= 0.95 and recall >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", ["film", "bfo_multislice"])
def test_variants_by_the_network_are_those_by_maxima(name):
    if name == "film":
        image, _ = simulate_perovskite((512, 512), random_state=11)
    else:
        image, _ = hs_rvae.data.bfo_multislice()
    found = []
    for method in ("maxima", "network"):
        lattice = find_sublattices(image, method=method, show_progressbar=False)
        stack = hs_rvae.SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B")
        stack.rvae(random_state=0, show_progressbar=False)
        stack.assign_variants(4)
        sites = stack.sites
        xy = np.stack([sites["x"], sites["y"]], axis=1)
        found.append((xy, np.asarray(sites["variant"])))
    (one, variant), (other, other_variant) = found
    apart, nearest = cKDTree(one).query(other)
    near = apart < 1
    ari = adjusted_rand_score(variant[nearest][near], other_variant[near])
    print(f"{name}: {near.mean():.4f} of the sites, adjusted Rand index {ari:.4f}")
    assert near.mean() > 0.99 and ari > 0.97


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_finds_what_the_processor_finds(film):
    tables = [
        find_columns(film[0], ColumnNetwork(device=device), show_progressbar=False)
        for device in ("cpu", "cuda")
    ]
    one, other = (table[["x", "y"]].to_numpy() for table in tables)
    assert len(one) == len(other) and np.abs(one - other).max() < 0.05


def test_the_global_generator_of_torch_is_left_alone():
    before = torch.random.get_rng_state()
    hs_rvae.columns.ColumnNetwork(device="cpu")
    assert torch.equal(torch.random.get_rng_state(), before)
