# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import matplotlib.pyplot as plt
import numpy as np
import pytest

from hs_rvae.plots import plot_history

HISTORY = {
    "pose_log_likelihood": np.array([-9.0, -4.0, -3.0]),
    "loss": np.array([5.0, 4.0]),
    "reconstruction": np.array([4.5, 3.0]),
    "kl": np.array([0.5, 1.0]),
    "validation_loss": np.array([5.5, 4.5]),
}


def test_angles_and_content_have_a_panel_each():
    figure = plot_history(HISTORY)
    angles, content = figure.axes
    np.testing.assert_array_equal(angles.lines[0].get_xydata(), [[1, -9], [2, -4], [3, -3]])
    assert (angles.get_xlabel(), angles.get_ylabel()) == (
        "iteration",
        "log-likelihood (nat per site)",
    )
    assert (content.get_xlabel(), content.get_ylabel()) == ("epoch", "nat per site")
    curves = {line.get_label(): line.get_ydata() for line in content.lines}
    assert list(curves) == ["loss", "validation", "reconstruction", "KL"]
    np.testing.assert_array_equal(curves["KL"], HISTORY["kl"])


def test_the_legend_covers_no_curve():
    figure = plot_history(HISTORY)
    figure.canvas.draw()
    content = figure.axes[1]
    legend = content.get_legend().get_window_extent()
    for line in content.lines:
        assert not legend.overlaps(line.get_window_extent())
    assert [t.get_text() for t in content.get_legend().get_texts()] == [
        "loss",
        "validation",
        "reconstruction",
        "KL",
    ]


def test_a_panel_without_data_is_left_out():
    figure = plot_history({"loss": [2.0, 1.0], "pose_log_likelihood": []})
    assert [ax.get_title() for ax in figure.axes] == ["content"]


def test_a_single_epoch_can_be_seen():
    figure = plot_history({"loss": [2.0]})
    assert figure.axes[0].lines[0].get_marker() == "o"


def test_it_draws_into_given_axes():
    figure, axes = plt.subplots(2, 1)
    assert plot_history(HISTORY, ax=axes) is figure
    assert axes[0].lines and axes[1].lines
    with pytest.raises(ValueError, match="ax has 1 Axes but there are 2 panels"):
        plot_history(HISTORY, ax=axes[0])
    with pytest.raises(TypeError, match="one matplotlib Axes"):
        plot_history(HISTORY, ax=["here", "there"])


def test_an_empty_history_is_refused():
    with pytest.raises(ValueError, match=r"fit a model with stack\.rvae\(\)"):
        plot_history({})
