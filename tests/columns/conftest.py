# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Found columns against simulated truth."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial import cKDTree


def positions_and_labels(lattice):
    tables = {s.name: s.column_table for s in lattice.sublattice_list}
    xy = np.vstack([table[["x", "y"]] for table in tables.values()])
    return xy, np.repeat(list(tables), [len(table) for table in tables.values()])


def compare_columns(lattice, truth, shape, core=None):
    """Shares of A and B that were found, wrong labels and strays, one cell inside the border.

    A column is found if one lies within 0.15 cells, and a stray if it is 0.25 cells from all true
    ones. Within two cells of a dislocation core nothing is asked.
    """
    found, labels = positions_and_labels(lattice)
    true = np.vstack([truth.a_sites[["x", "y"]], truth.b_sites[["x", "y"]]])
    true_labels = np.repeat(["A", "B"], [len(truth.a_sites), len(truth.b_sites)])
    size = np.array(shape[::-1])

    def counted(xy):
        inner = ((xy > truth.cell) & (xy < size - 1 - truth.cell)).all(axis=1)
        return inner if core is None else inner & (np.hypot(*(xy - core).T) > 2 * truth.cell)

    distance, nearest = cKDTree(found).query(true)
    hit, asked = distance < 0.15 * truth.cell, counted(true)
    error = found[nearest] - true
    result = {"wrong": int((labels[nearest] != true_labels)[hit & asked].sum())}
    for name in "AB":
        of_kind = asked & (true_labels == name)
        result[name] = hit[of_kind].mean() if of_kind.any() else np.nan
        both = of_kind & hit
        result[f"rms_{name}"] = np.sqrt((error[both] ** 2).mean()) if both.any() else np.nan
    far = cKDTree(true).query(found)[0] > 0.25 * truth.cell
    result["stray"] = int((far & counted(found)).sum())
    return SimpleNamespace(**result)


@pytest.fixture
def compare():
    return compare_columns
