# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""AtomAI's U-Net in an environment of its own: `python run_atomai_columns.py MODE IN.npz OUT`.

MODE is ``train``: IN holds ``crops`` (n, h, w), ``masks`` (n, h, w) and ``seconds`` of one
processor; OUT is the file of the weights. Or ``find``: IN holds images ``image_0``, ... and the
file of the ``weights``; OUT holds their columns (x, y), px from the corner of the first one.
Images are scaled from 0 to 1, as AtomAI does when it predicts.
"""

import os
import sys
import tempfile
import time

os.environ.setdefault("MPLBACKEND", "agg")

import atomai as aoi
import numpy as np
import torch

torch.set_num_threads(1)
BATCH = 16


def scaled(images):
    """Images (n, h, w) from 0 to 1."""
    low, high = (f(images, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    return (images - low) / (high - low)


def model():
    """AtomAI's U-Net with its defaults."""
    return aoi.models.Segmentor("Unet", nb_classes=1, seed=1)


def train(given, path):
    """Batches for as long as `seconds` allow; half a minute of them shows how many."""
    images = scaled(given["crops"].astype(np.float32))[:, None]
    masks = given["masks"].astype(np.float32)[:, None]
    seconds = float(given["seconds"])
    data = dict(X_train=images, y_train=masks, X_test=images[:BATCH], y_test=masks[:BATCH])
    with tempfile.TemporaryDirectory() as folder:
        data["filename"] = os.path.join(folder, "model")
        start = time.process_time()
        model().fit(**data, training_cycles=20, batch_size=BATCH, plot_training_history=False)
        cycles = int(20 * seconds / (time.process_time() - start))
        start, segmentor = time.process_time(), model()
        segmentor.fit(**data, training_cycles=cycles, batch_size=BATCH, plot_training_history=False)
    torch.save(segmentor.net.state_dict(), path)
    print(f"{cycles} batches in {time.process_time() - start:.0f} s of one processor")


def find(given, path):
    """Columns of images."""
    segmentor = model()
    segmentor.net.load_state_dict(torch.load(str(given["weights"])))
    found = {}
    for name in (one for one in given if one.startswith("image_")):
        coordinates = segmentor.predict(given[name].astype(np.float32), verbose=False)[1][0]
        found[name] = coordinates[:, 1::-1] + 0.5
    np.savez(path, **found)


if __name__ == "__main__":
    with np.load(sys.argv[2]) as file:
        {"train": train, "find": find}[sys.argv[1]](dict(file), sys.argv[3])
