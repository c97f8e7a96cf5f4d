# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Site table, image and model go where the sites go, and are refused where they have no meaning.

Every test runs on an eager and on a lazy stack.
"""

import copy
import logging

import hyperspy.api as hs
import numpy as np
import pytest

from hs_rvae import LazySubImageStack, SubImageStack


@pytest.fixture
def stack(stack):
    """With a column that repeats what the sub-images show, and a model held by reference."""
    stack.sites.set("brightness", np.asarray(stack.data.mean(axis=(1, 2))), units="e")
    stack._rvae_model = object()
    return stack


def assert_rows_match(stack, original):
    """The table describes these sub-images, and image and model came along."""
    sites = stack.sites
    data = np.asarray(stack.data).reshape(len(sites), *stack.data.shape[-2:])
    np.testing.assert_allclose(sites["brightness"], data.mean(axis=(1, 2)), rtol=1e-6)
    assert sites.columns == original.sites.columns and sites.units == original.sites.units
    assert sites["site_index"].dtype == np.int64
    assert_references(stack, original)


def assert_references(stack, original):
    assert type(stack) is type(original)
    assert stack.image is original.image is not None
    assert stack._rvae_model is original._rvae_model is not None


@pytest.mark.parametrize(
    ("slices", "count"),
    [
        (slice(5, 20), 15),
        (slice(None, None, -1), 54),
        (slice(3, None, 7), 8),
        (slice(4.0, 9.0), 5),
        (7, 1),
        (-1, 1),
        (3.0, 1),
        (hs.roi.SpanROI(10, 30), 20),
        (hs.roi.Point1DROI(12), 1),
        (Ellipsis, 54),
    ],
    ids=str,
)
def test_table_follows_inav(stack, slices, count):
    sliced = stack.inav[slices]
    assert len(sliced.sites) == count
    assert_rows_match(sliced, stack)
    assert_rows_match(stack, stack)


def test_table_follows_inav_of_inav(stack):
    twice = stack.inav[10:40].inav[12.0:20.0].inav[::-2]
    np.testing.assert_array_equal(twice.sites["site_index"], stack.sites["site_index"][12:20][::-2])
    assert_rows_match(twice, stack)


def test_float_slices_agree_when_the_site_axis_is_calibrated(stack):
    stack.axes_manager[0].scale, stack.axes_manager[0].offset = 0.5, 100.0
    sliced = stack.inav[102.0:105.0]
    assert len(sliced.sites) == 6
    assert_rows_match(sliced, stack)


def test_a_slice_can_be_renewed_as_interactive_regions_do(stack):
    sites, window = stack.inav[:10], stack.isig[:10, :10]
    stack.sites.set("angle", np.arange(54.0), units="rad")
    for _ in range(2):
        stack.inav.__getitem__(slice(20, 30), out=sites)
        stack.isig.__getitem__((slice(4, 14), slice(0, 10)), out=window)
    assert sites.sites["angle"].tolist() == list(range(20, 30))
    assert_rows_match(sites, stack)
    # 24 px with the column at 11.5; of columns 4 to 13 the middle is 8.5, of rows 0 to 9 it is 4.5.
    np.testing.assert_allclose(window.sites["offset_x"], 3.0, atol=1e-9)
    np.testing.assert_allclose(window.sites["offset_y"], 7.0, atol=1e-9)


def test_a_change_of_the_slice_leaves_the_stack_alone(stack):
    before = stack.sites["x"]
    stack.inav[:5].sites["x"] = np.zeros(5)
    stack.deepcopy().sites["x"] = np.zeros(54)
    np.testing.assert_array_equal(stack.sites["x"], before)


@pytest.mark.parametrize("slices", [(slice(4, 20),), (slice(None), slice(2, 12))], ids=str)
def test_isig_keeps_all_rows(stack, slices):
    cut = stack.isig[slices]
    assert_references(cut, stack)
    np.testing.assert_array_equal(cut.sites["brightness"], stack.sites["brightness"])


def test_offsets_say_where_the_column_is_after_isig(stack):
    # 24 px with the column at 11.5; of columns 4 to 23 the middle is 13.5, of rows 0 to 11 it is
    # 5.5.
    cut = stack.isig[4:, :12]
    np.testing.assert_allclose(cut.sites["offset_x"], -2.0, atol=1e-9)
    np.testing.assert_allclose(cut.sites["offset_y"], 6.0, atol=1e-9)
    np.testing.assert_array_equal(stack.sites["offset_x"], 0)
    # Every second column of 24: 0, 2, ... 22, the middle at 11; half a pixel is a quarter now.
    np.testing.assert_allclose(stack.isig[::2].sites["offset_x"], 0.25, atol=1e-9)


def test_offsets_say_where_the_column_is_after_rebin(image, xy):
    stack = SubImageStack.from_positions(image, xy, 24, centring="nearest")
    binned = stack.rebin(scale=(1, 2, 3))
    np.testing.assert_allclose(binned.sites["offset_x"], stack.sites["offset_x"] / 2, atol=1e-9)
    np.testing.assert_allclose(binned.sites["offset_y"], stack.sites["offset_y"] / 3, atol=1e-9)


def test_copies_carry_everything(stack):
    for copied in (stack.deepcopy(), copy.deepcopy(stack), stack.copy()):
        assert_rows_match(copied, stack)


def test_arithmetic_and_map_carry_everything(stack):
    for result in (
        stack * 2,
        -stack,
        stack - stack,
        stack - stack.inav[3],
        stack.map(np.fliplr, inplace=False),
        stack.change_dtype("float64") or stack,
    ):
        assert_references(result, stack)
        np.testing.assert_array_equal(result.sites["x"], stack.sites["x"])
    stack.map(np.flipud)
    assert_rows_match(stack, stack)


def test_eager_and_lazy_turn_into_each_other(image, xy):
    eager = SubImageStack.from_positions(image, xy, 24)
    eager.sites["angle"] = np.linspace(-3, 3, 54)
    lazy = eager.as_lazy()
    assert type(lazy) is LazySubImageStack and lazy.image is image
    assert isinstance(lazy.sites.signal.data, np.ndarray)
    np.testing.assert_array_equal(lazy.sites["angle"], eager.sites["angle"])
    lazy.compute()
    assert type(lazy) is SubImageStack and lazy.image is image
    np.testing.assert_array_equal(lazy.sites["angle"], eager.sites["angle"])
    np.testing.assert_array_equal(lazy.data, eager.data)


@pytest.mark.parametrize("bounds", [(5, 20), (None, 7), (-9, None), (3.0, 8.0), (7, 8)])
def test_table_follows_crop_of_the_sites(stack, bounds):
    expected = stack.inav[slice(*bounds)]
    stack.crop("site", *bounds)
    np.testing.assert_array_equal(stack.sites["site_index"], expected.sites["site_index"])
    assert_rows_match(stack, stack)
    # And can still be sliced with the numbers of the site axis.
    last = float(stack.axes_manager[0].axis[-1])
    np.testing.assert_array_equal(
        stack.inav[last].sites["site_index"], stack.sites["site_index"][-1:]
    )


def test_table_follows_crop_of_the_signal(stack):
    stack.crop_signal(top=4, left=2, right=20)
    assert stack.data.shape == (54, 20, 18)
    np.testing.assert_allclose(stack.sites["offset_x"], 11.5 - 2 - 8.5, atol=1e-9)
    np.testing.assert_allclose(stack.sites["offset_y"], 11.5 - 4 - 9.5, atol=1e-9)
    stack.crop("x", 1, 9, convert_units=True)
    np.testing.assert_allclose(stack.sites["offset_x"], 11.5 - 3 - 3.5, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({}, [1] * 54),
        ({"number_of_parts": 4}, [13] * 4),
        ({"axis": "site", "step_sizes": [10, 44]}, [10, 44]),
        ({"axis": 0, "step_sizes": 20}, [20, 20]),
    ],
)
def test_every_part_of_a_split_has_its_rows(stack, options, counts):
    parts = stack.split(**options)
    assert [len(part.sites) for part in parts] == counts
    for part in parts:
        assert_rows_match(part, stack)
    index = np.concatenate([part.sites["site_index"] for part in parts])
    np.testing.assert_array_equal(index, stack.sites["site_index"][: sum(counts)])


def test_stacks_that_hyperspy_stacked_are_split_as_hyperspy_does():
    one = SubImageStack(np.arange(48.0).reshape(2, 3, 2, 4))  # two navigation axes, no table
    parts = hs.stack([one, one + 1, one * 4]).split()
    assert [type(part) for part in parts] == [SubImageStack] * 3
    np.testing.assert_array_equal(parts[2].data, one.data * 4)


def test_parts_of_split_windows_have_tables_of_their_own(stack):
    left, right = stack.split(axis="x", number_of_parts=2)
    np.testing.assert_allclose(left.sites["offset_x"], 6.0, atol=1e-9)
    np.testing.assert_allclose(right.sites["offset_x"], -6.0, atol=1e-9)
    assert_references(left, stack)


def test_the_current_site_can_be_taken_out(stack):
    stack.axes_manager.indices = (17,)
    current = stack.get_current_signal()
    np.testing.assert_array_equal(current.sites["site_index"], stack.sites["site_index"][17:18])
    assert current.image is stack.image


def test_folding_keeps_the_table(stack):
    before = stack.sites["x"]
    with stack.unfolded():
        pass
    np.testing.assert_array_equal(stack.sites["x"], before)
    assert_references(stack, stack)


REFUSED = {
    "mean": lambda s: s.mean("site"),
    "sum over the sites": lambda s: s.sum(0),
    "rebin of the sites": lambda s: s.rebin(scale=(2, 1, 1)),
    "upsampled sites": lambda s: s.rebin(scale=(0.5, 1, 1)),
    "hyperspy's stack": lambda s: hs.stack([s, s]),
    "hyperspy's stack along the sites": lambda s: hs.stack([s, s], axis="site"),
    "difference to a mean": lambda s: s.mean("site") - s,
    "site axis among the signal axes": lambda s: s.transpose(signal_axes=("x", "site")),
    "swapped axes": lambda s: s.swap_axes("site", "x"),
}


# HyperSpy compiles the upsampling, which takes seconds.
MARKS = {"upsampled sites": pytest.mark.slow}


@pytest.mark.parametrize(
    "change", [pytest.param(REFUSED[name], id=name, marks=MARKS.get(name, ())) for name in REFUSED]
)
def test_a_table_that_does_not_match_is_refused_with_a_warning(image, xy, change, caplog):
    # As many sites as pixels in a window, where counting alone would not notice a transposition.
    stack = SubImageStack.from_positions(image, xy, 24).inav[:24]
    changed = change(stack)
    assert isinstance(changed, SubImageStack)
    assert not caplog.records
    assert changed.sites is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and "does not match the sites" in record.getMessage()
    assert "sites, window" not in repr(changed)


def test_a_refused_table_does_not_come_back(stack):
    assert hs.stack([stack, stack]).inav[..., 0].sites is None
    # 18 sites of 3 in a row, of which one is left: as many as rows in a table of one site.
    binned = stack.rebin(scale=(3, 1, 1))
    for refused in (binned.inav[:5], binned.inav[2], binned.deepcopy(), binned * 2):
        assert refused.sites is None


def test_a_refused_table_breaks_nothing(stack, tmp_path):
    for refused in (stack.mean("site"), stack.rebin(scale=(3, 1, 1))):
        assert refused.isig[:10, :10].sites is None
        refused.crop("x", 0, 10)
        assert refused.sites is None
        refused.save(tmp_path / "refused.hspy", overwrite=True)
        assert hs.load(tmp_path / "refused.hspy").sites is None


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.T,
        lambda s: s.as_signal1D("x"),
        lambda s: s.isig[3],
        lambda s: s.fft(),
        lambda s: s.sum("x"),
        lambda s: s.set_signal_type("") or s,
    ],
    ids=["T", "as_signal1D", "isig index", "fft", "sum over x", "set_signal_type"],
)
def test_another_kind_of_signal_has_no_table(stack, change):
    changed = change(stack)
    assert not isinstance(changed, SubImageStack)
    assert not changed.metadata.has_item("Sub_images")
    assert "_image" not in vars(changed) and "_rvae_model" not in vars(changed)


def test_a_stack_that_never_had_a_table_says_nothing(caplog):
    bare = SubImageStack(np.zeros((5, 16, 16)))
    assert bare.sites is None and bare.image is None and not caplog.records
    assert repr(bare) == "<SubImageStack, title: , dimensions: (5|16, 16)>"
    assert bare.inav[2:].isig[:8, :8].sites is None


def test_the_image_is_given_back_and_checked(stack, image):
    stack.image = None
    assert stack.image is None and stack.inav[:3].image is None
    stack.image = image
    assert stack.inav[:3].image is image
    with pytest.raises(ValueError, match="not the image of this stack"):
        stack.image = image.isig[:100, :100]
    with pytest.raises(ValueError, match="navigation axes"):
        stack.image = stack
    assert stack.image is image


def test_the_stack_says_what_it_is(stack):
    name = type(stack).__name__
    assert repr(stack) == (
        f"<{name}, title: Sub-images of film, dimensions: (54|24, 24), 54 sites, "
        "window: 24 px (0.48 nm), columns: site_index, x, y, offset_x, offset_y, brightness>"
    )
    assert "(|24, 24), 1 site, window" in repr(stack.inav[3])
    many = stack.deepcopy()
    many.sites.set_many({name: np.zeros(54) for name in ("angle", "a", "b", "c")})
    assert repr(many).endswith("10 columns, among them angle>")
    assert "window: 10 x 24 px (0.2 nm)" in repr(stack.isig[:10])
    assert "unfolded dimensions" in repr(_unfolded(stack))


def _unfolded(stack):
    stack.unfold()
    return stack


def test_plot_works_as_in_hyperspy(stack):
    import matplotlib.pyplot as plt

    stack.plot()
    stack.axes_manager.indices = (5,)
    shown = stack._plot.signal_plot.ax.images[0].get_array()
    np.testing.assert_allclose(shown, np.asarray(stack.data[5]))
    plt.close("all")
