# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from hs_rvae.plots.diagnostics import plot_diagnostics


@pytest.fixture
def table():
    """Two values against two quantities and each other; one cell stands out, one is empty."""
    return pd.DataFrame(
        [
            ("angle", "x", 0.31, False),
            ("angle", "intensity", np.nan, False),
            ("angle", "latent_0", 0.5, False),
            ("latent_0", "x", 0.92, True),
            ("latent_0", "intensity", 0.92, False),
            ("latent_0", "angle", 0.5, False),
        ],
        columns=["value", "quantity", "coefficient", "follows"],
    )


def cells(ax):
    """What is written in each cell, by the names of its row and column."""
    rows = [label.get_text() for label in ax.get_yticklabels()]
    columns = [label.get_text() for label in ax.get_xticklabels()]
    at = [(text.get_text(), *np.rint(text.get_position()).astype(int)) for text in ax.texts]
    return {(rows[y], columns[x]): text for text, x, y in at}


def test_every_cell_shows_its_coefficient_under_its_printed_names(table):
    ax = plot_diagnostics(table)
    assert cells(ax) == {
        ("Angle", "x"): "0.31",
        ("Angle", "Latent 0"): "0.50",
        ("Latent 0", "x"): "0.92",
        ("Latent 0", "Intensity"): "0.92",
        ("Latent 0", "Angle"): "0.50",
    }
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        "x", "Intensity", "Angle", "Latent 0",
    ]  # fmt: skip


def test_what_stands_out_is_framed_and_the_same_coefficient_by_chance_is_pale(table):
    ax = plot_diagnostics(table)
    (framed,) = [patch for patch in ax.patches if patch.get_gid() == "stands out"]
    assert framed.get_xy() == pytest.approx((-0.45, 0.55))  # latent_0 against x
    assert framed.get_edgecolor()[3] == 1
    pale = next(p for p in ax.patches if p.get_xy() == pytest.approx((0.55, 0.55)))
    assert pale.get_edgecolor()[3] == 0
    assert sum(pale.get_facecolor()) > sum(framed.get_facecolor()) + 0.3


def test_the_figure_fits_a_column_and_no_figure_leaves_its_cell(table):
    rows = ["angle", "latent_0", "latent_1", "order_amplitude"]
    columns = [*(f"quantity {k}" for k in range(7)), *rows]
    full = pd.DataFrame(
        [(row, column, 0.88, True) for row in rows for column in columns if row != column],
        columns=table.columns,
    )
    ax = plot_diagnostics(full)
    figure = ax.figure
    assert figure.get_size_inches()[0] * 25.4 <= 86
    figure.canvas.draw()
    assert figure.bbox.containsx(ax.get_tightbbox().x0) and ax.get_tightbbox().y0 >= 0
    width = ax.transData.transform([[0, 0], [0.9, 0]])[:, 0] @ [-1, 1]
    assert max(text.get_window_extent().width for text in ax.texts) < width


def test_it_draws_into_given_axes(table):
    _, axes = plt.subplots(1, 2)
    assert plot_diagnostics(table, title="film", ax=axes[1]) is axes[1]
    assert axes[1].get_title() == "film" and len(plt.get_fignums()) == 1


def test_tables_that_do_not_fit_are_named(table):
    with pytest.raises(ValueError, match=r"table lacks \['follows'\]: give the table of stack"):
        plot_diagnostics(table.drop(columns="follows"))
    with pytest.raises(ValueError, match="table lacks rows"):
        plot_diagnostics(table.iloc[:0])
    with pytest.raises(ValueError, match="cmap='rainbows' is the name of no colour map"):
        plot_diagnostics(table, cmap="rainbows")
    with pytest.raises(TypeError, match="one matplotlib Axes"):
        plot_diagnostics(table, ax=[1])
