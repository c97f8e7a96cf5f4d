# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Multislice and real images with what is known about them, by README's route.

    python tests/study/images.py OUT.jsonl pto_ac:60 pto_ac:12 pto_sro:44 twin

The number is that of counts per pixel (multislice; fewer than there are by binomial thinning; the
mosaic has 500), or of the window in px. Real images are read from the folder in HS_RVAE_DATA and
are left out where they are missing.
"""

import argparse
import json
import os
import time
import warnings
from pathlib import Path

import hyperspy.api as hs
import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import cKDTree
from sklearn.metrics import adjusted_rand_score

import hs_rvae
from hs_rvae.variants import wrap

MULTISLICE = {
    "pto_ac": hs_rvae.data.pto_ac,
    "bfo_lsmo": hs_rvae.data.bfo_lsmo,
    "vortex": hs_rvae.data.pto_sto_vortex,
    "sto_null": hs_rvae.data.sto_null,
}
FULL_COUNTS = 60
MOSAIC_COUNTS = 500  # of the mosaic, whose brightest pixels have eight times as many as the others
MOSAIC_SCALE = 200  # counts of the value 1 in it
NEAR, WALL, ORDERED = 0.3, 2, 0.6  # cells, cells, order of the sites that are judged


def thinned(image, counts, full=FULL_COUNTS):
    """Image with fewer counts per pixel than it has."""
    image = image.deepcopy()
    if counts < full:
        data = np.random.default_rng(7).binomial(image.data.astype(int), counts / full)
        image.data = data.astype(np.float32)
    return image


def analysed(image, sublattice="B", seed=0, window_size=None):
    """Stack with angles and variants, from a raw image."""
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False)
    stack = hs_rvae.SubImageStack.from_atom_lattice(
        lattice, image=image, sublattice=sublattice, window_size=window_size,
        show_progressbar=False,
    )  # fmt: skip
    return with_angles(stack, seed)


def with_angles(stack, seed=0):
    """The stack after rvae(), register_angle() and assign_variants()."""
    start = time.process_time()
    stack.rvae(random_state=seed, show_progressbar=False)
    stack.seconds = time.process_time() - start
    stack.agreement = stack.register_angle("displacement")[1]
    stack.assign_variants()
    return stack


def about(stack):
    """What the stack says about itself."""
    verdict = stack.rvae_verdict
    return {
        "verdict": verdict.kind,
        "rotation": verdict.rotation,
        "evidence": dict(verdict.evidence),
        "n_variants": 0 if verdict.kind == "nothing" else len(stack.variants),
        "defined": float((stack.sites["variant"] >= 0).mean()),
        "agreement": stack.agreement,
        "rvae_s": stack.seconds,
        "sites": len(stack.sites),
    }


def errors(angle, truth, variant):
    """ARI of the nearest true wells, and mean error in degrees."""
    good = np.isfinite(angle)
    error = wrap(angle - truth)[good]
    found = {"error": float(np.degrees(np.abs(error)).mean())}
    kinds = np.unique(variant)
    if len(kinds) > 1:
        wells = np.array([np.angle(np.exp(1j * truth[variant == k]).mean()) for k in kinds])
        label = np.abs(wrap(angle[good, None] - wells)).argmin(1)
        found["ari"] = float(adjusted_rand_score(variant[good], label))
    return found


def multislice(name, counts):
    """Figures of a multislice image."""
    image, truth = MULTISLICE[name]()
    stack = analysed(thinned(image, counts))
    found = about(stack)
    if name == "sto_null":
        return found
    cell = np.sqrt(image.data.size / len(truth["b_xy"]))
    distance, row = cKDTree(truth["b_xy"]).query(stack.sites.xy)
    variant, angle = truth["variant"][row], truth["d_angle"][row]
    judged = distance < NEAR * cell
    if (truth["variant"] >= 0).any():
        judged &= (truth["wall"][row] >= WALL) & (variant >= 0) & (truth["amp"][row] > ORDERED)
    else:
        judged &= (truth["amp"][row] > 0.4) & np.isfinite(angle)
        variant = np.zeros(len(variant), int)
    return found | compared(stack, judged, angle, variant)


def compared(stack, judged, angle, variant):
    """Figures of angles, vectors and variants of the judged sites, from the truth of all."""
    sites, angle, variant = stack.sites, angle[judged], variant[judged]
    found = errors(sites["angle"][judged], angle, variant)
    vectors = np.arctan2(sites["displacement_y"], sites["displacement_x"])[judged]
    found |= {f"vectors_{k}": v for k, v in errors(vectors, angle, variant).items()}
    label = sites["variant"][judged]
    if len(np.unique(variant)) > 1 and (label >= 0).any():
        known = label >= 0
        found["variant_ari"] = float(adjusted_rand_score(variant[known], label[known]))
        found["undefined"] = float((~known).mean())
    error, std = np.abs(wrap(sites["angle"][judged] - angle)), sites["angle_std"][judged]
    found["coverage68"] = float((error < std).mean())
    found["coverage95"] = float((error < 1.96 * std).mean())
    return found


def mosaic(counts=MOSAIC_COUNTS, seed=0):
    """Figures of the multislice mosaic of four variants."""
    image, truth = hs_rvae.data.bfo_multislice()
    image.data = np.round(image.data * MOSAIC_SCALE)
    stack = analysed(thinned(image, counts, MOSAIC_COUNTS), seed=seed)
    xy = truth["cell_centre_xy_warped"] + truth["B_shift_angstrom_xy"] / truth["px_angstrom"]
    distance, row = cKDTree(xy).query(stack.sites.xy)
    near = cKDTree(xy).query(xy, k=9)[1]
    inside = (truth["label"][near] == truth["label"][:, None]).all(1)[row] & (distance < 3)
    judged = inside & (truth["label"][row] < 4)
    angle = np.arctan2(*truth["B_shift_angstrom_xy"].T[::-1])[row]
    return about(stack) | compared(stack, judged, angle, truth["label"][row])


def superlattice(window):
    """Agreement of the angles of the real PbTiO3/SrRuO3 image with displacement vectors."""
    stack = analysed(hs_rvae.data.pto_sro(), window_size=int(window))
    return about(stack)


def orthoperovskite(seed=0):
    """Share of the sites of the real DyScO3 image that are in the right one of two variants."""
    stack = analysed(hs_rvae.data.dysco3(), "A", seed)
    xy, shift = hs_rvae.data.dysco3_positions()
    distance, row = cKDTree(xy).query(stack.sites.xy)
    up = (shift[row][:, 1] > 0)[distance < 5]
    variant = stack.sites["variant"][distance < 5]
    right = max((up == (variant == k)).mean() for k in (0, 1))
    return about(stack) | {"right": float(right)}


def maxima(data, blur=2.0, size=9):
    """Positions (x, y) of the maxima of a blurred image."""
    smooth = gaussian_filter(data.astype(float), blur)
    peak = (smooth == maximum_filter(smooth, size)) & (smooth > np.percentile(smooth, 60))
    return np.argwhere(peak)[:, ::-1]


def twin(seed=0):
    """Axes of the two grains of a real CdTe twin, and the share of sites on the right side."""
    image = hs.load(_file("real/CdTe_twin.dm3"))
    image.change_dtype("float32")
    stack = hs_rvae.SubImageStack.from_positions(
        image, maxima(image.data), window_size=24, show_progressbar=False
    )
    stack = with_angles(stack, seed)
    found, sites = about(stack), stack.sites
    if found["n_variants"] == 2:
        first, second = stack.variants["direction"]
        apart = np.degrees(np.mod(second - first, np.pi))
        found["axes_apart"] = float(min(apart, 180 - apart))
        (x0, y0), (x1, y1) = (180, 0), (370, 512)  # the boundary
        side = (sites["x"] - x0) * (y1 - y0) - (sites["y"] - y0) * (x1 - x0) > 0
        match = (sites["variant"] == 1) == side
        found["right"] = float(max(match.mean(), 1 - match.mean()))
    return found


def real_null(sublattice):
    """Verdict on a real crystal without distortion."""
    image = hs.load(_file("real_null/SrTiO3_low_dose_crop.hspy"))
    image.change_dtype("float32")
    return about(analysed(image, sublattice))


def cubic_oxide(sublattice):
    """Verdict on the cubic oxide that is installed with Atomap."""
    import atomap

    folder = Path(atomap.__file__).parent / "tests" / "datasets"
    image = hs.load(next(folder.glob("*ADF*cropped.hdf5")), reader="hspy")
    image.change_dtype("float32")
    return about(analysed(image, sublattice))


def _file(name):
    path = Path(os.environ.get("HS_RVAE_DATA", "")) / name
    if not path.exists():
        raise FileNotFoundError(f"{name} is not in the folder HS_RVAE_DATA.")
    return path


def measure(word):
    """Figures of one image, ``NAME`` or ``NAME:NUMBER``."""
    name, _, number = word.partition(":")
    if name in MULTISLICE:
        return multislice(name, float(number or FULL_COUNTS))
    others = {
        "mosaic": lambda: mosaic(float(number or MOSAIC_COUNTS)),
        "pto_sro": lambda: superlattice(number or 44),
        "dysco3": orthoperovskite,
        "twin": twin,
        "real_null": lambda: real_null(number or "B"),
        "cubic_oxide": lambda: cubic_oxide(number or "B"),
    }
    return others[name]()


def summarise(path):
    """Table of the results in a file, in reStructuredText."""
    header = ["image", "sites", "verdict", "variants", "sites with a variant", "ARI (vectors)",
              "error in degrees (vectors)", "agreement with vectors", "right sites"]  # fmt: skip
    lines = [".. list-table:: Multislice and real images", "   :header-rows: 1", ""]
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    for row in [dict(zip(header, header, strict=True))] + rows:
        cells = header if "image" in row and row["image"] == "image" else _cells(row)
        lines += [f"   {' ' if i else '*'} - {cell}" for i, cell in enumerate(cells)]
    return "\n".join(lines) + "\n"


def _cells(row):
    def number(name, form):
        value = row.get(name)
        return "\\-" if value is None or value != value else form.format(value)

    ari, error = number("ari", "{:.3f}"), number("error", "{:.1f}")
    return [
        row["image"], row["sites"], row["verdict"], row["n_variants"], number("defined", "{:.1%}"),
        f"{ari} ({number('vectors_ari', '{:.3f}')})",
        f"{error} ({number('vectors_error', '{:.1f}')})",
        number("agreement", "{:.2f}"), number("right", "{:.1%}"),
    ]  # fmt: skip


def main():
    """Measure images, one line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("images", nargs="+")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for word in arguments.images:
        row = {"image": word} | measure(word)
        with open(arguments.out, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
