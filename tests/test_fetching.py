# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of other projects: which copy is taken, what is fetched, and what is refused.

A server on this machine stands for the publishers', and small files for theirs.
"""

import dataclasses
import hashlib
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import hyperspy.api as hs
import numpy as np
import pytest
from imageio.v3 import imwrite

import hs_rvae
from hs_rvae.data import fetching, real


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and remembers what was asked for."""

    asked = []

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def publisher(tmp_path, monkeypatch):
    """Folder that is served as the publishers' repositories, with stand-ins for both images."""
    root = tmp_path / "publisher"
    rng = np.random.default_rng(0)
    for name in ("_DYSCO3", "_PTO_SRO"):
        file = getattr(real, name)
        path = root / file.repository / file.commit / file.path
        path.parent.mkdir(parents=True)
        if path.suffix == ".png":
            imwrite(path, rng.integers(0, 255, (20, 30), np.uint8))
        else:
            image = hs.signals.Signal2D(rng.random((12, 40)))
            for axis in image.axes_manager.signal_axes:
                axis.scale = 0.015
            image.save(path)
        monkeypatch.setattr(real, name, dataclasses.replace(file, sha256=sha256(path)))
    Handler.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(fetching, "SERVER", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(fetching, "cache_folder", lambda: tmp_path / "cache" / "data")
    monkeypatch.delenv("HS_RVAE_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield root
    server.shutdown()
    server.server_close()


def published(root, file):
    return root / file.repository / file.commit / file.path


def files_in(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


LOADERS = {"dysco3": "_DYSCO3", "pto_sro": "_PTO_SRO"}


@pytest.mark.parametrize("function", LOADERS)
def test_an_image_is_fetched_once(publisher, tmp_path, function):
    file = getattr(real, LOADERS[function])
    load = getattr(hs_rvae.data, function)
    first = load(allow_download=True)
    assert Handler.asked == [f"/{file.repository}/{file.commit}/{file.path}"]
    assert files_in(tmp_path / "cache") == [file.name]
    for again in (load(allow_download=True), load()):  # from the cache
        np.testing.assert_array_equal(again.data, first.data)
    assert len(Handler.asked) == 1


@pytest.mark.parametrize("function", LOADERS)
def test_without_permission_nothing_is_fetched_and_the_error_names_the_ways(
    publisher, tmp_path, function
):
    file = getattr(real, LOADERS[function])
    with pytest.raises(FileNotFoundError) as caught:
        getattr(hs_rvae.data, function)()
    message = str(caught.value)
    assert f"{file.name} ({file.licence}) does not ship" in message
    assert f"hs_rvae.data.{function}(allow_download=True)" in message
    assert file.url in message and "HS_RVAE_DATA" in message
    assert f"save that file as {tmp_path / 'cache' / 'data' / file.name}" in message
    assert Handler.asked == [] and not (tmp_path / "cache").exists()


def test_another_file_is_refused_by_name_and_not_kept(publisher, tmp_path):
    published(publisher, real._DYSCO3).write_bytes(b"something else")
    with pytest.raises(ValueError, match="the server sent another file than dso_8nm.png.*not kept"):
        hs_rvae.data.dysco3(allow_download=True)
    assert files_in(tmp_path / "cache") == []


def test_a_damaged_file_of_the_cache_is_named_and_fetched_anew(publisher, tmp_path):
    cached = tmp_path / "cache" / "data" / "dso_8nm.png"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"cut short")
    with pytest.raises(FileNotFoundError) as caught:
        hs_rvae.data.dysco3()
    assert f"{cached} is not the published file" in str(caught.value)
    hs_rvae.data.dysco3(allow_download=True)
    assert sha256(cached) == real._DYSCO3.sha256


def test_a_file_that_the_server_lacks_is_named(publisher, tmp_path):
    published(publisher, real._PTO_SRO).unlink()
    with pytest.raises(OSError, match="hspy cannot be fetched into .*status 404.*HS_RVAE_DATA"):
        hs_rvae.data.pto_sro(allow_download=True)
    assert files_in(tmp_path / "cache") == []


def test_without_a_server_the_error_is_quick_and_says_what_to_do_by_hand(
    publisher, tmp_path, monkeypatch
):
    monkeypatch.setattr(fetching, "SERVER", "http://127.0.0.1:9")  # nobody listens there
    start = time.perf_counter()
    with pytest.raises(OSError) as caught:
        hs_rvae.data.dysco3(allow_download=True)
    assert time.perf_counter() - start < 5
    message = str(caught.value)
    assert message.startswith("http://127.0.0.1:9/xinhuolin/AtomSegNet/744a5ae519d2")
    assert "cannot be fetched" in message and "ConnectionError" in message
    assert f"save that file as {tmp_path / 'cache' / 'data' / 'dso_8nm.png'}" in message
    assert "HS_RVAE_DATA" in message
    assert files_in(tmp_path / "cache") == []


def test_a_server_that_does_not_answer_is_given_up(publisher, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT", (0.2, 0.2))
    monkeypatch.setattr(Handler, "do_GET", lambda self: time.sleep(2))
    with pytest.raises(OSError, match="cannot be fetched.*ReadTimeout"):
        hs_rvae.data.dysco3(allow_download=True)


@pytest.mark.parametrize("place", ["", "dso_dysco3", "any name"])
@pytest.mark.parametrize("name", ["dso_8nm.png", "10_dso_8nm_none_none.png"])
def test_a_copy_of_the_user_s_comes_first(publisher, tmp_path, monkeypatch, place, name):
    own = tmp_path / "own" / place / name
    own.parent.mkdir(parents=True)
    own.write_bytes(published(publisher, real._DYSCO3).read_bytes())
    monkeypatch.setenv("HS_RVAE_DATA", str(tmp_path / "own"))
    assert hs_rvae.data.dysco3().data.shape == (20, 30)
    hs_rvae.data.dysco3(allow_download=True)
    assert Handler.asked == [] and not (tmp_path / "cache").exists()


def test_a_wrong_copy_of_the_user_s_is_refused_by_name_and_left_alone(
    publisher, tmp_path, monkeypatch
):
    own = tmp_path / "own" / "dso_8nm.png"
    own.parent.mkdir()
    own.write_bytes(b"mine")
    monkeypatch.setenv("HS_RVAE_DATA", str(own.parent))
    with pytest.raises(ValueError) as caught:
        hs_rvae.data.dysco3(allow_download=True)
    assert f"HS_RVAE_DATA={own.parent}: {own} is not the published file" in str(caught.value)
    assert real._DYSCO3.url in str(caught.value)
    assert own.read_bytes() == b"mine" and Handler.asked == []
    # A right one beside it is found.
    (own.parent / "sub").mkdir()
    right = published(publisher, real._DYSCO3).read_bytes()
    (own.parent / "sub" / "dso_8nm.png").write_bytes(right)
    assert hs_rvae.data.dysco3().data.shape == (20, 30)


@pytest.mark.parametrize("folder", ["nowhere", "empty", ""])
def test_a_folder_without_a_copy_is_passed_over(publisher, tmp_path, monkeypatch, folder):
    (tmp_path / "empty").mkdir()
    value = str(tmp_path / folder) if folder else ""
    monkeypatch.setenv("HS_RVAE_DATA", value)
    with pytest.raises(FileNotFoundError) as caught:
        hs_rvae.data.pto_sro()
    assert (f"HS_RVAE_DATA={value} does not hold it" in str(caught.value)) == bool(folder)
    assert hs_rvae.data.pto_sro(allow_download=True).data.shape == (12, 40)


def test_a_read_only_cache_is_read(publisher, tmp_path):
    hs_rvae.data.dysco3(allow_download=True)
    folder = tmp_path / "cache" / "data"
    folder.chmod(0o500)
    try:
        assert hs_rvae.data.dysco3().data.shape == (20, 30)
        assert hs_rvae.data.dysco3(allow_download=True).data.shape == (20, 30)
    finally:
        folder.chmod(0o700)


def test_a_cache_that_cannot_be_made_is_named(publisher, tmp_path):
    (tmp_path / "cache").write_text("a file in the way")
    with pytest.raises(OSError) as caught:
        hs_rvae.data.dysco3(allow_download=True)
    assert f"cannot be fetched into {tmp_path / 'cache' / 'data'}" in str(caught.value)
    assert "HS_RVAE_DATA" in str(caught.value)


def test_the_published_files_are_fixed():
    """One commit each, and the length of a SHA-256."""
    for name in LOADERS.values():
        file = getattr(real, name)
        assert len(file.commit) == 40 and len(file.sha256) == 64
        assert file.url == f"{fetching.SERVER}/{file.repository}/{file.commit}/{file.path}"
        assert fetching.SERVER.startswith("https://")
