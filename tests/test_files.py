# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appear complete or not at all, and values as files hold them."""

import contextlib
import os
import platform
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from hs_rvae.files import _exchange, check_place, complete_file, plain

needs_a_user = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to this user"
)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def write(path, text="new"):
    with complete_file(path) as draft:
        draft.write_text(text)


def fill(draft):
    draft.mkdir()
    (draft / "inside").write_text("new")


def test_a_file_takes_its_name_at_the_end(tmp_path):
    path = tmp_path / "a.csv"
    with complete_file(path) as draft:
        assert draft.name == "a.csv" and not draft.exists()
        draft.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("name", ["a.csv.part", "a.part.csv", ".a.csv", "a.old.csv", "a.csv~"])
def test_no_other_file_is_touched(tmp_path, name):
    (tmp_path / name).write_text("mine")
    write(tmp_path / "a.csv")
    write(tmp_path / "a.csv")
    check_place(tmp_path / "a.csv")
    assert (tmp_path / name).read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == sorted([name, "a.csv"])


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_permissions_are_those_of_a_new_file_or_of_the_one_replaced(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "new")
        assert mode(tmp_path / "new") == 0o640
        (tmp_path / "new").chmod(0o604)
        write(tmp_path / "new")
        assert mode(tmp_path / "new") == 0o604
        with complete_file(tmp_path / "folder", folder=True) as draft:
            fill(draft)
        assert mode(tmp_path / "folder") == 0o750
        assert mode(tmp_path / "folder" / "inside") == 0o640
        (tmp_path / "folder").chmod(0o700)
        with complete_file(tmp_path / "folder", folder=True) as draft:
            fill(draft)
        assert mode(tmp_path / "folder") == 0o700
    finally:
        os.umask(before)


@pytest.mark.skipif(os.name == "nt", reason="links need a permission on Windows")
def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a").write_text("old")
    (tmp_path / "a").symlink_to(tmp_path / "there" / "a")
    write(tmp_path / "a")
    assert (tmp_path / "a").is_symlink() and (tmp_path / "there" / "a").read_text() == "new"


@pytest.mark.parametrize("old", ["nothing", "file", "folder"])
@pytest.mark.parametrize("new", ["file", "folder"])
@pytest.mark.parametrize("refused", [0, 1, 2])
def test_what_was_there_stays_until_the_new_is_in_place(tmp_path, monkeypatch, old, new, refused):
    path = tmp_path / "a"
    if old == "folder":
        path.mkdir()
        (path / "inside").write_text("old")
    elif old == "file":
        path.write_text("old")
    moves, replace = [], os.replace

    def refuse(*names):
        moves.append(names)
        if len(moves) == refused:
            raise OSError(28, "No space left on device")
        replace(*names)

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr("hs_rvae.files._exchange", lambda one, other: False)  # by moves alone
    once = old == "nothing" or (old, new) == ("file", "file")
    try:
        with complete_file(path, "It", folder=True) as draft:
            fill(draft) if new == "folder" else draft.write_text("new")
    except OSError as error:
        assert "It could not be saved (No space left on device)" in str(error)
        left = "no file is left" if old == "nothing" else "the file that was there is as it was"
        assert left in str(error) and refused <= (1 if once else 2)
        expected, kind = "old", old
    else:
        assert refused == 0 or (refused == 2 and once)
        expected, kind = "new", new
    assert os.listdir(tmp_path) == ([] if kind == "nothing" else ["a"])
    if kind != "nothing":
        assert (path / "inside" if kind == "folder" else path).read_text() == expected


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_what_ends_the_writing_leaves_the_earlier_file(tmp_path, error):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(error) as caught, complete_file(path) as draft:
        draft.write_text("half")
        raise error
    if error is KeyboardInterrupt:
        assert "was interrupted: the file that was there is as it was" in str(caught.value)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a"]


def test_places_that_cannot_be_written_are_refused_before(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("in the way")
    for check in (check_place, write):
        with pytest.raises(IsADirectoryError, match="folder' is a folder: give the name of a file"):
            check(tmp_path / "folder")
        with pytest.raises(FileNotFoundError, match="nowhere.*choose a folder that exists"):
            check(tmp_path / "nowhere" / "a")
        with pytest.raises(OSError, match="cannot be written.*choose a folder that exists"):
            check(tmp_path / "file" / "a")
    if os.path.exists(os.devnull) and os.name != "nt":
        with pytest.raises(OSError, match="is not a file"):
            check_place(os.devnull)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@needs_a_user
def test_what_is_write_protected_is_not_replaced(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o400)
    with pytest.raises(PermissionError, match="write-protected"):
        write(tmp_path / "a")
    (tmp_path / "shut").mkdir(mode=0o500)
    with pytest.raises(PermissionError, match="cannot be written"):
        check_place(tmp_path / "shut" / "a")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.str_("Å"), "Å"),
        (np.bool_(True), True),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.array("nm"), "nm"),
        (np.array(2.5), 2.5),
        (np.bytes_(b"a"), b"a"),
        (np.datetime64("2020-01-02"), "2020-01-02"),
        ([np.str_("a"), [np.bool_(False)]], ["a", [False]]),
        ((np.int8(1), {"k": np.array("a")}), (1, {"k": "a"})),
        ({np.str_("k"): {1: np.float64(2)}}, {"k": {"1": 2.0}}),
        (np.array(["Å", "b"]), ["Å", "b"]),
        (np.array(["a", None, np.float32(1)], object), ["a", None, 1.0]),
    ],
)
def test_values_become_plain_at_any_depth(value, expected):
    def types(each):
        if isinstance(each, dict):
            return {types(key): types(inside) for key, inside in each.items()}
        if isinstance(each, list | tuple):
            return type(each), [types(inside) for inside in each]
        return type(each)

    result = plain(value)
    assert result == expected and repr(types(result)) == repr(types(expected))


def test_arrays_of_numbers_and_objects_stay_as_they_are():
    marker = object()
    ragged = np.array([np.ones(2), np.ones(3)], dtype=object)
    for value in (np.arange(3), ragged, np.array(["a", "b"]), marker, None, "text", 1.5):
        assert plain(value) is value


def test_a_folder_is_replaced_in_one_step(tmp_path, monkeypatch):
    """Where the system can do it, the name always stands for a folder, the old or the new."""
    if not _exchange(*two_folders(tmp_path / "asked")):
        pytest.skip("this system cannot exchange two folders")
    place = tmp_path / "film.zspy"
    place.mkdir()
    replaced = []
    monkeypatch.setattr(os, "replace", lambda *paths: replaced.append(paths))
    with complete_file(place, folder=True) as draft:
        fill(draft)
    assert (place / "inside").read_text() == "new" and not replaced
    assert sorted(os.listdir(tmp_path)) == ["asked", "film.zspy"]


def two_folders(parent):
    for name in ("one", "other"):
        (parent / name).mkdir(parents=True)
        (parent / name / name).touch()
    return parent / "one", parent / "other"


def test_exchange_of_two_folders(tmp_path):
    one, other = two_folders(tmp_path)
    if _exchange(one, other):
        assert (one / "other").exists() and (other / "one").exists()
    assert not _exchange(one, tmp_path / "nothing")
    assert one.exists()


def test_where_there_is_no_such_call_the_earlier_folder_steps_aside(tmp_path, monkeypatch):
    monkeypatch.setattr("hs_rvae.files._exchange", lambda one, other: False)
    place = tmp_path / "film.zspy"
    for _ in range(2):
        with complete_file(place, folder=True) as draft:
            fill(draft)
    assert (place / "inside").read_text() == "new" and os.listdir(tmp_path) == ["film.zspy"]


def test_drafts_of_ended_processes_are_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = platform.node()
    drafts = {name: tmp_path / f".hs_rvae-{name}-abc" for name in (
        f"{host}-{ended.pid}", f"{host}-{os.getppid()}", f"elsewhere-{ended.pid}", "notes",
        f"{host}-{ended.pid}-{os.getppid()}",  # of a machine whose name goes on with a number
    )}  # fmt: skip
    for draft in drafts.values():
        draft.mkdir()
        (draft / "half.hspy").touch()
    write(tmp_path / "new.csv")
    left = {name for name, draft in drafts.items() if draft.exists()}
    assert left == set(drafts) - {f"{host}-{ended.pid}"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_draft_goes_though_a_thread_still_writes_into_it(tmp_path):
    with pytest.raises(KeyboardInterrupt), complete_file(tmp_path / "a.zspy") as draft:
        started = threading.Event()

        def write():
            for number in range(60):
                with contextlib.suppress(OSError):
                    (draft.parent / "chunks").mkdir(exist_ok=True)
                    (draft.parent / "chunks" / str(number)).write_bytes(b"0")
                started.set()
                time.sleep(0.002)

        writer = threading.Thread(target=write)
        writer.start()
        started.wait()
        raise KeyboardInterrupt
    writer.join()
    assert list(tmp_path.iterdir()) == []


def test_drafts_are_private(tmp_path):
    with complete_file(tmp_path / "a.csv") as draft:
        assert mode(draft.parent) == 0o700
        draft.write_text("new")
