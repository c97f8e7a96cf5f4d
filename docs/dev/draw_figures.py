# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw each figure function at its default size, to be looked at.

    python docs/dev/draw_figures.py FOLDER [NAME ...]

The page "Figures at column width" has a judgement of each. It takes about a minute.
"""

import argparse
from functools import cached_property
from pathlib import Path

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

import hs_rvae
from hs_rvae import plots


class Film:
    """A simulated film with a nonpolar layer, and what the methods made of it."""

    @cached_property
    def image(self):
        image, _ = hs_rvae.simulation.simulate_perovskite(
            (520, 520), cell=24, nonpolar=0.08, random_state=1
        )
        return image

    @cached_property
    def lattice(self):
        return hs_rvae.find_sublattices(self.image)

    @cached_property
    def stack(self):
        stack = hs_rvae.SubImageStack.from_atom_lattice(self.lattice, self.image, sublattice="B")
        stack.rvae(random_state=0)
        stack.assign_variants()
        stack.find_domains()
        stack.measure_modes()
        stack.decomposition("PCA", output_dimension=4, print_info=False)
        stack.embedding("isomap", random_state=0)
        stack.cluster_analysis("rvae", algorithm="gmm", n_clusters=4, random_state=0)
        stack.estimate_number_of_clusters("rvae", algorithm="gmm", random_state=0)
        return stack

    @cached_property
    def settings(self):
        return hs_rvae.compare_rvae(self.stack, "paper")


def defects(film):
    image, _ = hs_rvae.simulation.simulate_crystal(
        (400, 400), vacancies=0.02, substitutions=0.02, interstitials=0.01, random_state=0
    )
    lattice = hs_rvae.find_sublattices(image)
    return plots.plot_defects(image, hs_rvae.find_defects(lattice, image))


def color_wheel(film):
    figure, ax = plt.subplots(figsize=(1.2, 1.2), layout="constrained")
    plots.plot_color_wheel(ax)
    return figure


DRAWINGS = {
    "plot_image": lambda film: film.stack.plot_image(),
    "plot_sub_image": lambda film: film.stack.plot_sub_image(100),
    "plot_columns": lambda film: film.stack.plot_columns(),
    "plot_sublattices": lambda film: plots.plot_sublattices(film.image, film.lattice),
    "plot_defects": defects,
    "plot_site_map angle": lambda film: film.stack.plot_site_map("angle"),
    "plot_site_map variant": lambda film: film.stack.plot_site_map("variant"),
    "plot_site_map amplitude": lambda film: film.stack.plot_site_map("order_amplitude"),
    "plot_site_map latent": lambda film: film.stack.plot_site_map("latent_0"),
    "plot_site_map cluster": lambda film: film.stack.plot_site_map("cluster"),
    "plot_site_map angle_std": lambda film: film.stack.plot_site_map("angle_std"),
    "plot_site_map displacement": lambda film: film.stack.plot_site_map(
        "displacement_x_calibrated"
    ),
    "plot_polar_map": lambda film: film.stack.plot_polar_map("displacement"),
    "plot_polar_map latent": lambda film: film.stack.plot_polar_map("angle", "latent_0"),
    "plot_color_wheel": color_wheel,
    "plot_domains": lambda film: film.stack.plot_domains(),
    "plot_modes": lambda film: film.stack.plot_modes(),
    "plot_scatter": lambda film: film.stack.plot_scatter("latent_0", "angle", "cluster"),
    "plot_polar_scatter": lambda film: film.stack.plot_polar_scatter(),
    "plot_latent_space": lambda film: film.stack.plot_latent_space("cluster"),
    "plot_angle_histogram": lambda film: film.stack.plot_angle_histogram(),
    "plot_angle_histogram polar": lambda film: film.stack.plot_angle_histogram(polar=True),
    "plot_rvae_manifold": lambda film: film.stack.plot_rvae_manifold(),
    "plot_rvae_history": lambda film: film.stack.plot_rvae_history(),
    "plot_rvae_diagnostics": lambda film: film.stack.plot_rvae_diagnostics(random_state=0),
    "plot_cluster_means": lambda film: film.stack.plot_cluster_means(),
    "plot_cluster_metric": lambda film: film.stack.plot_cluster_metric(),
    "plot_method_comparison": lambda film: film.stack.plot_method_comparison(
        ["pca", "latent"], "variant"
    ),
    "plot_method_comparison without maps": lambda film: film.stack.plot_method_comparison(
        {"PCA": ("pca_0", "pca_1"), "PCA, next": ("pca_2", "pca_3"),
         "Isomap": ("isomap_0", "isomap_1"), "rVAE": ("latent_0", "latent_1")},
        maps=False,
    ),
    "plot_comparison": lambda film: film.settings.plot(),
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of the PNG files")
    parser.add_argument("names", nargs="*", help="figures to draw; all of them if none is given")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    hs.preferences.General.show_progressbar = False
    film = Film()
    for name, draw in DRAWINGS.items():
        if options.names and name.split()[0] not in options.names:
            continue
        drawn = draw(film)
        figure = getattr(drawn, "figure", drawn)
        figure.savefig(options.folder / f"{name.replace(' ', '_')}.png", dpi=254)
        width, height = np.round(figure.get_size_inches() * 25.4).astype(int)
        print(f"{name}: {width} x {height} mm")
        plt.close("all")


if __name__ == "__main__":
    main()
