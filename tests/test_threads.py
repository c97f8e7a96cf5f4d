# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One thread inside operations while a verb works; blocks side by side; settings put back."""

import threading
from concurrent.futures import ThreadPoolExecutor

import dask
import dask.array as da
import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

import hs_rvae
from hs_rvae import RVAE, SubImageStack, threads, windows
from hs_rvae.learning import clusters, embedding
from hs_rvae.parallel import run_tasks
from hs_rvae.rvae import batches
from hs_rvae.signals import decomposition


def numbers():
    """Threads of torch, and of each library of BLAS and OpenMP, for this thread."""
    found = {part["filepath"]: part["num_threads"] for part in threadpool_info()}
    return found | {"torch": torch.get_num_threads()}


def of_blas():
    return {part["num_threads"] for part in threadpool_info() if part["user_api"] == "blas"}


@pytest.fixture
def three():
    """The caller's setting: three threads everywhere."""
    before = torch.get_num_threads()
    with threadpool_limits(3):
        torch.set_num_threads(3)
        yield numbers()
        torch.set_num_threads(before)


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(threads, "count_cores", lambda: 4)


@pytest.fixture(scope="module")
def stack():
    image, truth = hs_rvae.simulation.simulate_perovskite((200, 200), random_state=0)
    return SubImageStack.from_positions(image, truth.b_sites, window_size=24)


def test_settings_are_put_back_after_errors_too(three):
    with threads.one_thread():
        assert set(numbers().values()) == {1}
        with threads.one_thread():
            pass
        assert set(numbers().values()) == {1}
    assert numbers() == three
    with pytest.raises(ZeroDivisionError), threads.one_thread():
        1 / 0  # noqa: B018
    assert numbers() == three


def test_openmp_may_keep_its_threads(three):
    with threads.one_thread(openmp=False):
        assert of_blas() == {1} and torch.get_num_threads() == 3
    assert numbers() == three


def test_two_callers_leave_the_settings_as_they_were_whoever_ends_first(three):
    """BLAS has one number for all threads: the last that ends puts it back."""
    first_in, second_out = threading.Event(), threading.Event()

    def first():
        with threads.one_thread():
            first_in.set()
            second_out.wait(10)
            return of_blas()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(first)
        first_in.wait(10)
        with threads.one_thread():
            pass
        assert of_blas() == {1}  # the other one is still at work
        second_out.set()
        assert running.result() == {1}
    assert numbers() == three


def test_blocks_run_side_by_side_and_come_in_order(three, four_cores):
    meeting = threading.Barrier(3, timeout=10)  # torch's setting allows three of the four cores
    seen = []

    def work(k):
        meeting.wait()
        seen.append((set(numbers().values()), threads.count_threads()))
        return k * k

    with threads.one_thread():
        assert list(threads.side_by_side(work, range(9))) == [k * k for k in range(9)]
    assert seen == 9 * [({1}, 1)]  # one inside; blocks inside blocks have no threads of their own
    assert numbers() == three
    with ThreadPoolExecutor(1) as pool:  # a new thread starts with the caller's number
        assert pool.submit(torch.get_num_threads).result() == 3


def test_an_error_in_a_block_ends_the_others(three, four_cores):
    done = []

    def work(k):
        if k == 2:
            raise ValueError("bad block")
        done.append(k)

    with pytest.raises(ValueError, match="bad block"):
        list(threads.side_by_side(work, range(100)))
    assert len(done) < 50
    assert numbers() == three


def test_a_thread_of_a_pool_gets_no_threads_of_its_own(four_cores):
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(threads.count_threads).result() == 1
        here = pool.submit(
            lambda: list(threads.side_by_side(lambda _: threading.get_ident(), range(5)))
        ).result()
    assert len(set(here)) == 1


def test_dask_in_a_thread_of_a_pool_makes_no_pool_of_its_own():
    used = set()

    def compute():
        tasks = [dask.delayed(threading.get_ident, pure=False)() for _ in range(8)]
        run_tasks(tasks, lambda _, thread: used.add(thread))
        return threading.get_ident()

    with ThreadPoolExecutor(1) as pool:
        assert used ^ {pool.submit(compute).result()} == set()


@pytest.mark.parametrize("variable, cores", [("3", 3), ("2,1", 2), ("", 5), ("0", 5), ("64", 5)])
def test_cores_are_those_that_the_process_may_use(monkeypatch, variable, cores):
    monkeypatch.setattr("dask.system.cpu_count", lambda: 5)
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert threads.count_cores() == cores


def test_blocks_of_a_model_give_the_same_numbers_on_any_number_of_threads(
    stack, monkeypatch, four_cores, three
):
    monkeypatch.setattr(batches, "_BLOCK_PIXELS", 16 * 24 * 24)  # blocks of 16 sites
    model = RVAE(random_state=0, epochs=1, rotation="motif", n_init=1, n_factors=2)
    found = vars(model.fit_transform(stack.data))
    posterior = model.angle_posterior(stack.data)
    monkeypatch.setattr(threads, "count_cores", lambda: 1)
    alone = RVAE(random_state=0, epochs=1, rotation="motif", n_init=1, n_factors=2)
    for name, value in vars(alone.fit_transform(stack.data)).items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    for name, value in vars(alone.angle_posterior(stack.data)).items():
        np.testing.assert_array_equal(getattr(posterior, name), value, err_msg=name)
    assert numbers() == three


def test_windows_are_the_same_on_any_number_of_threads(monkeypatch, four_cores):
    image = np.random.default_rng(0).normal(size=(120, 120))
    xy = np.random.default_rng(1).uniform(20, 100, (90, 2))
    monkeypatch.setattr(windows, "windows_per_block", lambda size: 7)
    found = windows.cut_windows(image, xy, 16)
    monkeypatch.setattr(threads, "count_cores", lambda: 1)
    np.testing.assert_array_equal(found, windows.cut_windows(image, xy, 16))


def test_two_fits_in_two_threads_work_on_two_threads(stack, three, four_cores):
    at_work = []

    def fit(seed):
        def note(*args):
            at_work.append((threading.get_ident(), of_blas() | {torch.get_num_threads()}))

        model = RVAE(random_state=seed, epochs=1, rotation="motif", n_init=1, n_factors=0)
        model.fit(stack.data)
        batches.map_blocks(
            lambda block, _: note() or np.zeros((len(block), 1)), stack.data, width=1
        )
        return threading.get_ident()

    with ThreadPoolExecutor(2) as pool:
        callers = set(pool.map(fit, [0, 1]))
    assert {thread for thread, _ in at_work} <= callers
    assert all(inside == {1} for _, inside in at_work)
    assert numbers() == three


def test_a_lazy_stack_is_read_on_one_thread_inside_each_of_dasks(stack, three):
    seen = []

    def work(block, _):
        seen.append(torch.get_num_threads())
        return np.zeros((len(block), 1))

    batches.map_blocks(work, da.from_array(stack.data, chunks=(16, -1, -1)), width=1)
    assert set(seen) == {1}
    assert numbers() == three


def test_sorting_decomposing_and_embedding_work_on_one_thread_of_blas(stack, three, monkeypatch):
    seen = {}

    class Estimator:
        def __init__(self, name):
            self.name = name

        def fit(self, values):
            seen[self.name] = of_blas()
            self.labels_ = np.zeros(len(values), int)
            return self

        def fit_transform(self, values):
            seen[self.name] = of_blas()
            return values[:, :2]

    values = np.random.default_rng(0).normal(size=(50, 3))
    monkeypatch.setattr(clusters, "make_estimator", lambda *a: Estimator("cluster"))
    clusters.cluster(values, "kmeans", 2)
    monkeypatch.setattr(embedding, "own_copy", lambda e, **k: e)
    embedding.embed(values, Estimator("embed"))
    rows = decomposition.rows_of
    monkeypatch.setattr(
        decomposition, "rows_of", lambda *a: seen.update(decompose=of_blas()) or rows(*a)
    )
    stack.deepcopy().decomposition("PCA", 2, random_state=0)
    assert seen == dict.fromkeys(("cluster", "embed", "decompose"), {1})
    assert numbers() == three


def test_columns_are_found_and_refined_on_one_thread_of_blas(three, monkeypatch):
    from hs_rvae.columns import sublattices

    def stop(*args, **kwargs):
        raise RuntimeError(str(of_blas()))

    monkeypatch.setattr(sublattices, "find_tables", stop)
    image, _ = hs_rvae.simulation.simulate_perovskite((120, 120), random_state=0)
    with pytest.raises(RuntimeError, match=r"^\{1\}$"):
        hs_rvae.find_sublattices(image)
    assert numbers() == three
