# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sublattices of an image, or of every frame of a series, as Atomap's objects."""

from __future__ import annotations

from typing import Any

from .. import parent_image as _parent_image
from ..cautions import keeping_warnings
from ..checks import checked, whole_number
from ..refinement import ahead
from ..refinement.atomap_objects import as_atom_lattice
from ..threads import one_thread
from .column_tables import SearchSettings, find_tables, sublattice_names
from .derivative import warn_of_derivative
from .failed_fits import warn_of_failed_fits
from .finders import checked_method
from .search_image import Picture, warn_of_bands
from .series import find_in_series
from .structure import checked_projection, name_by_structure


@keeping_warnings
@checked(but=("zone_axis",))
@one_thread()
def find_sublattices(
    image: Any,
    cell: Any = None,
    *,
    method: Any = "maxima",
    dark: bool | None = None,
    n_sublattices: int | None = None,
    swap: bool = False,
    structure: Any = None,
    zone_axis: tuple[int, int, int] = (0, 0, 1),
    correct_distortion: Any = False,
    threshold: float = 0.1,
    separation: float | None = None,
    fill_holes: bool = True,
    significance: float = 3.0,
    least_height: float = 0.03,
    radius: float | None = None,
    background: str = "plane",
    tail: tuple[float, float] | None = None,
    disk_radius: float | None = None,
    saturation: float | None = None,
    show_progressbar: bool | None = None,
) -> Any:
    """
    Find and refine all atomic columns of an image and name its sublattices.

    No zone axes are used, and no trained network unless you ask for one. The autocorrelation gives
    lattices, and maxima of the band-passed image give columns. The smallest lattice that joins the
    columns, and whose places hold one kind each, is kept. Columns that translations join are one
    place in the cell: a sublattice, whatever the local contrast. Places left empty are fitted after
    the other columns are subtracted, and kept if a significant peak is there. Choices are logged at
    the level INFO.

    Parameters
    ----------
    image : hyperspy.api.signals.Signal2D or array of shape (rows, columns)
        One image, or a signal with one navigation axis (time, tilt, dose): a series. A lazy image
        is computed once, a lazy series frame by frame. Pixels that are not finite or masked count
        as not measured, and so do constant bands at its border, such as the data bar of an exported
        picture; a warning names them.
    cell : float or array-like of shape (2, 2), optional
        Edge of a square cell, or the two cell vectors ``(x, y)``, in pixels. The cell joins columns
        of the same sublattice. If None, the image gives it.
    method : {"maxima", "network", "auto"} or ColumnNetwork
        How columns are found: as maxima of the band-passed image, or by a trained network: that of
        the package or one of your own, see :class:`~hs_rvae.columns.ColumnNetwork`. All else is
        the same. "auto" takes the network where a tenth of the maxima are lower than eight standard
        deviations of the noise, or are less than 5 px apart, or show no lattice.
    dark : bool, optional
        Columns are darker than their surroundings, as in annular bright field. If None, the image
        decides.
    n_sublattices : int, optional
        Number of sublattices, the brightest ones; the minimum is 1. If None, the places of the cell
        that hold columns.
    swap : bool
        Call the brighter one of two sublattices "B" and the other one "A".
    structure : ase.Atoms, orix Phase, diffpy Structure, str or pathlib.Path, optional
        The known crystal; a path names a CIF file. Its elements name the sublattices:
        ``sublattice.element``, which ``SubImageStack.from_atom_lattice`` takes as well as "A" and
        "B". Its cell is compared with the found one, and warnings name what differs.
        ``lattice.crystal.structure`` has the result. If None, there are no elements.
    zone_axis : tuple of int
        Direction [uvw] of the beam in the cell of the structure. Both senses are tried.
    correct_distortion : bool or hyperspy.roi.RectangularROI
        Take the stretch of the image against the structure out of displacements, cells and
        angles of a stack that is made from the lattice. A rectangle encloses the part of the image
        that is unstrained, such as a substrate; True takes all of it, so that a mean strain of the
        crystal goes as well. Positions stay where the image shows the columns.
    threshold : float
        Minimum height of a maximum in the band-passed image, in units of that of strong columns.
        Fainter columns are found where the lattice has a place for them. A network has a minimum
        probability instead.
    separation : float, optional
        The fainter one of two maxima closer than this, in pixels, is dropped. If None, 0.4 of the
        shortest vector of the lattice, or 0.45 of the distance of nearest columns with a network.
    fill_holes : bool
        Look for columns where the lattice has places without a maximum.
    significance : float
        Minimum peak height of a column in such a place, in units of its standard error. At 3,
        noise passes for a column in one or two of a hundred empty places. Where most columns of a
        sublattice are hardly higher, the error is that of a fit of all columns at once.
    least_height : float
        Minimum peak height of a column in such a place, in units of that of the nearest maxima. The
        tails of real columns differ from the model by about a percent, which shows where there is
        little noise.
    radius, background, tail, disk_radius, saturation
        Options of the fit and of ``disk_mean``, as in :func:`refine_two_sublattices`.
    show_progressbar : bool, optional
        If None, HyperSpy's preference.

    Returns
    -------
    atomap.atom_lattice.Atom_Lattice
        With the sublattices "A", "B", "C" and so on, by descending brightness (darkness with
        `dark`) in the median. Each has a ``column_table``. ``lattice.crystal`` has the cell, the
        places, the grains, the maxima that belong to no lattice (``unassigned``) and the warnings.
        For a series, a :class:`~hs_rvae.columns.LatticeSeries`, which
        ``SubImageStack.from_atom_lattice`` takes as well. All frames have cell, radius, tail,
        polarity and number of sublattices of the first frame; they are fitted in parallel.

    Raises
    ------
    ValueError
        If the image is not one 2-D image, is empty or constant, shows no lattice, or has fewer than
        5 px between columns; if the structure is not a crystal, or does not match the found one.
    TypeError
        If the values of the image are not real numbers, or `structure` or `correct_distortion` is
        of another kind.
    FileNotFoundError
        If there is no such file of a structure.

    Notes
    -----
    Brightness of a column of a known crystal is taken to rise with the sum of ``Z**1.7`` per
    length, as in annular dark field, Z being the atomic number. Columns within 0.025 nm of each
    other in projection are one ("Ti/O"). Columns below 15 % of the brightest are not missed, except
    where columns are dark.

    ``column_table`` is a :class:`pandas.DataFrame` with one row per column, in the order of the
    sublattice: the results of :func:`refine_two_sublattices` (see :func:`refine_columns`) and

    ``found``
        False for a column that is not a maximum of the image, but was fitted where the lattice has
        a place for it.
    ``shape_held``
        True where the free fit failed, as it does for columns barely above the noise, and height
        and position were fitted with the width of the other columns.
    ``i``, ``j``
        Cell of its grain, counted along the vector nearest to +x and the one nearest to +y. A
        column of "A" is the cell's origin.
    ``probability``
        Probability of a column, where a network found it; NaN for those that were not found.
    ``class``
        The most probable class, where the network has classes; "" for those that were not found.
    ``grain``
        Region of one lattice and one origin; 0 is the largest. Grains meet at grain boundaries and
        antiphase boundaries.

    For dark columns, peak height and volume are depths, as positive numbers. Its ``attrs`` hold
    ``radius``, ``disk_radius`` and ``tail`` of the fit, ``units``, ``pixel_size`` (x, y; Atomap
    keeps only one), ``pixel_units``, ``cell`` (px), ``dark`` and ``consistency``, the share of
    the columns joined by translations that agree on their sublattice.

    Examples
    --------
    >>> import hs_rvae
    >>> image, truth = hs_rvae.simulation.simulate_perovskite((256, 256), random_state=0)
    >>> lattice = hs_rvae.find_sublattices(image)
    >>> [sublattice.name for sublattice in lattice.sublattice_list]
    ['A', 'B']
    """
    if n_sublattices is not None:
        n_sublattices = whole_number(n_sublattices, "n_sublattices")
    if getattr(image, "_signal_type", "") == "sub_image_stack":
        raise TypeError("image is a stack of sub-images: pass the image that they were cut from.")
    projection = checked_projection(structure, zone_axis, correct_distortion)
    settings = SearchSettings(
        method=checked_method(method),
        cell=cell,
        dark=dark,
        n_sublattices=n_sublattices,
        swap=swap,
        threshold=threshold,
        separation=separation,
        fill_holes=fill_holes,
        significance=significance,
        least_height=least_height,
        radius=radius,
        background=background,
        tail=tail,
        disk_radius=disk_radius,
        saturation=saturation,
    )
    ahead.start()
    image = _parent_image.as_image(image)
    _parent_image.refuse_detectors(image)
    if _parent_image.is_series(image):
        series = find_in_series(image, settings, show_progressbar)
        if projection is not None:
            name_by_structure(series.frames, projection, correct_distortion, image)
        return series
    picture = Picture.of(image)
    warn_of_bands([picture.bands])
    found = find_tables(picture, settings, show_progressbar)
    warn_of_failed_fits([found.tables])
    warn_of_derivative(image, picture.values, found.crystal.cell)
    if projection is not None:
        name_by_structure([found], projection, correct_distortion, image)
    names = sublattice_names(len(found.tables))
    return as_atom_lattice(found.tables, picture.raw, names, found.crystal)
