# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of merit of `find_sublattices` on images of crystals with truth.

    python tests/study/crystals.py OUT.jsonl graphene/plain:0 "1H layer/8 px:0-2"
    python tests/study/crystals.py OUT.jsonl all:0-2       # every case with three seeds
    python tests/study/crystals.py OUT.jsonl defects:0-2   # also: columns
    python tests/study/crystals.py --known OUT.jsonl columns:0-2   # with structure=
    python tests/study/crystals.py --table OUT.jsonl       # tables in rst

A case is ``CRYSTAL/CONDITION``. Two questions are put: are all columns found and named, and are
vacancies and substitutions found? One line per image is added to OUT.jsonl.
"""

import argparse
import importlib.util
import json
import sys
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import hyperspy.api as hs
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

import hs_rvae
from hs_rvae.simulation import CrystalTruth, simulate_crystal
from hs_rvae.simulation.structures import STRUCTURES, imaged_basis


def _load_atoms():
    """The module beside this one, which pytest imports without a name to import it by."""
    if "study_atoms" not in sys.modules:
        file = Path(__file__).with_name("atoms.py")
        spec = importlib.util.spec_from_file_location("study_atoms", file)
        sys.modules["study_atoms"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["study_atoms"])
    return sys.modules["study_atoms"]


SEEDS = range(3)
NEAR = 0.3  # nearest distances: a column further from every true one is false
RIM = 1.0  # nearest distances from the border, within which nothing is judged
AT_BOUNDARY = 1.5  # likewise, from a boundary: columns there may belong to no grain
ALIKE = 0.3  # nearest distances that places of one kind may be from symmetry
COLUMNS, CELLS = 400, 60  # minimum numbers in an image
TURN = 11.3  # degrees between the crystals of two seeds

#: Minimum share of columns found, maximum share with a wrong sublattice, and of false columns.
ENOUGH, WRONG = 0.99, 0.005
#: Counts, and height of the faintest column in standard errors, below which cases are reported, not
#: judged: there a search that is right loses columns in the noise.
MINIMUM_DOSE, MINIMUM_HEIGHT = 30, 5.0

_OXYGEN = dict(light_elements=True, dark=True)
#: Settings of each crystal. Without its oxygen, fluorite looks like rock salt.
CRYSTALS = {
    "perovskite [001]": {},
    "perovskite [001], O": _OXYGEN,
    "perovskite [110]": {},
    "perovskite [110], O": _OXYGEN,
    "perovskite [110], O bright": dict(light_elements=True),
    "rock salt [001]": {},
    "rock salt [110]": {},
    "rock salt [110], O": _OXYGEN,
    "fluorite [001], O": _OXYGEN,
    "fluorite [110], O": _OXYGEN,
    "wurtzite [11-20]": {},
    "wurtzite [11-20], O bright": dict(light_elements=True),
    "zinc blende [110]": {},
    "hexagonal manganite [110]": {},
    "1H layer": {},
    "1T layer": {},
    "graphene": {},
    "graphene, dark": dict(dark=True),
    "tungsten bronze [001]": {},
}
#: What is different from 16 px between nearest columns, 150 counts and a perfect crystal.
CONDITIONS = {
    "plain": {},
    "12 counts": dict(dose=12.0),
    "30 counts": dict(dose=30.0),
    "400 counts": dict(dose=400.0),
    "8 px": dict(spacing=8.0),
    "8 px, 30 counts": dict(spacing=8.0, dose=30.0),
    "30 px": dict(spacing=30.0),
    "100 px": dict(spacing=100.0),
    "touching columns": dict(column_width=0.26, dose=400.0),
    "vacancies": dict(vacancies=0.02),
    "antiphase": dict(antiphase=True),
    "grains": dict(grain_angle=17.0),
    "zoom": dict(zoom=3.0, spacing=30.0),
    "data bar": dict(data_bar=True),
    "dirt": dict(contamination=0.5, thickness_gradient=0.5),
    "strain": dict(strain=0.01),
}
#: Crystals whose defects are looked for, and the settings of the defects.
DEFECT_CRYSTALS = ("perovskite [001]", "1H layer", "graphene")
_DIRT = dict(contamination=0.3, thickness_gradient=0.3)
DEFECTS = {
    f"{name}, {dose} counts": settings | _DIRT | dict(dose=float(dose))
    for dose in (30, 100, 400)
    for name, settings in {
        "no defects": {},
        "vacancies 1 %": dict(vacancies=0.01),
        "vacancies 3 %": dict(vacancies=0.03),
        "ratio 0.75, 2 %": dict(substitutions=0.02),
        "ratio 1.3, 2 %": dict(substitutions=0.02, substitution_ratio=1.3),
    }.items()
}


class Case(NamedTuple):
    """Name of a crystal, settings of the simulator, and whether defects are looked for."""

    crystal: str
    settings: dict
    defects: bool


def _cases():
    cases = {}
    for crystal, settings in CRYSTALS.items():
        for condition, more in CONDITIONS.items():
            cases[f"{crystal}/{condition}"] = Case(crystal, settings | more, False)
    for crystal in DEFECT_CRYSTALS:
        for condition, more in DEFECTS.items():
            cases[f"{crystal}/{condition}"] = Case(crystal, CRYSTALS[crystal] | more, True)
    return cases


CASES = _cases()


class Image(NamedTuple):
    """An image with its truth; ``kinds`` (n_places,) are those that count as different."""

    name: str
    seed: int
    case: Case
    image: hs.signals.Signal2D
    truth: CrystalTruth
    kinds: np.ndarray


def make(name, seed):
    """
    One image of a case.

    Parameters
    ----------
    name : str
        One of `CASES`.
    seed : int

    Returns
    -------
    Image
    """
    if name not in CASES:
        raise ValueError(f"{name!r}: give one of {', '.join(CASES)}.")
    case = CASES[name]
    settings = dict(spacing=16.0, rotation=TURN * seed) | case.settings
    structure = case.crystal.split(",")[0]
    basis = _basis(case)
    per_column = basis.area / len(basis.places) / basis.nearest_distance**2
    columns = max(COLUMNS, CELLS * len(basis.places))
    if "grain_angle" in settings or "antiphase" in settings:
        columns = 2 * columns  # as many in each grain
    if settings["spacing"] > 50:
        columns = columns // 3
    if "antiphase" in settings:
        settings["antiphase"] = (0.5, 0.5) if structure == "perovskite [001]" else (0.5, 0.0)
    side = int(np.sqrt(columns * per_column) * settings["spacing"])
    rows = side
    if "data_bar" in settings:
        settings["data_bar"] = side // 12
        rows += side // 12
    image, truth = simulate_crystal((rows, side), structure, random_state=seed, **settings)
    return Image(name, seed, case, image, truth, basis.kinds(ALIKE))


def search(image, structure=None):
    """Find the columns of an image, of a structure if its name is given; processor seconds."""
    options = {}
    if structure is not None:
        atoms, zone_axis = _load_atoms().known(structure)
        options = dict(structure=atoms, zone_axis=zone_axis)
    start = time.process_time()
    lattice = hs_rvae.find_sublattices(image, show_progressbar=False, **options)
    return lattice, time.process_time() - start


def found_columns(lattice):
    """Table ``x``, ``y``, ``name`` and ``grain`` of all columns; of no lattice: name ""."""
    tables = []
    if hasattr(lattice, "crystal"):
        columns = lattice.crystal.unassigned[["x", "y"]]
        tables.append(columns.assign(name="", grain=-1))
    for sublattice in lattice.sublattice_list:
        table = sublattice.column_table
        tables.append(table[["x", "y", "grain"]].assign(name=sublattice.name))
    return pd.concat(tables, ignore_index=True)


def inner(table, image):
    """True for rows of a table that are not at the rim of the picture, shape (n,)."""
    rows, columns = image.image.data.shape
    bar = image.image.data[::-1].any(axis=1).argmax()  # constant rows
    rim = RIM * image.truth.spacing
    keep = table["x"].between(rim, columns - 1 - rim) & table["y"].between(
        rim, rows - bar - 1 - rim
    )
    return keep.to_numpy()


def judge_columns(table, image):
    """
    Figures of merit of found columns.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``x``, ``y``, ``name``, ``grain``.
    image : Image

    Returns
    -------
    dict of str to float
        Shares of the true columns: ``found`` with a name, ``kept`` with or without one. Shares of
        the found ones: ``wrong`` (kind is not that of most columns of the name), ``strict``
        (likewise, but kinds that are only nearly alike are different) and ``grains`` (label is that
        of their grain). ``false`` is the number of found columns that are none, ``columns`` that of
        true columns, ``names`` of sublattices.
    """
    truth, true = image.truth, image.truth.columns
    reach = NEAR * truth.spacing
    found = table[table["name"] != ""].reset_index(drop=True)
    apart, row = cKDTree(found[["x", "y"]]).query(true[["x", "y"]])
    kept = cKDTree(table[["x", "y"]]).query(true[["x", "y"]])[0] <= reach
    away = (true["boundary_distance"] > AT_BOUNDARY * truth.spacing).to_numpy()
    judged = inner(true, image) & (true["place"] >= 0).to_numpy() & away
    hit = apart <= reach
    of_true = np.zeros(len(found), bool)
    of_true[row[hit]] = True
    matched = found.iloc[row[judged & hit]].reset_index(drop=True)
    match = true[judged & hit].reset_index(drop=True)
    result = {
        "columns": int(judged.sum()),
        "found": float(hit[judged].mean()),
        "kept": float(kept[judged].mean()),
        "false": int((~of_true & inner(found, image)).sum()),
        "names": int(found["name"].nunique()),
    }
    if len(match):
        kinds = image.kinds[match["place"]]
        result["wrong"] = 1 - share_of_majority(matched["name"], kinds)
        result["strict"] = 1 - share_of_majority(matched["name"], match["kind"])
        result["grains"] = share_of_best_labels(matched["grain"], match["grain"])
    return result


def share_of_majority(label, truth):
    """Share of rows whose truth is that of most rows of their label."""
    counts = pd.crosstab(np.asarray(label), np.asarray(truth)).to_numpy()
    return float(counts.max(axis=1).sum() / counts.sum())


def share_of_best_labels(label, truth):
    """Share of rows with the one label of their true grain; -1 is none."""
    counts = pd.crosstab(np.asarray(label), np.asarray(truth))
    right = 0
    for grain in counts:
        grains = counts[counts.index != -1]
        own = grains[grains.idxmax(axis=1) == grain] if len(grains) else grains
        right += own[grain].max() if len(own) else 0
    return float(right / counts.to_numpy().sum())


def judge_defects(table, image):
    """
    Figures of merit of a table of defects.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``x``, ``y``, ``kind``, ``ratio``.
    image : Image

    Returns
    -------
    dict of str to float
        ``defects`` (true ones), ``claimed``, ``right``, and ``ratio_error`` (root mean square, of
        the substitutions that were found).
    """
    true = image.truth.defects
    true = true[inner(true, image)].reset_index(drop=True)
    near = table[inner(table, image)].reset_index(drop=True)
    result = {"defects": len(true), "claimed": len(near), "right": 0}
    errors = []
    for kind, claims in near.groupby("kind"):
        of_kind = true[true["defect"] == kind]
        if not len(of_kind):
            continue
        apart, row = cKDTree(claims[["x", "y"]]).query(of_kind[["x", "y"]])
        hit = apart <= NEAR * image.truth.spacing
        result["right"] += len(np.unique(row[hit]))
        if kind == "substitution":
            ratio = claims["ratio"].to_numpy()[row[hit]]
            errors.append(ratio - of_kind["ratio"].to_numpy()[hit])
    if errors and len(errors[0]):
        result["ratio_error"] = float(np.sqrt(np.mean(errors[0] ** 2)))
    return result


def measure(image, known=False):
    """
    All figures of merit of one image.

    Parameters
    ----------
    image : Image
    known : bool
        The search is given the structure.

    Returns
    -------
    dict
        Case, seed, those of :func:`judge_columns` and, for cases of defects, :func:`judge_defects`;
        ``seconds`` of the search. A search that raises has found nothing; ``error`` is its message.
    """
    row = {"case": image.name, "seed": image.seed}
    try:
        structure = image.case.crystal.split(",")[0] if known else None
        lattice, seconds = search(image.image, structure)
        row |= judge_columns(found_columns(lattice), image) | {"seconds": round(seconds, 3)}
        if image.case.defects:
            row |= judge_defects(hs_rvae.find_defects(lattice, image.image), image)
    except Exception as error:  # an image that ends the search is a result
        row |= {"found": 0.0, "error": f"{type(error).__name__}: {error}"}
    return row


def passed(rows):
    """True if all images of a case have their columns, with their sublattices, and no others."""
    return all(
        row["found"] >= ENOUGH
        and row.get("wrong", 1.0) <= WRONG
        and row["false"] <= WRONG * row["columns"]
        for row in rows
    )


def reported_only(name):
    """True for a case that is not judged: few counts, or columns that drown in the noise."""
    few = CASES[name].settings.get("dose", 150.0) < MINIMUM_DOSE
    return few or faintest(CASES[name]) < MINIMUM_HEIGHT


def faintest(case):
    """
    Height of the faintest column in units of its standard error, about.

    That of a Gaussian with known place and width on a known background is its height times
    ``sqrt(pi * dose / background) * sigma``.
    """
    settings = dict(spacing=16.0, dose=150.0, column_width=0.16, zoom=1.0) | case.settings
    sigma = settings["column_width"] * settings["spacing"] / settings["zoom"]
    # With the tails of neighbours; dark columns are scaled to fit into the bright background.
    background, scale = (1.1, 0.8) if case.settings.get("dark") else (0.3, 1.0)
    height = scale * _basis(case).heights.min()
    return height * np.sqrt(np.pi * settings["dose"] / background) * sigma


def _basis(case):
    structure = STRUCTURES[case.crystal.split(",")[0]]
    return imaged_basis(structure, case.settings.get("light_elements", False))


def images_of(words):
    """Names and seeds from words such as ``graphene/plain:0-2`` or ``columns:0``."""
    for word in words:
        name, _, seeds = word.rpartition(":")
        first, _, last = seeds.partition("-")
        names = [name]
        if name in ("all", "columns", "defects"):
            names = [case for case, one in CASES.items() if name in ("all", _group(one))]
        for case in names:
            for seed in range(int(first), int(last or first) + 1):
                yield case, seed


def _group(case):
    return "defects" if case.defects else "columns"


def summarise(rows):
    """Tables in reStructuredText: all cases, and defects."""
    cases = {}
    for row in rows:
        cases.setdefault(row["case"], {})[row["seed"]] = row
    cases = {name: list(seeds.values()) for name, seeds in cases.items()}
    columns = {name: cases[name] for name in CASES if name in cases}
    text = _list_table(
        "Columns of simulated crystals",
        ["crystal", "condition", "images", "found (%)", "wrong (%)", "strict (%)", "grains (%)",
         "false per 1,000", "names", "seconds", "passed", "errors"],
        [_columns_row(name, rows) for name, rows in columns.items()],
    )  # fmt: skip
    defects = {name: rows for name, rows in columns.items() if "claimed" in rows[0]}
    if defects:
        header = ["crystal", "defects", "recall", "precision", "false per 1,000", "ratio error"]
        lines = [_defects_row(name, rows) for name, rows in defects.items()]
        text += "\n" + _list_table("Vacancies and substitutions", header, lines)
    judged = {name: rows for name, rows in columns.items() if not reported_only(name)}
    good = sum(passed(rows) for rows in judged.values())
    return text + f"\n{good} of {len(judged)} cases passed.\n"


def matrix(rows):
    """Table in reStructuredText: crystals by conditions, share of found and of wrong columns."""
    cases = {}
    for row in rows:
        cases.setdefault(row["case"], []).append(row)
    lines = []
    for crystal in CRYSTALS:
        cells = [crystal]
        for condition in CONDITIONS:
            of_case = cases.get(f"{crystal}/{condition}", [])
            found, wrong = (_percent(of_case, name, least) for name, least in _WORST)
            cells.append(f"{found} / {wrong}")
        lines.append(cells)
    title = "Columns found and columns with a wrong sublattice, in %, worst of the images"
    return _list_table(title, ["crystal", *CONDITIONS], lines)


_WORST = (("found", min), ("wrong", max))


def _columns_row(name, rows):
    crystal, condition = name.split("/")
    total = sum(row.get("columns", 0) for row in rows)
    false = 1000 * sum(row.get("false", 0) for row in rows) / max(total, 1)
    seconds = [row["seconds"] for row in rows if "seconds" in row]
    messages = sorted({row["error"][:60] for row in rows if "error" in row})
    names = sorted({str(row["names"]) for row in rows if "names" in row})
    verdict = "yes" if passed(rows) else "no"
    return [
        crystal, condition, len(rows), _percent(rows, "found", min), _percent(rows, "wrong", max),
        _percent(rows, "strict", max), _percent(rows, "grains", min), f"{false:.1f}",
        ", ".join(names) or "\\-", f"{np.mean(seconds):.2f}" if seconds else "\\-",
        "(" + verdict + ")" if reported_only(name) else verdict, "; ".join(messages) or "\\-",
    ]  # fmt: skip


def _defects_row(name, rows):
    crystal, condition = name.split("/")
    true, claimed, right, total = (
        sum(row.get(figure, 0) for row in rows)
        for figure in ("defects", "claimed", "right", "columns")
    )
    errors = [row["ratio_error"] for row in rows if "ratio_error" in row]
    return [
        crystal, condition, f"{right / true:.3f}" if true else "\\-",
        f"{right / claimed:.3f}" if claimed else "\\-",
        f"{1000 * (claimed - right) / max(total, 1):.1f}",
        f"{np.sqrt(np.mean(np.square(errors))):.3f}" if errors else "\\-",
    ]  # fmt: skip


def _percent(rows, figure, worst):
    values = [row[figure] for row in rows if figure in row]
    return f"{100 * worst(values):.1f}" if values else "\\-"


def _list_table(title, header, rows):
    lines = [f".. list-table:: {title}", "   :header-rows: 1", ""]
    for row in [header, *rows]:
        lines += [f"   {' ' if n else '*'} - {cell}" for n, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def read(path):
    """Rows of a file of results."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def main():
    """Measure images, one line of JSON for each, or print the tables of a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--known", action="store_true")
    parser.add_argument("out")
    parser.add_argument("images", nargs="*")
    arguments = parser.parse_args()
    if arguments.table:
        rows = read(arguments.out)
        print(summarise(rows), matrix(rows), sep="\n")
        return
    warnings.simplefilter("ignore")
    hs_rvae.set_log_level("ERROR")
    for name, seed in images_of(arguments.images):
        row = measure(make(name, seed), arguments.known)
        with open(arguments.out, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
