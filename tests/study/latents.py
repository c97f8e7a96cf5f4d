# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tilts, hands, chemistry and variants of simulated films, predicted from latents.

    python tests/study/latents.py OUT.jsonl tilts:0-5 chirality:0 pto_ac:60 polar:joined
    python tests/study/latents.py --table OUT.jsonl      # a table in rst

Films go the way of README, sublattice B. A quantity is predicted from the latents by the 15 nearest
neighbours, in five folds. The image is cut into 5 x 5 parts, and a fold holds out five of them:
latents are smooth maps, as domains are, so that a site's neighbours in space predict its domain,
whatever the latents are about. The number after pto_ac is that of counts per pixel.

"joined": five films (seeds 0 to 4) are fitted at once, and a fold holds out one of them. Domains of
the films have nothing to do with each other, so that nothing but the latents predicts variants.
"""

import argparse
import importlib.util
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from sklearn.decomposition import NMF, PCA
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

import hs_rvae
from hs_rvae.simulation import simulate_perovskite


def _load(name):
    """The module beside this one, which pytest imports without a name to import it by."""
    if f"study_{name}" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            f"study_{name}", Path(__file__).with_name(f"{name}.py")
        )
        sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[spec.name])
    return sys.modules[f"study_{name}"]


images = _load("images")

CELL = 26.0
_TILTS = dict(oxygen=0.2, octahedral_tilt=5.0)
_MIRRORED = dict(directions=(20, -20, 110, 70, 200, 160, 290, 250), domain_size=6.0)
#: Settings of the films, cells along an edge, and the part that turns.
FILMS = {
    "tilts": (dict(shift=0.0, **_TILTS), 30, "auto"),
    "tilts_dark": (dict(shift=0.0, dark=True, b_amplitude=0.5, **_TILTS), 30, "auto"),
    "polar_tilts": (dict(shift=0.6, **_TILTS), 30, "auto"),
    "chirality": (dict(shift=0.6, order="antiparallel"), 30, "auto"),
    "mirrored_motif": (dict(shift=1.8, **_MIRRORED), 30, "motif"),
    "chemistry": (dict(shift=1.8, chemistry=0.7), 46, "auto"),
    "polar": (dict(shift=0.6, nonpolar=0.08), 30, "auto"),
    "aberrated": (dict(shift=0.6, aberration=0.2, dose=132.0), 30, "auto"),
}
N_NEIGHBOURS = 15
NEAR = 0.3  # cells
JOINED = range(5)  # seeds of the films that are fitted at once
WINDOW = 48  # px, of these


def film_stack(name, seed, window_size=None):
    """Stack of a film, and quantities of its sites by name; NaN: not known."""
    settings, n_cells, _ = FILMS[name]
    side = round(n_cells * CELL)
    image, truth = simulate_perovskite((side, side), cell=CELL, random_state=seed, **settings)
    stack = cut(image, window_size)
    b = truth.b_sites
    distance, row = cKDTree(b[["x", "y"]].to_numpy()).query(stack.sites.xy)
    b = b.iloc[row].reset_index(drop=True)
    known = {"chemistry": b["chemistry"].to_numpy()}
    if settings.get("octahedral_tilt"):
        known["tilt"] = b["octahedral_tilt"].to_numpy()
        known["tilt_sign"] = np.sign(known["tilt"])
    if b["chirality"].any():
        known["chirality"] = np.where(b["chirality"] == 0, np.nan, b["chirality"])
    if "directions" in settings:
        known["chirality"] = np.where(b["wall_distance"] > 1, b["variant"] % 2, np.nan)
    elif settings["shift"]:
        known["order"] = b["order"].to_numpy()
        far = (b["variant"] >= 0) & (b["wall_distance"] > 1.5)
        known["variant"] = np.where(far, b["variant"], np.nan)
    near = distance < NEAR * CELL
    return stack, {name: np.where(near, values, np.nan) for name, values in known.items()}


def multislice_stack(name, counts):
    """Stack of a multislice image, and the variants of its sites."""
    image, truth = images.MULTISLICE[name]()
    stack = cut(images.thinned(image, counts))
    cell = np.sqrt(image.data.size / len(truth["b_xy"]))
    distance, row = cKDTree(truth["b_xy"]).query(stack.sites.xy)
    variant = truth["variant"][row].astype(float)
    good = (distance < NEAR * cell) & (truth["wall"][row] >= 2) & (variant >= 0)
    return stack, {"variant": np.where(good, variant, np.nan)}


def cut(image, window_size=None):
    """Stack around the B columns that are found in an image."""
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    return hs_rvae.SubImageStack.from_atom_lattice(
        lattice,
        image=image,
        sublattice="B",
        window_size=window_size,
        show_progressbar=False,
    )


def parts_of_the_image(xy):
    """Numbers from 0 to 4 of the folds of sites, (n,)."""
    low, size = xy.min(axis=0), np.ptp(xy, axis=0) + 1e-9
    column, row = np.floor(5 * (xy - low) / size).astype(int).T
    return (column + 2 * row) % 5


def predicted(features, values, folds):
    """
    Share of a quantity that the nearest neighbours in features predict.

    Parameters
    ----------
    features : numpy.ndarray, shape (n, k)
    values : numpy.ndarray, shape (n,)
        NaN: left out. A quantity of nine values or fewer counts as classes.
    folds : numpy.ndarray of int, shape (n,)

    Returns
    -------
    float
        R2, or balanced accuracy of classes.
    """
    good = np.isfinite(values)
    features, values, folds = features[good], values[good], folds[good]
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    classes = len(np.unique(values)) < 10
    neighbours = (KNeighborsClassifier if classes else KNeighborsRegressor)(N_NEIGHBOURS)
    found = cross_val_predict(neighbours, features, values, groups=folds, cv=GroupKFold(5))
    return float((balanced_accuracy_score if classes else r2_score)(values, found))


def chance(features, values, xy, folds):
    """
    Share of a quantity that maps predict which are as smooth, but have nothing to do with it.

    Smooth maps predict domains beyond one in four: a held-out part of the image lies beside others
    that have the same domain and similar values. So features are mirrored and turned about the
    middle of the image, in the seven ways that leave a square, and the shares are averaged.

    Parameters
    ----------
    features : numpy.ndarray, shape (n, k)
    values : numpy.ndarray, shape (n,)
    xy : numpy.ndarray, shape (n, 2)
    folds : numpy.ndarray of int, shape (n,)

    Returns
    -------
    float
    """
    middle = (xy.min(axis=0) + xy.max(axis=0)) / 2
    off, tree = xy - middle, cKDTree(xy)
    moved = [off * signs for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
    moved = [*moved[1:], *(one[:, ::-1] for one in moved)]
    rows = [tree.query(one + middle)[1] for one in moved]
    return float(np.mean([predicted(features[own], values, folds) for own in rows]))


def others(stack, k):
    """Components of other methods, and intensities, by name."""
    pixels = np.asarray(stack.data, float)
    middle = pixels.shape[1] // 2
    core = pixels[:, middle - 3 : middle + 4, middle - 3 : middle + 4].mean(axis=(1, 2))
    flat = pixels.reshape(len(pixels), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NMF does not settle
        parts = NMF(k, init="nndsvda", random_state=0).fit_transform(flat - flat.min())
    return {
        "pca": PCA(k, random_state=0).fit_transform(flat),
        "nmf": parts,
        "intensity": np.column_stack([core, pixels.mean(axis=(1, 2))]),
    }


def measure(name, number):
    """
    All figures of one film or multislice image.

    Parameters
    ----------
    name : str
        One of `FILMS`, or of `images.MULTISLICE`.
    number : int
        Seed, or counts per pixel.

    Returns
    -------
    dict of str to object
        Ready for JSON: ``figures[method][quantity]``, methods being two and the recommended number
        of latents, as many components of PCA and NMF, and intensities (of column and window).
    """
    make = film_stack if name in FILMS else multislice_stack
    stack, known = make(name, number)
    features, row = fitted(stack, name, number if name in FILMS else 0)
    folds = parts_of_the_image(stack.sites.xy)
    figures = {
        method: {what: predicted(values, y, folds) for what, y in known.items()}
        for method, values in features.items()
    }
    if "variant" in known:
        for method in ("two", "recommended"):
            by_chance = chance(features[method], known["variant"], stack.sites.xy, folds)
            figures[method]["variant_chance"] = by_chance
    return {"film": name, "seed": number, "figures": figures} | row


def fitted(stack, name, seed):
    """Latents of a stack and components of other methods by name, and figures of the fit."""
    rotation = FILMS[name][2] if name in FILMS else "auto"
    features, seconds, k = {}, [], 2
    for method in ("two", "recommended"):
        start = time.process_time()
        stack.rvae(output_dimension=k, rotation=rotation, random_state=seed, show_progressbar=False)
        seconds.append(time.process_time() - start)
        model = stack.rvae_model
        latents = [stack.sites[f"latent_{i}"] for i in range(model.n_latents_)]
        features[method] = np.column_stack(latents)
        k = model.n_latents_recommended_
        if k == model.n_latents_:
            features["recommended"] = features[method]
            break
    return features | others(stack, k), {
        "sites": len(stack.sites),
        "verdict": stack.rvae_verdict.kind,
        "recommended": k,
        "scree": [round(float(v), 3) for v in model.latent_scree_[:6]],
        "rvae_s": seconds[0],
    }


def measure_joined(name):
    """Share of the variants of a film that those of four others predict, by method."""
    films = [film_stack(name, seed, WINDOW) for seed in JOINED]
    stack = hs_rvae.stack([film for film, _ in films])
    variant = np.concatenate([known["variant"] for _, known in films])
    number = np.repeat(JOINED, [len(film.sites) for film, _ in films])
    features, row = fitted(stack, name, 0)
    figures = {
        method: {"variant": predicted(values, variant, number)}
        for method, values in features.items()
    }
    return {"film": name, "seed": "joined", "figures": figures} | row


def read(path):
    """Lines of a file of results; of a film that was measured twice the last."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    return list({(row["film"], row["seed"]): row for row in rows}.values())


METHODS = ("two", "recommended", "pca", "nmf", "intensity")


def summarise(path):
    """Table of the results in a file, in reStructuredText: mean and worst of the seeds."""
    by_film = {}
    for row in read(path):
        if row["seed"] == "joined":
            continue
        name = row["film"] if row["film"] in FILMS else f"{row['film']}, {row['seed']} counts"
        by_film.setdefault(name, []).append(row)
    header = ["film", "quantity", "two latents", "recommended number", "PCA", "NMF", "intensity"]
    rows = []
    for name, films in by_film.items():
        numbers = sorted({row["recommended"] for row in films})
        for k, what in enumerate(films[0]["figures"]["two"]):
            words = [
                _figure([row["figures"][m][what] for row in films], what)
                if what in films[0]["figures"][m]
                else ""
                for m in METHODS
            ]
            words[1] += f" ({', '.join(map(str, numbers))})"
            rows.append([name if k == 0 else "", what.replace("_", " "), *words])
    return "\n".join(
        [
            _table("Quantities predicted from latents and components", header, rows),
            _table("Variants of a film predicted from four others", *_of_joined(read(path))),
        ]
    )


def _of_joined(rows):
    """Header and rows of the table of films that were fitted at once."""
    header = ["film", "sites", "two latents", "recommended number", "PCA", "NMF", "intensity"]
    return header, [
        [
            row["film"],
            f"{row['sites']:,}",
            *(f"{row['figures'][m]['variant']:.2f}" for m in METHODS),
        ]
        for row in rows
        if row["seed"] == "joined"
    ]


def _table(title, header, rows):
    lines = [f".. list-table:: {title}", "   :header-rows: 1", "   :widths: auto", ""]
    for row in [header, *rows]:
        lines += [f"   {' ' if i else '*'} - {cell}".rstrip() for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def _figure(values, what):
    """Mean and worst of the seeds; the worst variant is the one that is predicted best."""
    worst = max(values) if what.startswith("variant") else min(values)
    return f"{np.mean(values):.2f} / {worst:.2f}"


def words_of(arguments):
    """Names and numbers of ``NAME:NUMBER``; ranges are spelled out."""
    for word in arguments:
        name, _, numbers = word.partition(":")
        if numbers == "joined":
            yield name, numbers
            continue
        first, _, last = numbers.partition("-")
        for number in range(int(first), int(last or first) + 1):
            yield name, number


def main():
    """Measure films, or print the table of a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("films", nargs="*", metavar="NAME:NUMBER")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for name, number in words_of(arguments.films):
        row = measure_joined(name) if number == "joined" else measure(name, number)
        with open(arguments.out, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
    if arguments.table:
        print(summarise(arguments.out))


if __name__ == "__main__":
    main()
