# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of merit of angles, variants, uncertainties and verdicts on the cases of ``cases.py``.

    python tests/study/study.py OUT.jsonl film_0.4:0 film_0.4:1 null_square_plain:0
    python tests/study/study.py OUT.jsonl all:0-5      # every case with six seeds
    python tests/study/study.py OUT.jsonl nulls:0      # also: distortions
    python tests/study/study.py --table OUT.jsonl      # a table in rst

Films go the way of README. One line per film is added to OUT.jsonl.
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
from sklearn.metrics import adjusted_rand_score

import hs_rvae
from hs_rvae.neighbours import displacement


def _load_cases():
    """The module beside this one, which pytest imports without a name to import it by."""
    if "study_cases" not in sys.modules:
        file = Path(__file__).with_name("cases.py")
        spec = importlib.util.spec_from_file_location("study_cases", file)
        sys.modules["study_cases"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["study_cases"])
    return sys.modules["study_cases"]


cases = _load_cases()

FAR = 0.3  # cells: a site further away from every B column is none of them


def cut(film):
    """Stack of sub-images around the B columns, given or found."""
    if film.positions is None:
        lattice = hs_rvae.find_sublattices(film.image, show_progressbar=False)
        return hs_rvae.SubImageStack.from_atom_lattice(
            lattice, image=film.image, sublattice="B", show_progressbar=False
        )
    columns = None
    if film.case.hexagonal:  # the neighbours of a B column are six
        x, y = displacement(film.positions, film.neighbours, k=6).T
        columns = {"displacement_x": x, "displacement_y": y}
    return hs_rvae.SubImageStack.from_positions(
        film.image,
        film.positions,
        window_size=film.window,
        neighbours=film.neighbours,
        columns=columns,
        show_progressbar=False,
    )


def analyse(stack, seed=0, **settings):
    """Angles, their zero, variants; the verdict and processor seconds of the model alone."""
    start = time.process_time()
    stack.rvae(output_dimension=2, random_state=seed, show_progressbar=False, **settings)
    seconds = time.process_time() - start
    stack.register_angle("displacement")
    counted = stack.assign_variants()
    kind = getattr(getattr(stack, "rvae_verdict", None), "kind", None)
    if kind is None:  # a model without verdicts: what the number of wells amounts to
        kind = "variants" if counted > 1 else ("one direction" if counted else "nothing")
    return {"verdict": kind, "wells": int(counted), "rvae_s": seconds}


def match(stack, truth):
    """Row of the true B column of every site, and which sites have one."""
    columns = cKDTree(truth.b_sites[["x", "y"]].to_numpy())
    distance, row = columns.query(np.asarray(stack.sites.xy))
    return row, distance < FAR * truth.cell


def difference(angle, other):
    """Angle minus another one, in radians from -pi to pi."""
    return np.angle(np.exp(1j * (np.asarray(angle) - np.asarray(other))))


def nearest_wells(angle, true_angle, true_variant):
    """Variant whose true well is nearest to each angle."""
    kinds = np.unique(true_variant)
    wells = [np.angle(np.exp(1j * true_angle[true_variant == k]).mean()) for k in kinds]
    return kinds[np.abs(difference(angle[:, None], np.array(wells))).argmin(1)]


def directions(angle, true_angle, true_variant):
    """
    Figures of merit of angles that have a zero.

    Parameters
    ----------
    angle, true_angle : numpy.ndarray, shape (n,)
        In radians; undefined (NaN) angles are left out.
    true_variant : numpy.ndarray of int, shape (n,)

    Returns
    -------
    dict of str to float
        ``ari`` of the nearest true wells (only with two variants or more), ``error`` (mean absolute
        difference, degrees), ``ari_offset`` and ``error_offset``, the same after the one offset
        that makes the error smallest, ``resultant``, ``within45`` (share of errors below 45
        degrees) and ``defined`` (share of angles that count).
    """
    good = np.isfinite(angle) & np.isfinite(true_angle)
    found = {"defined": float(good.mean()) if len(good) else np.nan}
    if not good.any():
        return found
    angle, true_angle, true_variant = (one[good] for one in (angle, true_angle, true_variant))
    error = difference(angle, true_angle)
    offsets = np.linspace(-np.pi, np.pi, 720, endpoint=False)
    rests = np.abs(difference(error[None], offsets[:, None])).mean(1)
    found |= {
        "error": float(np.degrees(np.abs(error).mean())),
        "error_offset": float(np.degrees(rests.min())),
        "resultant": float(np.abs(np.exp(1j * error).mean())),
        "within45": float((np.abs(error) < np.pi / 4).mean()),
    }
    if len(np.unique(true_variant)) > 1:
        for name, offset in (("ari", 0.0), ("ari_offset", offsets[rests.argmin()])):
            label = nearest_wells(angle - offset, true_angle, true_variant)
            found[name] = float(adjusted_rand_score(true_variant, label))
    return found


def coverage(angle, std, truth, row, hexagonal):
    """Shares of the directions of single displacements in their intervals of 68 and 95 %."""
    b, a = (table[["x", "y"]].to_numpy() for table in (truth.b_sites, truth.a_sites))
    x, y = displacement(b, a, k=6 if hexagonal else 4)[row].T
    error = np.abs(difference(angle, np.arctan2(y, x)))
    good = np.isfinite(error) & np.isfinite(std) & (truth.b_sites["order"].to_numpy()[row] > 0.5)
    if not good.any():
        return {}
    return {
        "coverage68": float((error < std)[good].mean()),
        "coverage95": float((error < 1.96 * std)[good].mean()),
    }


def measure(film, **settings):
    """
    All figures of merit of one film.

    Parameters
    ----------
    film : Film
    **settings
        Of ``stack.rvae``.

    Returns
    -------
    dict of str to object
        Ready for JSON. Beside those of :func:`directions`, for the angle and (``vectors_``) for
        displacement vectors on the same sites: ``verdict`` and whether it is ``right``,
        ``variant_ari`` without undefined sites, ``undefined`` (share), ``coverage68``,
        ``coverage95``, ``order`` and ``order_undistorted`` (mean order amplitude of judged sites,
        and of those that are not displaced), ``claimed`` (share of undistorted sites with a
        variant), ``sites``, ``rvae_s`` and ``all_s`` (processor seconds).
    """
    start = time.process_time()
    stack = cut(film)
    found = {"case": film.name, "seed": film.seed, "sites": len(stack.sites)}
    found |= analyse(stack, **settings)
    found["all_s"] = time.process_time() - start
    found["right"] = found["verdict"] in film.case.expected
    return found | figures(stack, film)


def figures(stack, film):
    """What :func:`measure` says about the columns of the site table."""
    sites, found = stack.sites, {}
    row, matched = match(stack, film.truth)
    b = film.truth.b_sites
    still = (b["variant"] < 0).to_numpy() | (not film.case.settings["shift"])
    undistorted = matched & still[row]
    if undistorted.any():
        found["order_undistorted"] = float(np.nanmean(sites["order_amplitude"][undistorted]))
        found["claimed"] = float((sites["variant"][undistorted] >= 0).mean())
    judged = matched & film.judged[row]
    found["judged"] = int(judged.sum())
    if not judged.any():
        return found
    row = row[judged]
    angle, variant = (b[name].to_numpy()[row] for name in ("angle", "variant"))
    found |= directions(sites["angle"][judged], angle, variant)
    vectors = vector_angles(stack)[judged]
    found |= {f"vectors_{k}": v for k, v in directions(vectors, angle, variant).items()}
    label = sites["variant"][judged]
    found["undefined"] = float((label < 0).mean())
    if (label >= 0).any() and len(np.unique(variant)) > 1:
        found["variant_ari"] = float(adjusted_rand_score(variant[label >= 0], label[label >= 0]))
    std = sites["angle_std"][judged]
    found |= coverage(sites["angle"][judged], std, film.truth, row, film.case.hexagonal)
    found["order"] = float(np.nanmean(sites["order_amplitude"][judged]))
    return found


def vector_angles(stack):
    """Directions of the displacements in the site table, NaN where there are none."""
    if "displacement_x" not in stack.sites:
        return np.full(len(stack.sites), np.nan)
    return np.arctan2(stack.sites["displacement_y"], stack.sites["displacement_x"])


def vectors(film):
    """What :func:`measure` says about displacement vectors, without a model."""
    stack = cut(film)
    row, matched = match(stack, film.truth)
    judged = matched & film.judged[row]
    b = film.truth.b_sites.iloc[row[judged]]
    return directions(vector_angles(stack)[judged], b.angle.to_numpy(), b.variant.to_numpy())


def read(path):
    """Lines of a file of results; of a film that was measured twice the last."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    return list({(row["case"], row["seed"]): row for row in rows}.values())


def append(path, row):
    """Add a line to a file of results."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def summarise(path):
    """
    Tables of the results in a file, in reStructuredText.

    Parameters
    ----------
    path : path-like
        A file of lines in JSON, as ``measure`` makes them.

    Returns
    -------
    str
        One row per case: distorted crystals, then undistorted ones.
    """
    by_case = {}
    for row in read(path):
        by_case.setdefault(row["case"], []).append(row)
    distorted = {k: v for k, v in by_case.items() if not k.startswith("null_")}
    nulls = {k: v for k, v in by_case.items() if k.startswith("null_")}
    tables = []
    if distorted:
        header = [
            "film (px)", "films", "ARI, mean / minimum", "error (degrees)",
            "variants: ARI, undefined", "vectors: ARI, error", "coverage of 68 / 95 %",
            "order amplitude: judged, undistorted", "other verdicts", "processor seconds",
        ]  # fmt: skip
        rows = [_distorted_row(*item) for item in distorted.items()]
        tables.append(_table("Angles and variants of distorted crystals", header, rows))
    if nulls:
        header = ["crystal", "films", "wrong verdicts", "sites with a variant", "order amplitude"]
        every = [row for rows in nulls.values() for row in rows]
        rows = [_null_row(*item) for item in [*nulls.items(), ("all", every)]]
        tables.append(_table("Verdicts on undistorted crystals", header, rows))
    return "\n".join(tables)


def _mean(rows, key, form="{:.3f}", of=np.mean):
    values = [row[key] for row in rows if row.get(key) is not None]
    return form.format(of(values)) if values else "\\-"


def _wrong(rows):
    """Verdicts that are not right, and errors, each with its number."""
    wrong = [row.get("verdict", "error") for row in rows if not row.get("right")]
    return ", ".join(f"{v} {wrong.count(v)}" for v in sorted(set(wrong))) or "0"


def _distorted_row(name, rows):
    least = _mean(rows, "ari", of=min)
    return [
        name,
        len(rows),
        f"{_mean(rows, 'ari')} / {least}",
        _mean(rows, "error", "{:.1f}"),
        f"{_mean(rows, 'variant_ari')}, {_mean(rows, 'undefined', '{:.1%}')}",
        f"{_mean(rows, 'vectors_ari')}, {_mean(rows, 'vectors_error', '{:.1f}')}",
        f"{_mean(rows, 'coverage68', '{:.0%}')} / {_mean(rows, 'coverage95', '{:.0%}')}",
        f"{_mean(rows, 'order', '{:.2f}')}, {_mean(rows, 'order_undistorted', '{:.2f}')}",
        _wrong(rows),
        _mean(rows, "rvae_s", "{:.1f}"),
    ]


def _null_row(name, rows):
    claimed = _mean(rows, "claimed", "{:.1%}")
    return [name, len(rows), _wrong(rows), claimed, _mean(rows, "order_undistorted", "{:.2f}")]


def _table(title, header, rows):
    lines = [f".. list-table:: {title}", "   :header-rows: 1", "   :widths: auto", ""]
    for row in [header, *rows]:
        lines += [f"   {' ' if i else '*'} - {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def films_of(words):
    """Names and seeds of ``CASE:SEED``; groups of cases and ranges of seeds are spelled out."""
    groups = {
        "all": list(cases.CASES),
        "nulls": [name for name in cases.CASES if name.startswith("null_")],
        "distortions": [name for name in cases.CASES if not name.startswith("null_")],
    }
    for word in words:
        name, _, seeds = word.partition(":")
        first, _, last = seeds.partition("-")
        for seed in range(int(first), int(last or first) + 1):
            for one in groups.get(name, [name]):
                yield one, seed


def main():
    """Measure films, or print the table of a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("films", nargs="*", metavar="CASE:SEED")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for name, seed in films_of(arguments.films):
        try:
            row = measure(cases.make(name, seed))
        except Exception as error:  # the others are measured all the same
            row = {"case": name, "seed": seed, "right": False, "error_message": repr(error)}
        append(arguments.out, row)
        print(json.dumps(row), flush=True)
    if arguments.table:
        print(summarise(arguments.out))


if __name__ == "__main__":
    main()
