# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a raw image to two refined sublattices."""

import logging
import warnings

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from hs_rvae.refinement.fixed_width import fit_with_shape_held

from .. import parent_image as _parent_image
from .. import refinement as _refinement
from ..refinement.aperture import disk_means
from ..refinement.fitting import image_array
from . import lattice as _lattice
from .maxima import away_from_gaps, find_columns, vectors_text
from .search_image import Picture
from .series import find_in_series, warn_of_bands

_logger = logging.getLogger(__name__)

_CORE = 0.2  # radius of the disk that tells the brightness of a column, in nearest distances
_SHARE = 0.3  # of the half-cell places that must hold columns if there are two sublattices
_RIM = 0.25  # nearest distances from the border within which no place is filled
_HELD_RADIUS = 0.6  # of the disk of a fit with the shape held, in nearest distances
_FARTHEST = 0.3  # nearest distances between a column and where its fit started
_RESULTS = ["sigma_x", "sigma_y", "rotation", "amplitude", "volume", "disk_mean", "background"]
_RESULTS += ["residual", "x_std", "y_std", "amplitude_std"]
# A fit of fewer parameters does not help at the border and without pixels.
_HOPELESS = [_refinement.STATUS["edge"], _refinement.STATUS["non_finite"]]


def find_sublattices(
    image,
    cell=None,
    *,
    dark=None,
    n_sublattices=None,
    swap=False,
    threshold=0.1,
    separation=None,
    fill_holes=True,
    significance=3.0,
    least_height=0.03,
    radius=None,
    background="plane",
    tail=None,
    disk_radius=None,
    saturation=None,
    show_progressbar=None,
):
    """
    Find and refine all atomic columns of an image and tell its two sublattices apart.

    No zone axes and no trained network are used. The autocorrelation gives the lattice; maxima of
    the band-passed image give columns; neighbours give each column its place in the lattice and
    with it its sublattice, whatever the local contrast; places left empty are fitted after the
    other columns are subtracted, and kept if something significant is there. What was chosen
    is logged at the level INFO.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D or array of shape (rows, columns)
        One image, or a signal with one navigation axis (time, tilt, dose): a series. A lazy image
        is computed once, a lazy series frame by frame. Pixels that are not finite or masked count
        as not measured, and so do constant bands at its border, such as the data bar of an exported
        picture; a warning names them.
    cell : float or array-like of shape (2, 2), optional
        Edge of a square cell, or the two cell vectors ``(x, y)``, in pixels. The cell joins columns
        of the same sublattice. None: from the autocorrelation.
    dark : bool, optional
        Columns are darker than what is between them, as in annular bright field. None: from the
        image.
    n_sublattices : {1, 2}, optional
        None: two if the centres of the cells hold columns.
    swap : bool
        Call the brighter sublattice "B" and the other one "A".
    threshold : float
        Least height of a maximum in the band-passed image, in units of that of strong columns.
        Fainter columns are found where the lattice has a place for them.
    separation : float, optional
        Of two maxima closer than this, in pixels, the fainter is dropped. None: 0.4 of the
        shortest vector of the lattice.
    fill_holes : bool
        Look for columns where the lattice has places without a maximum.
    significance : float
        Least peak height of a column in such a place, in units of its standard error. At 3,
        noise makes a column in one or two of a hundred empty places.
    least_height : float
        Least peak height of a column in such a place, in units of that of the maxima nearest to it.
        The tails of real columns differ from those of the model by a percent or so, which
        an image of little noise shows.
    radius, background, tail, disk_radius, saturation
        Of the fit and of ``disk_mean``, as in :func:`refine_two_sublattices`.
    show_progressbar : bool, optional
        None: HyperSpy's preference.

    Returns
    -------
    atomap.atom_lattice.Atom_Lattice
        With the sublattices "A", whose columns are brighter (darker with `dark`) in the median, and
        "B" in the centres of its cells; only "A" if there are no others. Each has a
        ``column_table``. Of a series: a :class:`~hs_rvae.columns.LatticeSeries`, which
        ``SubImageStack.from_atom_lattice`` takes as well. Cell, radius, tail, polarity and number
        of sublattices are those of the first frame in all frames, which are worked on in parallel.

    Raises
    ------
    ValueError
        If the image is not one 2-D image, is empty or constant, or shows no lattice.
    TypeError
        If its values are not real numbers.

    Notes
    -----
    ``column_table`` is a :class:`pandas.DataFrame` with one row per column, in the order of the
    sublattice: the results of :func:`refine_two_sublattices` (see :func:`refine_columns`) and

    ``found``
        False for a column that is no maximum of its own, but was fitted where the lattice has a
        place for it.
    ``shape_held``
        True where the free fit failed, as it does for columns barely above the noise, and height
        and position were fitted with the width of the other columns.
    ``i``, ``j``
        Cell, counted along the vector nearest to +x and the one nearest to +y. The brighter column
        is the cell's origin, the other one its centre.
    ``part``
        Parts of a crystal that are not connected have origins of their own; 0 is the largest.

    For dark columns, peak height and volume are depths, as positive numbers. Its ``attrs`` hold
    ``radius``, ``disk_radius`` and ``tail`` of the fit, ``units``, ``pixel_size`` (x, y; Atomap
    keeps only one), ``pixel_units``, ``cell`` (px), ``dark`` and ``consistency``, the share of
    neighbours that agree on their sublattice.

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((256, 256), random_state=0)
    >>> lattice = hs_rvae.find_sublattices(image)
    >>> [sublattice.name for sublattice in lattice.sublattice_list]
    ['A', 'B']
    """
    if n_sublattices not in (None, 1, 2):
        raise ValueError(f"n_sublattices={n_sublattices!r}: give 1, 2 or None.")
    settings = dict(
        cell=cell, dark=dark, n_sublattices=n_sublattices, swap=swap, threshold=threshold,
        separation=separation, fill_holes=fill_holes, significance=significance,
        least_height=least_height, radius=radius,
        background=background, tail=tail, disk_radius=disk_radius, saturation=saturation,
    )  # fmt: skip
    if getattr(image, "_signal_type", "") == "sub_image_stack":
        raise TypeError("image is a stack of sub-images: pass the image that they were cut from.")
    if _parent_image.is_series(image):
        return find_in_series(image, settings, show_progressbar)
    picture = Picture.of(image)
    warn_of_bands([picture.bands])
    tables = find_tables(picture, **settings, show_progressbar=show_progressbar)
    return as_atom_lattice(tables, picture.raw)


def find_tables(
    picture, *, cell, dark, n_sublattices, swap, threshold, separation, fill_holes, significance,
    least_height, radius, background, tail, disk_radius, saturation, show_progressbar,
):  # fmt: skip
    """Tables of the sublattices of one image; the arguments are find_sublattices' own."""
    found = find_columns(picture, cell, dark, threshold, separation)
    least = significance, least_height
    options = dict(
        radius=radius, background=background, tail=tail, disk_radius=disk_radius,
        saturation=saturation, show_progressbar=show_progressbar,
    )  # fmt: skip
    tables = _refine(picture, found, n_sublattices, fill_holes, least, options)
    if swap and len(tables) == 2:
        tables = tables[::-1]
    return _finished(picture, found, tables)


def _refine(picture, found, n_sublattices, fill_holes, least, options):
    """Fit all columns; returns the tables of A and, if there is one, of B."""
    columns = _candidates(picture, found, fill_holes)
    image = -picture.measured.astype(np.float64) if found.dark else picture.measured
    distance = found.distance / picture.stretch.max()
    both = [columns[columns.is_a], columns[~columns.is_a]]
    if len(both[1]):
        tables = _fitted(image, both, least, distance, options)
        share = tables[1].kept.mean()
        _logger.info("%.0f %% of the places of B columns hold one.", 100 * share)
        if n_sublattices == 2 and not share:
            cell = vectors_text(np.median(found.graph.cells, axis=0) / picture.stretch)
            raise ValueError(
                "n_sublattices=2, but no column stands out in the centres of the cells "
                f"{cell} px: pass cell=, or a lower significance or least_height."
            )
        if n_sublattices == 2 or share >= _SHARE:
            return tables[:n_sublattices]
        _logger.info("The crystal has one sublattice.")
    return _fitted(image, [both[0], both[1][:0]], least, distance, options)[:1]


def _fitted(image, both, least, distance, options):
    """Fit both sublattices, freely and where that fails with the shape held."""
    starts = [table[["x", "y"]].to_numpy() for table in both]
    fits = _refinement.refine_two_sublattices(image, *starts, **options)
    attrs = dict(fits[0].attrs)
    tables = [_with_fit(*pair) for pair in zip(both, fits, strict=True)]
    tables = _second_chance(image, tables, attrs["tail"], *least, distance)
    if any(table.shape_held.any() for table in tables):
        data = image_array(image, options["saturation"])
        for table in tables:
            held = table.index[table.shape_held]
            x, y = table.loc[held, ["x", "y"]].to_numpy().T.copy()
            table.loc[held, "disk_mean"] = disk_means(data, x, y, attrs["disk_radius"])
    for table in tables:
        table.attrs = attrs
    return tables


def _candidates(picture, found, fill_holes):
    """All columns to be fitted: maxima, then places of the lattice without one."""
    graph = found.graph
    index, part, positions = graph.index, graph.part, graph.positions
    is_maximum = np.ones(len(part), bool)
    if fill_holes:
        holes, hole_index, hole_part = _lattice.find_holes(graph)
        size = (np.array(picture.values.shape[::-1]) - 1) * picture.stretch
        rim = _RIM * found.distance
        inside = ((holes >= rim) & (holes <= size - rim)).all(axis=1)
        if picture.valid is not None:
            x, y = np.round(holes[inside] / picture.stretch).astype(int).T
            measured = away_from_gaps(picture.valid, 0.15 * found.distance)
            inside[inside] = measured[y, x]
        holes, hole_index, hole_part = holes[inside], hole_index[inside], hole_part[inside]
        holes = _nearest_faint_maximum(holes, found.faint * picture.stretch, 0.4 * found.distance)
        positions = np.vstack([positions, holes])
        index, part = np.vstack([index, hole_index]), np.append(part, hole_part)
        is_maximum = np.append(is_maximum, np.zeros(len(holes), bool))
        _logger.info("%d places of the lattice hold no clear maximum.", len(holes))
    odd_is_a = _odd_is_brighter(picture, graph, found.dark)
    # Count from an A column: its indices are even.
    index = index + odd_is_a[part][:, None]
    x, y = (positions / picture.stretch).T
    return pd.DataFrame(
        {
            "x": x,
            "y": y,
            "is_a": index[:, 0] % 2 == 0,
            "found": is_maximum,
            "i": index[:, 0] // 2,
            "j": index[:, 1] // 2,
            "part": part,
        }
    )


def _odd_is_brighter(picture, graph, dark):
    """For every part, whether the odd columns are the brighter ones in the median (darker if dark).

    The mean of a small disk is compared, which a saturated peak does not mislead.
    """
    distance = _lattice.nearest_distance(np.median(graph.cells, axis=0))
    reach = int(np.ceil(_CORE * distance / picture.stretch.min()))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = np.hypot(dx * picture.stretch[0], dy * picture.stretch[1]) <= _CORE * distance
    x, y = np.round(graph.positions / picture.stretch).astype(int).T
    rows = np.clip(y[:, None] + dy[disk], 0, picture.values.shape[0] - 1)
    columns = np.clip(x[:, None] + dx[disk], 0, picture.values.shape[1] - 1)
    brightness = picture.values[rows, columns].mean(axis=1) * (-1 if dark else 1)
    odd_is_brighter = np.zeros(graph.part.max() + 1, int)
    for part in np.unique(graph.part):
        inside = graph.part == part
        medians = [
            np.median(brightness[some]) if some.any() else -np.inf
            for some in (inside & ~graph.odd, inside & graph.odd)
        ]
        odd_is_brighter[part] = medians[1] > medians[0]
        if part == 0 and np.isfinite(medians).all():
            # From the level of the whole image: the raw zero is anywhere.
            level = np.median(picture.values) * (-1 if dark else 1)
            _logger.info(
                "A is the %s sublattice: median contrast %.3g, that of B %.3g.",
                "darker" if dark else "brighter", max(medians) - level, min(medians) - level,
            )  # fmt: skip
    return odd_is_brighter


def _nearest_faint_maximum(holes, faint, reach):
    """Start from a faint maximum where a hole has one."""
    if not len(holes) or not len(faint):
        return holes
    distance, nearest = cKDTree(faint).query(holes, distance_upper_bound=reach)
    has_one = np.isfinite(distance)
    holes = holes.copy()
    holes[has_one] = faint[nearest[has_one]]
    return holes


def _with_fit(table, fit):
    """Results of the fit, then what was known before."""
    known = table.rename(columns={"x": "start_x", "y": "start_y"}).reset_index(drop=True)
    fit = fit.reset_index(drop=True)
    fit.attrs = {}
    return pd.concat([fit, known], axis=1)


def _second_chance(image, tables, tail, significance, least_height, distance):
    """
    Fit with the shape held where the free fit failed, and decide which columns to keep.

    Maxima are kept, with the status of their fit. Places of the lattice without a maximum are kept
    if one of the fits finds a significant peak there, of `least_height` at least.

    Returns
    -------
    list of pandas.DataFrame
        With the new columns ``shape_held`` and ``kept``.
    """
    good = [_has_peak(table, significance, distance) for table in tables]
    widths = [_typical_width(table[mask]) for table, mask in zip(tables, good, strict=True)]
    neighbours = pd.concat([table[mask] for table, mask in zip(tables, good, strict=True)])
    decided = []
    for table, mask, width in zip(tables, good, widths, strict=True):
        width = width or max(w or 0 for w in widths)
        table = table.copy()
        table["shape_held"] = False
        again = np.flatnonzero(~mask & ~table.status.isin(_HOPELESS))
        if len(again) and width:
            starts = table.loc[again, ["start_x", "start_y"]].to_numpy()
            fit = pd.DataFrame(
                fit_with_shape_held(
                    image, starts, width, _HELD_RADIUS * distance, neighbours, tail
                ),
                index=again,
            )
            fit["sigma_x"] = fit["sigma_y"] = width
            fit["rotation"] = 0.0
            share, wider = tail
            fit["volume"] = 2 * np.pi * width**2 * fit.amplitude * (1 - share + share * wider**2)
            fit["status"] = _refinement.STATUS["ok"]
            fit["shape_held"] = True
            fit[["start_x", "start_y"]] = starts
            fit = fit[_has_peak(fit, significance, distance)]
            table.loc[fit.index, fit.columns] = fit
            mask[fit.index] = True
        # Both fits failed, one of them without noticing: it ended on something else.
        lost = ~mask & (_moved(table) >= _FARTHEST * distance)
        table.loc[lost, "status"] = _refinement.STATUS["left_region"]
        table.loc[lost, ["x", "y"]] = table.loc[lost, ["start_x", "start_y"]].to_numpy()
        table.loc[lost, _RESULTS] = np.nan
        table["kept"] = table.found | (mask & _reaches(table, neighbours, least_height))
        decided.append(table)
    return decided


def _reaches(table, columns, least_height):
    """Mask of the columns as high as a share of the four nearest maxima, in the median."""
    maxima = columns[columns.found]
    if not len(maxima):
        return np.ones(len(table), bool)
    nearest = cKDTree(maxima[["x", "y"]]).query(
        table[["x", "y"]], k=[*range(1, min(4, len(maxima)) + 1)]
    )[1]
    height = np.median(maxima.amplitude.to_numpy()[nearest], axis=1)
    return (table.amplitude > least_height * height).to_numpy()


def _typical_width(table):
    """Median width of columns that are maxima, or of all if none is; None without any."""
    some = table[table.found] if table.found.any() else table
    return float(np.sqrt(some.sigma_x * some.sigma_y).median()) if len(some) else None


def _moved(table):
    """How far each fit ended from its start."""
    return np.hypot(table.x - table.start_x, table.y - table.start_y)


def _has_peak(table, significance, distance):
    """Mask of the columns whose fit found a significant peak near its start."""
    good = (table.status == _refinement.STATUS["ok"]) & (_moved(table) < _FARTHEST * distance)
    good &= table.amplitude > significance * table.amplitude_std
    return np.array(good)


def _finished(picture, found, tables):
    """Tables with the columns that are kept, in the intensities of the image."""
    graph = found.graph
    finished = []
    for table in tables:
        attrs = table.attrs
        table = table[table.kept].drop(columns=["is_a", "kept", "start_x", "start_y"])
        table = table.reset_index(drop=True)
        if found.dark:
            table[["background", "disk_mean"]] *= -1
        table.index.name = "column"
        table.attrs = {
            **attrs,
            "pixel_size": picture.scale,
            "pixel_units": picture.units,
            "cell": (np.median(graph.cells, axis=0) / picture.stretch).tolist(),
            "dark": found.dark,
            "consistency": graph.consistency(),
        }
        finished.append(table)
    return finished


def as_atom_lattice(tables, raw):
    """Atomap's objects, with the raw image and the tables."""
    with warnings.catch_warnings():
        # What Atomap imports warns of names of HyperSpy's: nothing a user could do about.
        warnings.simplefilter("ignore")
        from atomap.api import Atom_Lattice, Sublattice

    sizes, units = (tables[0].attrs[name] for name in ("pixel_size", "pixel_units"))
    scale = abs(sizes[0])
    if not np.isclose(*np.abs(sizes), rtol=1e-3):
        _logger.warning(
            "The pixels are not square (%g and %g %s): the sublattices have the pixel size along x "
            "only, column_table.attrs['pixel_size'] has both.", *sizes, units,
        )  # fmt: skip
    # Given the image, Atomap would copy it for each sublattice and print about negative values.
    nothing = np.zeros((2, 2))
    sublattices = []
    for name, color, table in zip("AB", ("red", "blue"), tables, strict=False):
        sublattice = Sublattice(
            table[["x", "y"]].to_numpy(), nothing, name=name, color=color, pixel_size=scale,
            units=units,
        )  # fmt: skip
        sublattice.image = sublattice.original_image = raw
        _refinement.fill_sublattice(sublattice, table)
        sublattice.column_table = table
        sublattices.append(sublattice)
    lattice = Atom_Lattice(nothing, sublattice_list=sublattices)
    lattice.image = lattice.original_image = raw
    lattice.pixel_size, lattice.units = scale, units
    return lattice
