# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the network that finds columns, as the weights of the package were made.

    python docs/dev/train_network.py weights.safetensors

The same seed gives the same weights on the same machine with the same versions.
"""

import argparse
import logging
from time import perf_counter

from hs_rvae.columns import train_network
from hs_rvae.simulation import simulate_training_images


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="file of the weights")
    parser.add_argument("--images", type=int, default=2000, help="simulated images (default 2000)")
    parser.add_argument("--steps", type=int, default=2000, help="batches of 16 (default 2000)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (default 1)")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    start = perf_counter()
    examples = simulate_training_images(options.images, random_state=options.seed)
    network = train_network(
        examples,
        "new",
        dark=False,  # they are bright in these images
        steps=options.steps,
        device=options.device,
        random_state=options.seed,
    )
    network.save(options.path)
    print(f"{options.path}: {network}, made in {(perf_counter() - start) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
