# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""AtomAI's rVAE in an environment of its own: `python run_atomai.py MODE IN.npz OUT.npz`.

MODE is ``steps``, ``epoch`` or ``film``.

IN holds ``images`` (n, w, w), divided by their maximum, and ``epochs``, ``translation``, ``seed``.
"""

import os
import sys
import time

os.environ.setdefault("MPLBACKEND", "agg")

import atomai as aoi
import numpy as np
import torch

torch.set_num_threads(1)


def build(given):
    """The paper's network, with AtomAI's defaults for everything else."""
    size = given["images"].shape[1]
    return aoi.models.rVAE(
        (size, size),
        latent_dim=2,
        translation=bool(given["translation"]),
        seed=int(given["seed"]),
        conv_encoder=True,
        numlayers_encoder=2,
        numhidden_encoder=128,
        numlayers_decoder=2,
        numhidden_decoder=128,
    )


def steps(given):
    """First weights, order of the batches, noise and losses of a fit; then the time of an epoch."""
    images = given["images"].astype(np.float32)
    rows = {image.tobytes(): k for k, image in enumerate(images)}
    rvae = build(given)
    known = {f"encoder.{k}": v.clone() for k, v in rvae.encoder_net.state_dict().items()}
    known |= {f"decoder.{k}": v.clone() for k, v in rvae.decoder_net.state_dict().items()}
    order, noise, losses = [], [], []
    original, draw = rvae.forward_compute_elbo, rvae.reparameterize

    def step(x, *arguments, **options):
        order.append([rows[image.numpy().tobytes()] for image in x])
        elbo = original(x, *arguments, **options)
        losses.append(-float(elbo))
        return elbo

    def reparameterize(mean, std):
        z = draw(mean, std)
        noise.append(((z - mean) / std).detach().numpy())
        return z

    rvae.forward_compute_elbo, rvae.reparameterize = step, reparameterize
    rvae.fit(images, training_cycles=int(given["epochs"]), batch_size=32, filename=given["file"])
    rvae.forward_compute_elbo, rvae.reparameterize = original, draw
    times = []
    for _ in range(3):
        start = time.process_time()
        rvae.train_epoch()
        times.append(time.process_time() - start)
    weights = {f"weight.{k}": v.numpy() for k, v in known.items()}
    return weights | {"order": order, "noise": noise, "losses": losses, "epoch_s": times}


def epoch(given):
    """Processor time of a fit of one epoch."""
    images = given["images"].astype(np.float32)
    rvae = build(given)
    start = time.process_time()
    rvae.fit(images, training_cycles=1, batch_size=32, filename=given["file"])
    return {"epoch_s": time.process_time() - start}


def film(given):
    """A whole fit with 15 % held out, and what it says about all images."""
    images = given["images"].astype(np.float32)
    chosen = np.random.default_rng(int(given["seed"])).permutation(len(images))
    held = chosen[: int(0.15 * len(images))]
    kept = chosen[len(held) :]
    rvae = build(given)
    start = time.process_time()
    rvae.fit(
        images[kept],
        X_test=images[held],
        training_cycles=int(given["epochs"]),
        batch_size=32,
        filename=given["file"],
    )
    seconds = time.process_time() - start
    mean = rvae.encode(images)[0]
    history = {k: -np.array(v) for k, v in rvae.loss_history.items()}
    return {"angle": -mean[:, 0], "seconds": seconds, "steps": len(kept) // 32} | history


if __name__ == "__main__":
    given = dict(np.load(sys.argv[2])) | {"file": sys.argv[3] + ".model"}
    result = {"steps": steps, "epoch": epoch, "film": film}[sys.argv[1]](given)
    np.savez(sys.argv[3], **result)
