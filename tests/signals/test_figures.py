# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hs_rvae import SubImageStack
from hs_rvae import stack as join


class Model:
    """Stands in for a fitted model: plots ask it for nothing else."""

    output_dimension = 3
    history_ = {"pose_log_likelihood": np.arange(3.0), "loss": np.arange(2.0)}

    def manifold(self, shape, limits, axes):
        images = np.arange(shape[0] * shape[1] * 16.0).reshape(*shape, 4, 4)
        return images, np.linspace(*limits, shape[0]), np.linspace(*limits, shape[1])


@pytest.fixture
def analysed(stack):
    n = len(stack.sites)
    angle = np.linspace(-3, 3, n)
    stack.sites.set_many(
        {
            "angle": angle,
            "latent_0": np.cos(3 * angle),
            "displacement_x": np.cos(angle),
            "displacement_y": np.sin(angle),
        },
        units={"angle": "rad", "displacement_x": "px", "displacement_y": "px"},
    )
    stack._rvae_model = Model()
    return stack


def test_maps_are_drawn_on_the_parent_image_with_its_calibration(analysed, image):
    for ax in (analysed.plot_site_map("angle"), analysed.plot_polar_map()):
        np.testing.assert_array_equal(ax.images[0].get_array(), np.asarray(image.data))
        np.testing.assert_allclose(ax.images[0].get_extent(), [2.99, 6.99, 1.99, -1.01])


def test_maps_have_the_orientation_of_the_image_plot(analysed, image):
    image.plot()
    theirs = plt.gcf().axes[0]
    ax = analysed.plot_site_map("angle")
    np.testing.assert_allclose(ax.get_xlim(), theirs.get_xlim())
    np.testing.assert_allclose(ax.get_ylim(), theirs.get_ylim())
    np.testing.assert_allclose(ax.images[0].get_extent(), theirs.images[0].get_extent())
    assert ax.images[0].origin == theirs.images[0].origin


def test_an_image_can_be_given_or_left_out(analysed, image):
    other = image.deepcopy()
    other.data = other.data * 2
    for given in (other, other.as_lazy(), np.asarray(other.data)):
        shown = analysed.plot_site_map("angle", image=given).images[0]
        np.testing.assert_array_equal(shown.get_array(), np.asarray(other.data))
    bare = analysed.plot_site_map("angle", image=False)
    assert not bare.images and bare.get_xlabel() == "x (nm)"
    analysed._image = None
    assert not analysed.plot_polar_map().images


def test_a_part_of_the_sites_is_drawn_on_the_whole_image(analysed):
    ax = analysed.inav[:7].plot_site_map("angle")
    markers = next(c for c in ax.collections if c.get_gid() == "sites")
    assert len(markers.get_offsets()) == 7 and len(ax.images) == 1


def test_sites_of_one_of_several_images_are_drawn_on_their_own_image(image, xy):
    second = image.deepcopy()
    second.data = second.data[::-1].copy()
    both = join([SubImageStack.from_positions(i, xy, window_size=24) for i in (image, second)])
    with pytest.raises(ValueError, match="2 images"):
        both.plot_site_map("x")
    ax = both.select_sites(both.sites["image"] == 1).plot_site_map("x")
    np.testing.assert_array_equal(ax.images[0].get_array(), second.data)


def test_vectors_by_name_and_arrows(analysed):
    ax = analysed.plot_polar_map("displacement", arrows=True)
    assert any(type(c).__name__ == "Quiver" for c in ax.collections)


def test_the_sign_of_a_polar_map_reaches_the_figure(analysed):
    ax = analysed.plot_polar_map("displacement", sign=-1)
    assert any("−displacement" in text.get_text() for text in ax.child_axes[0].texts)


def test_histogram_and_history_return_what_they_drew(analysed):
    assert isinstance(analysed.plot_angle_histogram(variants=2), Axes)
    assert isinstance(analysed.plot_angle_histogram(polar=True), Axes)
    figure = analysed.plot_rvae_history()
    assert isinstance(figure, Figure) and len(figure.axes) == 2


def test_the_manifold_names_the_latents_along_its_axes(analysed):
    ax = analysed.plot_rvae_manifold(shape=(3, 4), limits=(-1, 1), axes=(0, 2))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Latent 0", "Latent 2")
    assert len(ax.images) == 1
    analysed.metadata.set_item("Signal.quantity", "Intensity (Counts)")
    ax = analysed.plot_rvae_manifold(shape=(3, 4))
    assert ax.child_axes[0].get_ylabel() == "Intensity (Counts)"


def test_everything_draws_into_given_axes_and_opens_no_other_figure(analysed):
    _, axes = plt.subplots(2, 2)
    assert analysed.plot_site_map("angle", ax=axes[0, 0]) is axes[0, 0]
    assert analysed.plot_polar_map(ax=axes[0, 1]) is axes[0, 1]
    assert analysed.plot_angle_histogram(ax=axes[1, 0]) is axes[1, 0]
    assert analysed.plot_rvae_manifold((2, 3), ax=axes[1, 1]) is axes[1, 1]
    assert len(plt.get_fignums()) == 1


def test_what_is_missing_is_said(stack):
    with pytest.raises(KeyError, match=r"stack\.rvae\(\)"):
        stack.plot_site_map("angle")
    with pytest.raises(RuntimeError, match=r"stack\.rvae\(\)"):
        stack.plot_rvae_manifold()
    with pytest.raises(RuntimeError, match=r"stack\.rvae\(\)"):
        stack.plot_rvae_history()
    with pytest.raises(ValueError, match="no site table"):
        SubImageStack(np.zeros((3, 8, 8))).plot_site_map("angle")


def test_the_parent_image_and_a_part_of_it(stack, image):
    ax = stack.plot_image(boxes=[(4, 0, 5, 1)])
    np.testing.assert_array_equal(ax.images[0].get_array(), np.asarray(image.data))
    detail = stack.plot_image(region=(4, 0, 5, 1))
    np.testing.assert_allclose([*detail.get_xlim(), *detail.get_ylim()], [4, 5, 1, 0])
    stack._image = None
    with pytest.raises(ValueError, match=r"has no image: give one with image="):
        stack.plot_image()


def test_a_sub_image_has_its_column_at_zero(stack):
    ax = stack.plot_sub_image(3, disk=True)
    np.testing.assert_array_equal(ax.images[0].get_array(), np.asarray(stack.data[3]))
    np.testing.assert_allclose(ax.images[0].get_extent(), [-0.24, 0.24, 0.24, -0.24])
    with pytest.raises(IndexError, match="there are 54 sites"):
        stack.plot_sub_image(54)
