# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record every number of a few analyses, to compare two states of the code bit for bit.

    OMP_NUM_THREADS=1 python tests/benchmarks/same_numbers.py record before.npz
    OMP_NUM_THREADS=1 python tests/benchmarks/same_numbers.py compare before.npz

``compare`` repeats the analyses and ends with an error if a number differs. On one machine, with
one thread of torch and BLAS, a change of structure must leave every number as it was.
"""

import contextlib
import sys
import warnings

import matplotlib

matplotlib.use("agg")

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

import hs_rvae
from hs_rvae import SubImageStack
from hs_rvae.exceptions import ModelMismatch

FIGURES = {
    "site_map_angle": lambda s: s.plot_site_map("angle"),
    "site_map_latent": lambda s: s.plot_site_map("latent_0"),
    "site_map_variant": lambda s: s.plot_site_map("variant"),
    "site_map_cluster": lambda s: s.plot_site_map("cluster"),
    "polar_map": lambda s: s.plot_polar_map(),
    "polar_map_displacement": lambda s: s.plot_polar_map("displacement", arrows=True),
    "polar_scatter": lambda s: s.plot_polar_scatter("latent_0", "latent_1"),
    "angle_histogram": lambda s: s.plot_angle_histogram(),
    "angle_histogram_polar": lambda s: s.plot_angle_histogram(polar=True),
    "latent_space": lambda s: s.plot_latent_space(),
    "scatter": lambda s: s.plot_scatter("displacement_x", "displacement_y", "variant"),
    "manifold": lambda s: s.plot_rvae_manifold((4, 4)),
    "history": lambda s: s.plot_rvae_history(),
    "cluster_means": lambda s: s.plot_cluster_means(),
    "diagnostics": lambda s: s.plot_rvae_diagnostics(n_shuffles=10, random_state=0),
    "image": lambda s: s.plot_image(),
    "sub_image": lambda s: s.plot_sub_image(3, disk=True),
    "method_comparison": lambda s: s.plot_method_comparison(["pca", "mds"]),
    "explore": lambda s: s.explore(),
}


def drawn():
    """Numbers in all open figures: data, offsets, colours, limits."""
    numbers = {}
    for n in plt.get_fignums():
        for i, ax in enumerate(plt.figure(n).axes):
            key = f"{n}/{i}"
            numbers[f"{key}/limits"] = np.array([*ax.get_xlim(), *ax.get_ylim()], float)
            for j, image in enumerate(ax.images):
                numbers[f"{key}/image{j}"] = np.ma.filled(image.get_array().astype(float), np.nan)
                numbers[f"{key}/image{j}/extent"] = np.array(image.get_extent(), float)
            for j, line in enumerate(ax.lines):
                numbers[f"{key}/line{j}"] = np.asarray(line.get_xydata(), float)
            for j, marks in enumerate(ax.collections):
                numbers[f"{key}/marks{j}"] = np.ma.filled(
                    np.ma.asarray(marks.get_offsets(), float), np.nan
                )
                if marks.get_array() is not None:
                    numbers[f"{key}/marks{j}/values"] = np.ma.filled(
                        np.ma.asarray(marks.get_array(), float), np.nan
                    )
                numbers[f"{key}/marks{j}/colors"] = np.asarray(marks.get_facecolor(), float)
            for j, patch in enumerate(ax.patches):
                numbers[f"{key}/patch{j}"] = np.asarray(patch.get_path().vertices, float)
    plt.close("all")
    return numbers


def film(seed, **settings):
    image, truth = hs_rvae.simulation.simulate_perovskite(
        (432, 432), cell=18.0, domain_size=8, random_state=seed, **settings
    )
    return image, truth


def analyses(seed):
    """Stacks with the results of every verb, by route."""
    image, truth = film(seed, chemistry=0.3)
    lattice = hs_rvae.find_sublattices(image)
    stack = SubImageStack.from_atom_lattice(lattice, image=image, sublattice="B", window_size=34)
    stack.rvae(output_dimension=2, random_state=seed)
    stack.register_angle("displacement")
    stack.assign_variants()
    for name in ("PCA", "SVD", "NMF", "ORPCA"):
        stack.decomposition(name, output_dimension=3, random_state=seed)
    for name in ("tsne", "mds", "isomap"):
        stack.embedding(name, random_state=seed)
    stack.cluster_analysis("rvae", algorithm="gmm", n_clusters="auto", random_state=seed)
    yield "found", stack

    xy, others = truth.b_sites[["x", "y"]], truth.a_sites
    lazy = SubImageStack.from_positions(image.as_lazy(), xy, window_size=36, neighbours=others)
    lazy.rvae(translation=True, random_state=seed, max_fit_sites=300)
    lazy.decomposition("PCA", output_dimension=3, random_state=seed)
    lazy.cluster_analysis("decomposition", algorithm="kmeans", n_clusters=3, random_state=seed)
    yield "lazy", lazy

    network = SubImageStack.from_positions(image, xy, window_size=24, centring="nearest")
    network.rvae(architecture="convolutional", epochs=1, random_state=seed)
    yield "convolutional", network

    series, positions, neighbours = [], [], []
    for frame in range(2):
        one, its_truth = film(seed, dose=100.0 + frame)
        series.append(one.data)
        positions.append(its_truth.b_sites[["x", "y"]].to_numpy() + 0.3 * frame)
        neighbours.append(its_truth.a_sites[["x", "y"]].to_numpy() + 0.3 * frame)
    signal = hs.signals.Signal2D(np.stack(series))
    frames = SubImageStack.from_positions(signal, positions, window_size=30, neighbours=neighbours)
    frames.rvae(rotation="motif", random_state=seed)
    yield "series", frames
    yield "joined", hs_rvae.stack([network, network])


def record():
    """All numbers by name."""
    hs.preferences.General.show_progressbar = False
    hs_rvae.set_log_level("ERROR")
    numbers = {}
    for seed in range(3):
        for route, stack in analyses(seed):
            key = f"{seed}/{route}"
            for name in stack.sites.columns:
                numbers[f"{key}/{name}"] = stack.sites[name]
            numbers[f"{key}/pixels"] = np.asarray(stack.inav[:20].data)
            if route == "found":
                numbers[f"{key}/model"] = stack.get_rvae_model().data
                numbers[f"{key}/manifold"] = stack.get_rvae_manifold((3, 3)).data
                numbers[f"{key}/posterior"] = stack.get_angle_posterior(72).data
                with contextlib.suppress(ModelMismatch):  # variants that no lattice turn relates
                    numbers[f"{key}/derotated"] = stack.derotate().data
                stack.sites["direction"] = stack.sites["angle"]
                numbers[f"{key}/turned_back"] = stack.derotate("direction").data
                table = stack.rvae_diagnostics(n_shuffles=20, random_state=0).table
                numbers[f"{key}/diagnostics"] = table.select_dtypes("number").to_numpy()
                for name, draw in FIGURES.items():
                    draw(stack)
                    for part, values in drawn().items():
                        numbers[f"{key}/figures/{name}/{part}"] = values
    return numbers


def main(verb, path):
    """Record, or compare with a record."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numbers = record()
    if verb == "record":
        np.savez_compressed(path, **numbers)
        print(f"{len(numbers)} arrays recorded in {path}")
        return 0
    before = np.load(path)
    missing, new = set(before) - set(numbers), set(numbers) - set(before)
    differ = 0
    for name in sorted(set(before) & set(numbers)):
        a, b = before[name], numbers[name]
        if a.shape != b.shape:
            differ += 1
            print(f"{name}: shape {a.shape} before, {b.shape} now")
        elif not np.array_equal(a, b, equal_nan=True):
            differ += 1
            size = np.nanmax(np.abs(np.asarray(a, float) - np.asarray(b, float)), initial=0)
            print(f"{name}: differs by up to {size:.3g}")
    print(*(f"{name}: gone" for name in sorted(missing)), sep="\n")
    print(*(f"{name}: new" for name in sorted(new)), sep="\n")
    print(f"{len(before.files)} arrays before, {len(numbers)} now, {differ} differ")
    return int(bool(missing or differ))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
