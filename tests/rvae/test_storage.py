# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of models that are damaged or made by hand are refused, with their name and the reason."""

import json
import struct

import numpy as np
import pytest
import torch

from hs_rvae import RVAE
from hs_rvae.rvae.storage import FORMAT, read_model, write_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Bytes of the file of a small model."""
    images = np.random.default_rng(0).normal(size=(60, 16, 16)).astype(np.float32)
    path = tmp_path_factory.mktemp("model") / "good.safetensors"
    RVAE(1, n_init=1, epochs=1, random_state=0).fit(images).save(path)
    return path.read_bytes()


def refused(path, match):
    with pytest.raises(ValueError, match=match) as caught:
        RVAE.load(path)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("position", np.linspace(0.02, 0.999, 25))
@pytest.mark.parametrize("change", ["flipped", "cut"])
def test_every_damaged_byte_is_found(saved, tmp_path, position, change):
    path, k = tmp_path / "bad.safetensors", int(position * len(saved))
    if change == "flipped":
        path.write_bytes(saved[:k] + bytes([saved[k] ^ 0x10]) + saved[k + 1 :])
    else:
        path.write_bytes(saved[:k])
    refused(path, "not a safetensors file|damaged|holds")


@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 100, b"\xff" * 100, b"PK\x03\x04" * 9])
def test_foreign_files_are_refused(tmp_path, content):
    (tmp_path / "other.safetensors").write_bytes(content)
    refused(tmp_path / "other.safetensors", "not a safetensors file")


@pytest.mark.parametrize("about", ["null", "[]", "3", '{"format": "another"}'])
def test_other_headers_are_refused(saved, tmp_path, about):
    size = struct.unpack("<Q", saved[:8])[0]
    header = json.loads(saved[8 : 8 + size])
    header["__metadata__"]["hs_rvae"] = about
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    path = tmp_path / "changed.safetensors"
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + saved[8 + size :])
    refused(path, "holds 'no model of hs_rvae'|holds 'another'")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused_with_a_right_check_sum(saved, tmp_path, value):
    (tmp_path / "good.safetensors").write_bytes(saved)
    tensors, header = read_model(tmp_path / "good.safetensors", FORMAT)
    name = next(name for name, each in tensors.items() if each.dtype == torch.float32)
    tensors[name] = tensors[name].clone()
    tensors[name].view(-1)[0] = value
    refused(write_model(tmp_path / "made.safetensors", tensors, header), f"not finite in {name!r}")


@pytest.mark.parametrize(
    ("name", "value"),
    [("window_size", 10**6), ("window_size", 3), ("q_max", 1e9), ("n_q", -1), ("max_order", 10**4)],
)
def test_absurd_grids_are_refused_with_a_right_check_sum(saved, tmp_path, name, value):
    (tmp_path / "good.safetensors").write_bytes(saved)
    tensors, header = read_model(tmp_path / "good.safetensors", FORMAT)
    header["model"]["grid"][name] = value
    refused(
        write_model(tmp_path / "made.safetensors", tensors, header),
        r"reads \((windows of|\S+ frequencies and orders)",
    )
