# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""pyroVED's rotationally invariant VAE in an environment of its own: `run_pyroved.py IN OUT`.

IN.npz as for `run_atomai.py`. Its encoder is a perceptron: it cannot be asked for the paper's.
"""

import sys
import time

import numpy as np
import pyroved as pv
import torch

torch.set_num_threads(1)
given = dict(np.load(sys.argv[1]))
images = torch.as_tensor(given["images"].astype(np.float32))
invariances = ["r", "t"] if given["translation"] else ["r"]
model = pv.models.iVAE(tuple(images.shape[1:]), 2, invariances, seed=int(given["seed"]))
kept = np.random.default_rng(int(given["seed"])).permutation(len(images))[int(0.15 * len(images)) :]
loader = pv.utils.init_dataloader(images[kept], batch_size=32)
trainer = pv.trainers.SVItrainer(model)
start = time.process_time()
for _ in range(int(given["epochs"])):
    trainer.step(loader)
seconds = time.process_time() - start
mean = model.encode(images)[0].numpy()
losses = np.array(trainer.loss_history["training_loss"])
np.savez(sys.argv[2], angle=-mean[:, 0], seconds=seconds, steps=len(loader), train_loss=losses)
