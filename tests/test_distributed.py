# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on the workers of dask.distributed: the same results, named tasks, a worker that dies."""

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

import hs_rvae
from hs_rvae.parallel import active_client
from hs_rvae.rvae import batches

distributed = pytest.importorskip(
    "distributed", reason="needs dask.distributed: pip install hs_rvae[distributed]"
)
pytestmark = pytest.mark.filterwarnings("ignore:Sending large graph:UserWarning")


@pytest.fixture(scope="module")
def series():
    """A small lazy series with the positions of its B columns."""
    images, truths = hs_rvae.simulation.simulate_series(
        (300, 300), 4, cell=20.0, domain_size=6, random_state=0
    )
    lazy = images.as_lazy()
    lazy.data = lazy.data.rechunk((1, -1, -1))
    return lazy, [truth.b_sites[["x", "y"]].to_numpy() for truth in truths]


@pytest.fixture(scope="module")
def in_process(series):
    """A stack, its model and everything made from both, without workers."""
    stack = hs_rvae.SubImageStack.from_positions(*series, window_size=36)
    stack.rvae(output_dimension=1, epochs=3, random_state=0)
    assert stack.rvae_model.rotation_ == "distortion"
    return stack


@contextmanager
def workers(n, processes=False):
    """The client of so many workers, in threads or in processes of their own."""
    with (
        distributed.LocalCluster(
            n_workers=n, threads_per_worker=1, processes=processes, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def on_workers(series, model):
    """The same stack, encoded with the client that is active."""
    stack = hs_rvae.SubImageStack.from_positions(*series, window_size=36)
    stack.apply_rvae(model)
    return stack


def assert_same(stack, other, names=("angle", "latent_0", "log_likelihood", "track")):
    for name in names:
        difference = stack.sites[name] - other.sites[name]
        if name == "angle":
            difference = np.angle(np.exp(1j * difference))
        np.testing.assert_allclose(difference, 0, atol=1e-5 * np.abs(other.sites[name]).max())


def task_names(client):
    def names(dask_scheduler):
        return set(dask_scheduler.task_prefixes)

    return client.run_on_scheduler(names)


@pytest.fixture
def ctrl_c_is_heard():
    """A program that was started in the background may be deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_without_a_client_there_are_threads():
    assert active_client() is None


def test_nobody_looks_for_a_client_where_there_can_be_none(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "distributed"]:
        monkeypatch.delitem(sys.modules, name)
    assert active_client() is None and "distributed" not in sys.modules


def test_the_client_may_be_passed_over(series, in_process):
    import dask

    with workers(1) as client:
        assert active_client() is client
        with dask.config.set(scheduler="threads"):
            assert active_client() is None


@pytest.mark.slow
def test_workers_give_the_same_under_names_that_tell(series, in_process, tmp_path):
    with workers(2) as client:
        lattices = hs_rvae.find_sublattices(series[0])
        stack = on_workers(series, in_process.rvae_model)
        assert_same(stack, in_process)
        for one in (stack, in_process):
            one.assign_variants()
        for made in ("get_rvae_model", "get_rvae_residual", "derotate"):
            there = getattr(stack, made)(lazy_output=False).data
            here = getattr(in_process, made)
            client.as_current()
            np.testing.assert_allclose(
                there, here(lazy_output=True).data.compute(scheduler="threads"), atol=2e-3
            )
        expected = {"find-columns", "cut-windows", "rvae-encode"}
        expected |= {"rvae-decode", "rvae-residual", "derotate", "rvae-encode-model"}
        assert expected <= task_names(client)
    tables = hs_rvae.find_sublattices(series[0]).tables("B")
    for there, here in zip(lattices.tables("B"), tables, strict=True):
        np.testing.assert_allclose(there[["x", "y"]], here[["x", "y"]], atol=1e-5)


def test_a_fit_that_reads_from_workers_is_the_fit_in_process(series, in_process):
    with workers(2) as client:
        stack = hs_rvae.SubImageStack.from_positions(*series, window_size=36)
        stack.rvae(output_dimension=1, epochs=3, random_state=0)
        assert "rvae-harmonics" in task_names(client)
    assert_same(stack, in_process)


@pytest.mark.slow
def test_workers_change_no_digit_of_a_distortion(series, monkeypatch):
    stack = hs_rvae.SubImageStack.from_positions(*series, window_size=36)
    monkeypatch.setattr(batches, "_BLOCK_PIXELS", 150 * 36**2)  # several blocks
    images, places = stack.data, {"positions": stack.sites.xy, "strata": stack.sites["frame"]}

    def fit():
        model = hs_rvae.RVAE(output_dimension=1, epochs=1, random_state=0).fit(images, **places)
        return model, model.transform(images)

    model, expected = fit()
    assert model.rotation_ == "distortion"
    with workers(2):
        there, result = fit()
    assert there.fit_id_ == model.fit_id_ and there.verdict_ == model.verdict_
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(getattr(result, name), values, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"translation": True, "epochs": 2},
        {"rotation": "motif", "epochs": 2},
        {"architecture": "convolutional", "epochs": 1},
    ],
    ids=["shifts", "motif", "convolutional"],
)
def test_other_models_work_on_workers_too(series, settings):
    frames, positions = series[0].inav[:2], [xy[:60] for xy in series[1][:2]]
    size = 16 if "architecture" in settings else 24  # every pixel of the network costs
    stack = hs_rvae.SubImageStack.from_positions(frames, positions, window_size=size)
    other = hs_rvae.SubImageStack.from_positions(frames, positions, window_size=size)
    stack.rvae(output_dimension=1, random_state=0, **settings)
    with workers(1):
        other.rvae(output_dimension=1, random_state=0, **settings)
    names = ["angle", "latent_0", "log_likelihood"]
    assert_same(stack, other, names + ["shift_x"] * settings.get("translation", False))


@pytest.mark.slow
def test_a_worker_that_dies_during_the_encoding_changes_nothing(series, in_process, monkeypatch):
    """Two processes, of which one is killed when the first block has come back."""
    with workers(2, processes=True) as client:
        pids = client.run(os.getpid)
        assert os.getpid() not in pids.values()
        killed = []
        run_tasks = batches.run_tasks

        def run_and_kill(tasks, done):
            def done_and_kill(number, result):
                if not killed:
                    killed.append(next(iter(pids.values())))
                    os.kill(killed[0], signal.SIGKILL)
                done(number, result)

            run_tasks(tasks, done_and_kill)

        monkeypatch.setattr(batches, "run_tasks", run_and_kill)
        stack = hs_rvae.SubImageStack.from_positions(*series, window_size=36)
        # Work that is left when the worker dies.
        monkeypatch.setattr(batches, "_BLOCK_PIXELS", 50 * 36**2)
        stack.apply_rvae(in_process.rvae_model)
        assert killed

        def torch_threads():  # within, so that workers need not import this file
            import torch

            return torch.get_num_threads()

        threads = client.run(torch_threads)
    assert_same(stack, in_process)
    assert set(threads.values()) <= {1}


@pytest.mark.slow
def test_ctrl_c_frees_the_workers(series, in_process, ctrl_c_is_heard):
    def slowly(block):  # within, so that workers need not import this file
        time.sleep(2.0)
        return block

    with workers(1, processes=True) as client:
        stack = hs_rvae.SubImageStack.from_positions(*series, window_size=36)
        stack.data = stack.data.map_blocks(slowly, dtype=np.float32)
        before = stack.sites.to_dataframe()
        interrupt = threading.Timer(3.0, os.kill, (os.getpid(), signal.SIGINT))
        interrupt.start()
        with pytest.raises(KeyboardInterrupt, match="the site table is as it was"):
            stack.apply_rvae(in_process.rvae_model)
        assert stack.sites.to_dataframe().equals(before)
        deadline = time.time() + 30
        while client.processing() != {} and any(client.processing().values()):
            assert time.time() < deadline
            time.sleep(0.2)
        assert client.submit(int, 7).result(timeout=60) == 7
