# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of earlier versions open in this one. ``python tests/test_kept_files.py`` writes new ones.

Of each format, one stack and its model are kept. Their numbers stand beside them.
"""

import json
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest

import hs_rvae

FOLDER = Path(__file__).parent / "kept_files"
KEPT = sorted(path.name.removesuffix(".json") for path in FOLDER.glob("*.json"))


def numbers_of(stack):
    """Mean and last value of each column of the table."""
    return {
        name: [float(np.nanmean(stack.sites[name])), float(stack.sites[name][-1])]
        for name in stack.sites.columns
        if np.isfinite(stack.sites[name][-1])
    }


def test_a_file_of_each_format_is_kept():
    formats = {json.loads((FOLDER / f"{name}.json").read_text())["model_format"] for name in KEPT}
    from hs_rvae.rvae.storage import FORMAT

    assert FORMAT in formats


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_file_opens_and_holds_the_same(name):
    known = json.loads((FOLDER / f"{name}.json").read_text())
    stack = hs.load(FOLDER / f"{name}.hspy")
    assert type(stack) is hs_rvae.SubImageStack and stack.sites.signal.metadata.Sites.format == 1
    found = numbers_of(stack)
    assert list(found) == list(known["numbers"])
    for column, numbers in known["numbers"].items():
        assert found[column] == pytest.approx(numbers, rel=1e-12)
    assert stack.rvae_verdict.kind == known["verdict"]
    stack.load_rvae_model(FOLDER / f"{name}.safetensors")
    before = {column: stack.sites[column].copy() for column in ("angle", "latent_0")}
    stack.apply_rvae(show_progressbar=False)
    for column, values in before.items():
        np.testing.assert_allclose(stack.sites[column], values, atol=1e-4)


def write(name):
    """Write a small stack, its model and their numbers."""
    from hs_rvae.rvae.storage import FORMAT

    image, truth = hs_rvae.simulation.simulate_perovskite((330, 330), cell=20, random_state=0)
    sites = truth.b_sites[["x", "y"]]
    stack = hs_rvae.SubImageStack.from_positions(image, sites, window_size=26)
    stack.data = stack.data.astype(np.uint16)
    stack.rvae(1, n_init=1, epochs=2, max_fit_sites=150, random_state=0)
    stack.save(FOLDER / f"{name}.hspy", overwrite=True, compression="gzip")
    stack.rvae_model.save(FOLDER / f"{name}.safetensors")  # after it: the stack notes no path
    _forget_folder(FOLDER / f"{name}.hspy")
    known = {
        "model_format": FORMAT,
        "verdict": stack.rvae_verdict.kind,
        "numbers": numbers_of(hs.load(FOLDER / f"{name}.hspy")),
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(known, indent=1) + "\n")


def _forget_folder(path):
    """Copy a file without the folder of the machine that wrote it."""
    import h5py

    draft = path.with_suffix(".draft")
    with h5py.File(path, "r+") as file, h5py.File(draft, "w") as new:
        (experiment,) = file["Experiments"].values()
        experiment["metadata/Sub_images"].attrs["folder"] = FOLDER.name
        new.attrs.update(file.attrs)
        file.copy("Experiments", new)
    draft.replace(path)


if __name__ == "__main__":
    write("stack_1")
