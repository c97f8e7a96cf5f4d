# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that the fuzzer has found: each is refused by name, and changes nothing."""

import operator
from collections.abc import Mapping

import dask.array as da
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

import hs_rvae
from hs_rvae import RVAE, SubImageStack, diagnostics, plots, refine_columns, simulation
from hs_rvae.plots.markers import percentile_limits


class NoArray:
    """An object that refuses to become an array."""

    def __array__(self, *args, **kwargs):
        raise RuntimeError("this is no array")


ITSELF = []
ITSELF.append(ITSELF)
IMAGES = np.random.default_rng(0).random((2, 9, 9))
UNREADABLE = "$\\frac{1}$"


@pytest.fixture(scope="module")
def made():
    """A stack with a decomposition; it must not be changed."""
    image, truth = simulation.simulate_perovskite((120, 120), cell=18.0, random_state=0)
    xy = truth.b_sites[["x", "y"]].to_numpy()
    stack = SubImageStack.from_positions(
        image, xy, window_size=20, columns={"direction": truth.b_sites["angle"].to_numpy()}
    )
    stack.decomposition("PCA", output_dimension=2)
    return stack


GONE = da.from_array(np.ones(4)).map_blocks(lambda block: open("gone").read(), dtype=float)
TIME = np.timedelta64(3, "s")  # NumPy counts it among its integers
OF_STACKS = {
    "crop": ({"axis": "site", "end": -0.5}, "^end=-0.5: give a value from 0 to"),
    "estimate_number_of_clusters": ({"max_clusters": TIME}, "^max_clusters=.*timedelta64"),
    "embedding": ({"output_dimension": TIME}, "output_dimension"),
    "plot_angle_histogram": ({"column": "direction", "variants": TIME}, "^variants=.*whole"),
    "plot_latent_space": ({"axes": (None, 1)}, "axes=.*two names or numbers"),
    "save": ({"filename": "film.unheard"}, "filename"),
    "sites.set_many": ({"columns": {"mine": np.ones(1)}}, "^columns: Column 'mine' has 1 values"),
    "plot": ({"navigator": np.zeros((0, 0))}, "navigator=.*give one of .sites."),
    "select_sites": ({"sites": GONE}, "sites=.*cannot be read"),
    "sites.take": ({"sites": 1}, "sites=1: give a mask"),
    "plot_sub_image": ({"site": 0, "ax": torch.ones(3, requires_grad=True)}, "ax[= ]"),
    "apply_rvae": ({"model": "a" * 5000}, "model: .*too long"),
    "plot_image": ({"region": GONE}, "region=.*give a RectangularROI"),
    "plot_polar_map": ({"angle": "direction", "amplitude": "x", "image": [None]}, "image"),
    "plot_scatter": ({"x": "x", "y": "y", "limits": (1.0,)}, "limits=.*two finite numbers"),
    "get_decomposition_model": ({"components": [1, 2, 3]}, "components=.*there are 2"),
    "decomposition": ({"navigation_mask": NoArray()}, "navigation_mask=.*give an array"),
    "rvae": ({"device": ITSELF, "epochs": 1, "n_init": 1}, "device="),
    "derotate": (
        {"column": "direction", "fill_value": {"a": 1}},
        "fill_value=.*give a finite number",
    ),
    "split": ({"axis": "sitex", "number_of_parts": 2}, "axis: There is no"),
    "plot_site_map": ({"column": "x", "title": UNREADABLE}, "title=.*frac"),
    "plot_method_comparison": (
        {"methods": {"a": ("x", "y")}, "color": "x", "image": np.zeros(0)},
        "image",
    ),
}


@pytest.mark.parametrize("verb", OF_STACKS)
def test_a_stack_refuses_by_name(made, verb):
    options, message = OF_STACKS[verb]
    before = list(made.sites.columns), made.metadata.as_dictionary()
    with pytest.raises((ValueError, TypeError), match=message):
        operator.attrgetter(verb)(made)(**options)
    assert (list(made.sites.columns), made.metadata.as_dictionary()) == before
    plt.close("all")


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (5, 3, "start=5, end=3: nothing is left of the axis site"),
        (1000, None, "start=1000, end=None: nothing is left"),
        (None, -1000, "end=-1000: nothing is left"),
        (1e3, None, "start=1000.0: give a value from 0 to"),
        (2, 2.0, "start=2, end=2.0: nothing is left"),
        (-(2**60), -1, f"start=-{2**60}: give at least -"),
    ],
)
def test_a_crop_leaves_something(made, start, end, message):
    stack = made.deepcopy()
    with pytest.raises(ValueError, match=message):
        stack.crop("site", start, end)
    assert stack.data.shape == made.data.shape and len(stack.sites) == len(made.sites)
    stack.crop("site", 2, 5.0)
    assert np.array_equal(stack.sites.xy, made.sites.xy[2:5])
    stack.crop("site", 1, 2**60)
    assert np.array_equal(stack.sites.xy, made.sites.xy[3:5])


class NoNumbers(np.random.Generator):
    """A generator of numbers that gives none."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))

    def integers(self, *args, **kwargs):
        raise RuntimeError("this generator fails")

    standard_normal = random = normal = uniform = integers


def test_a_generator_without_numbers_is_refused_by_name(made):
    quick = {"random_state": NoNumbers(), "n_init": 1, "epochs": 1}
    for call in (
        lambda: made.cluster_analysis("signal", n_clusters=2, random_state=NoNumbers()),
        lambda: made.rvae(1, **quick),
        lambda: RVAE(1, **quick).fit(made.data),
        lambda: simulation.simulate_perovskite((60, 60), random_state=NoNumbers()),
    ):
        with pytest.raises(ValueError, match="^random_state=.*cannot be used.*generator fails"):
            call()


def test_values_beside_a_mosaic_are_rows():
    images, row = np.ones((2, 2, 9, 9)), np.arange(2.0)
    for wrong in (np.ones((2, 2)), [0.0, np.nan]):
        with pytest.raises(ValueError, match="^values_x of the shape .* finite numbers"):
            plots.plot_manifold(images, row, wrong)
        with pytest.raises(ValueError, match="^values_y of the shape .* finite numbers"):
            plots.plot_manifold(images, wrong, row)


def test_an_argument_that_was_not_given_is_blamed_if_it_is_the_cause(made):
    with pytest.raises(ValueError, match="^column='angle': the site table has no such column"):
        made.derotate(fill_value=np.nan)
    with pytest.raises(ValueError, match="fill_value=-inf: give a finite number, NaN or None"):
        made.derotate(fill_value=-np.inf)


def test_ragged_positions_are_named(made):
    with pytest.raises(ValueError, match="^b_positions: "):
        hs_rvae.refine_two_sublattices(np.ones((60, 60)), [[9.0, 9.0]], [[[1.0], [2.0, 3.0]], None])


def test_a_batch_beyond_any_memory_is_refused_by_name():
    with pytest.raises(ValueError, match="^batch_size=1000000: give a number of at most 4,096"):
        hs_rvae.columns.train_network([(np.ones((90, 90)), np.ones((9, 2)))], batch_size=10**6)


def test_a_frequency_below_one_period_is_refused_by_name(made):
    for q_max in (5e-324, 0.99 / made.data.shape[1]):
        with pytest.raises(ValueError, match="^q_max=.*: one period across a window"):
            made.rvae(1, q_max=q_max, random_state=0)


@pytest.mark.parametrize("shape", [(0, 20, 20), (0, 40), (40, 0)])
def test_an_image_without_pixels_is_refused_by_name(shape):
    image = hs.signals.Signal2D(np.ones(shape))
    for call in (
        lambda: SubImageStack.from_positions(image, [[5.0, 5.0]]),
        lambda: hs_rvae.find_sublattices(image),
        lambda: refine_columns(image, [[5.0, 5.0]]),
    ):
        with pytest.raises(ValueError, match=r"^image (is empty|has the shape)"):
            call()


class NothingInside:
    """An object that fails when it is asked for an attribute."""

    def __getattr__(self, name):
        raise RuntimeError("nothing inside")


@pytest.mark.parametrize(
    ("verb", "argument"),
    [
        ("get_decomposition_model", "lazy_output"), ("decomposition", "algorithm"),
        ("cluster_analysis", "n_clusters"), ("select_sites", "sites"), ("apply_rvae", "model"),
        ("plot_image", "region"), ("measure_modes", "reference"),
    ],
)  # fmt: skip
def test_an_object_without_attributes_is_refused_by_name(made, verb, argument):
    stack = made.deepcopy()
    with pytest.raises((ValueError, TypeError), match=f"{argument}=.*NothingInside"):
        getattr(stack, verb)(**{argument: NothingInside()})
    with pytest.raises(ValueError, match="^level=<"):
        hs_rvae.set_log_level(NothingInside())


class CutShort:
    """An iterator that ends in an error."""

    def __iter__(self):
        return self

    def __next__(self):
        raise OSError("the list ends here")


def cut_short():
    yield "pca_0"
    raise OSError("the list ends here")


@pytest.mark.parametrize("source", [cut_short, CutShort])
def test_a_list_that_is_cut_short_is_refused_by_name(made, source):
    for verb, name in (
        (made.cluster_analysis, "cluster_source"),
        (made.estimate_number_of_clusters, "cluster_source"),
        (made.get_decomposition_model, "components"),
    ):
        with pytest.raises(ValueError, match=f"^{name}=.*cannot be used.*the list ends here"):
            verb(source())
    assert "cluster" not in made.sites


def test_frames_are_linked_by_drifts_that_are_numbers(made):
    image, xy = hs.signals.Signal2D(made.image.data), made.sites.xy
    film = SubImageStack.from_positions(hs.stack([image, image]), [xy, xy], window_size=20)
    with pytest.raises(ValueError, match="drift=.*: give an array of real numbers or None"):
        film.link_frames(5.0, drift=(each for each in range(2)))


FREE = {
    "manifold": (
        lambda: plots.plot_manifold(np.ones((1, 2, 9, 9)), np.zeros(1), np.array([0, np.inf])),
        "values_x of the shape .* finite numbers",
    ),
    "counts": (lambda: plots.plot_cluster_means(IMAGES, [0, 1], -0.0), "counts=-0.0"),
    "one site": (
        lambda: diagnostics.diagnose(np.ones((1, 2)), {"a": np.ones(200)}, {}),
        "values.*for each row of xy, 1",
    ),
    "limits": (
        lambda: plots.plot_cluster_means(IMAGES, [0, 1], np.ones(2), intensity_limits=[1, 2, 3]),
        "intensity_limits=",
    ),
    "diagnose": (
        lambda: diagnostics.diagnose(np.full((200, 2), 1e300), {"a": np.ones(200)}, {}),
        "xy reaches 1e",
    ),
    "epochs": (lambda: RVAE(2, epochs=10**6).fit(IMAGES), "epochs=1000000"),
    "wells": (
        lambda: simulation.compare_angles(np.zeros(9), np.zeros(9), 4_000_000),
        "n_variants=4000000: give at most 360",
    ),
    "no window": (
        lambda: SubImageStack.from_positions(np.ones((90, 90)), np.full((9, 2), np.nan), 20),
        "positions_xy: None of the 9 positions gets a window",
    ),
    "one position": (
        lambda: refine_columns(np.ones((90, 90)), [[40.0, 40.0]]),
        "positions: 1 position without a nearest-neighbour distance",
    ),
    "flags": (
        lambda: plots.plot_diagnostics(
            pd.DataFrame(
                {"value": [True], "quantity": ["x"], "coefficient": [0.5], "follows": [True]}
            )
        ),
        "table has rows without a name",
    ),
}


@pytest.mark.parametrize("name", FREE)
def test_functions_refuse_by_name(name):
    call, message = FREE[name]
    with pytest.raises(ValueError, match=message):
        call()
    plt.close("all")


def test_domains_are_tables(made):
    with pytest.raises(TypeError, match="domains is a float: give a DataFrame"):
        plots.plot_domains(made.sites, -0.5, pd.DataFrame())
    with pytest.raises(ValueError, match="walls lacks charged, kind, segments"):
        plots.plot_domains(made.sites, pd.DataFrame(), pd.Series([1.0]))


def test_latents_are_rows(model):
    with pytest.raises(ValueError, match=r"latent has the shape \(1, 2, 2\)"):
        model.inverse_transform(np.zeros((1, 2, 2)), angle=np.zeros(2))


@pytest.mark.parametrize("scale", [0.0, np.nan])
def test_pixels_that_measure_nothing_have_no_size(made, scale):
    stack = made.deepcopy()
    for axis in stack.axes_manager.signal_axes:
        axis.scale, axis.units = scale, "nm"
    stack.rvae(1, n_init=1, epochs=1, q_max=0.15, random_state=0)
    assert stack.rvae_model.pixel_size_ is None
    stack.apply_rvae(stack.rvae_model)


@pytest.mark.parametrize("name", ["images", "changes"])
def test_what_has_no_finite_value_is_not_drawn(name):
    values = {"images": IMAGES, "changes": IMAGES, "angles": np.zeros(2)}
    with pytest.raises(ValueError, match=f"{name} has no finite value"):
        plots.plot_distortion(**values | {name: IMAGES * np.nan})
    with pytest.raises(ValueError, match="percentiles=.*no finite value"):
        percentile_limits(np.full(3, np.nan), (1, 99))


@pytest.mark.parametrize("options", [{"dpi": 1}, {"dpi": 30, "font_size": 2}])
def test_letters_of_a_movie_have_pixels(made, options, tmp_path):
    with pytest.raises(ValueError, match="dpi=.*smaller than a pixel"):
        plots.save_movie(tmp_path / "film.gif", made.sites, "x", **options)


class Lost(Mapping):
    """A mapping that has lost its values."""

    def __getitem__(self, key):
        raise KeyError(key)

    def __iter__(self):
        return iter(["a"])

    def __len__(self):
        return 1


def test_a_mapping_without_values_is_refused():
    xy = np.random.default_rng(0).random((200, 2))
    with pytest.raises(ValueError, match="^values=.*it cannot be used"):
        diagnostics.diagnose(xy, Lost(), {})


def test_methods_without_columns_are_named(made):
    for options, name in (({"methods": ["y"]}, "methods"), ({"color": "y_0"}, "color")):
        with pytest.raises(KeyError, match=f"{name}: The site table has no column 'y_0'"):
            made.plot_method_comparison(**{"methods": {"a": ("x", "y")}, "color": "x"} | options)


def test_a_region_that_fails_is_refused(made):
    def cut_short():
        yield 1.0
        raise OSError("the list ends here")

    with pytest.raises(ValueError, match="region=.*give a RectangularROI"):
        made.plot_columns(region=cut_short())


def test_axes_are_in_a_figure(made):
    figure, ax = plt.subplots()
    ax.remove()
    with pytest.raises(ValueError, match="ax was removed from its figure"):
        made.plot_site_map("x", ax=ax)
    plt.close(figure)


def test_a_navigator_draws_on_an_array(made):
    with pytest.raises(ValueError, match="image=a Signal2D: give a 2-D array"):
        plots.SiteNavigator(made.sites, image=made.image)


def test_a_stack_without_a_table_says_so(model):
    bare = SubImageStack(np.random.default_rng(0).random((5, 12, 12)))
    bare.image = hs.signals.Signal2D(np.random.default_rng(0).random((40, 40)))
    for call in (bare.plot_columns, lambda: bare.apply_rvae(model)):
        with pytest.raises(ValueError, match="no site table"):
            call()


@pytest.mark.parametrize("radius", [2**60, 1e25, 501.0])
def test_a_radius_is_that_of_a_column(radius):
    """One beyond the whole numbers of compiled code ended the process."""
    image, truth = simulation.simulate_perovskite((120, 120), cell=18.0, random_state=0)
    for name in ("radius", "disk_radius"):
        with pytest.raises(ValueError, match=f"^{name}=.*give"):
            refine_columns(image, truth.b_sites[["x", "y"]].to_numpy(), **{name: radius})


def test_an_ending_has_a_length(made, tmp_path):
    with pytest.raises(ValueError, match="^extension=.*longer than the ending of any file"):
        made.save(tmp_path / "film", extension="a" * 300)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("door", "kind"),
    [
        (RVAE.save, "OSError"),
        (simulation.simulate_4dstem, "FileNotFoundError"),
        (plots.Explorer, "Exception"),
    ],
)
def test_errors_that_are_no_refusal_are_documented(door, kind):
    assert kind in door.__doc__.partition("Raises\n")[2]
