# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs that give angles a meaning: a common zero, and variants."""

import logging

import numpy as np

from hs_rvae import variants as _variants

_logger = logging.getLogger(__name__)

_LEAST_RESULTANT = 0.5
_LEAST_ORDER = 0.5  # of the amplitude of a typical distorted site


class VariantsMixin:
    """Register angles and assign variants."""

    def register_angle(self, reference="displacement", *, least_resultant=_LEAST_RESULTANT):
        """Give the angles a zero with a meaning, the same offset for all sites.

        The zero of an rVAE's angle is arbitrary; the paper turned its angles by -100 degrees by
        eye. Here the offset comes from the displacement vectors of the sites or from a direction.

        Parameters
        ----------
        reference : "displacement" or float
            "displacement": angles become directions of the columns ``displacement_x`` and
            ``displacement_y``, on average over the sites, weighted by length. A number: the most
            frequent angle is turned to this direction, in radians from +x towards +y.
        least_resultant : float
            Least resultant length of angle minus direction of displacement: 1 if both agree
            everywhere up to the offset, 0 if they have nothing to do with each other.

        Returns
        -------
        offset : float
            What was subtracted from the angles, in radians.
        resultant : float
            Resultant length of the differences, or of the angles about the most frequent one.

        Raises
        ------
        ValueError
            If a column is missing or displacements and angles do not hold together.

        Examples
        --------
        >>> stack.register_angle("displacement")  # doctest: +SKIP
        >>> stack.register_angle(np.pi / 4)  # the commonest variant points to the lower right
        ... # doctest: +SKIP
        """
        sites = self._sites_with("angle", "stack.rvae()")
        angle = sites["angle"]
        if isinstance(reference, str):
            if reference != "displacement":
                raise ValueError(
                    f"reference={reference!r}: give 'displacement' or a direction in radians."
                )
            self._sites_with("displacement_x", "SubImageStack.from_atom_lattice()")
            x, y = sites["displacement_x"], sites["displacement_y"]
            good = np.isfinite(angle) & np.isfinite(x) & np.isfinite(y) & self._defined(sites)
            if not good.any():
                raise ValueError("reference='displacement': no site has both an angle and one.")
            length, direction = np.hypot(x, y)[good], np.arctan2(y, x)[good]
            offset, resultant = _variants.common_offset(angle[good], direction, length)
            if resultant < least_resultant:
                raise ValueError(
                    f"reference='displacement': angles and displacements do not hold together "
                    f"(resultant length {resultant:.2f}, at least {least_resultant} is asked "
                    "for). Check the positions, look at plot_polar_map('displacement'), or give a "
                    "direction."
                )
        else:
            good = np.isfinite(angle) & self._defined(sites)
            if not good.any():
                raise ValueError("No site has a defined angle, so there is nothing to register.")
            commonest = _commonest(angle[good])
            offset = float(_variants.wrap(commonest - float(reference)))
            _, resultant = _variants.common_offset(angle[good], np.full(good.sum(), commonest))
        sites["angle"] = _variants.wrap(angle - offset)
        sites.remove(*(name for name in ("variant", "variant_residual") if name in sites))
        _logger.info("Angles registered: offset %.4f rad, resultant %.3f.", offset, resultant)
        return offset, resultant

    def assign_variants(self, n_variants="auto", *, origin=None, least_order=_LEAST_ORDER):
        """Assign each site to the nearest of equally spaced wells of the angle.

        Writes the columns ``variant`` (0 ... n_variants - 1, counted from +x towards +y; -1 =
        undefined) and ``variant_residual`` (angle minus well, rad). A site is undefined if its
        ``order_amplitude`` is below `least_order` (no distortion, so no direction) or its angle is
        as uncertain as half a well. A crystal in which typical sites are distorted by less than
        the noise of one site can tell has no variants: all sites are -1, with a warning.

        Parameters
        ----------
        n_variants : int or "auto"
            Number of wells; "auto" counts them (1, 2, 3, 4 or 6).
        origin : float, optional
            Direction of variant 0 in radians; None = the wells that fit the angles best.
        least_order : float
            Least ``order_amplitude`` of a site with a variant, 1 being typical.

        Returns
        -------
        int
            Number of wells, 0 if there are none.

        Raises
        ------
        ValueError
            If `n_variants` is not usable or there is no column ``angle``.

        Examples
        --------
        >>> stack.assign_variants(n_variants=4)  # doctest: +SKIP
        >>> stack.plot_site_map("variant")  # doctest: +SKIP
        """
        sites = self._sites_with("angle", "stack.rvae()")
        whole = isinstance(n_variants, int | np.integer) and not isinstance(n_variants, bool)
        if n_variants != "auto" and not (whole and n_variants >= 1):
            raise ValueError(f"n_variants={n_variants!r}: give a whole number or 'auto'.")
        angle, defined = sites["angle"], self._defined(sites, least_order)
        if n_variants == "auto":
            n_variants = _variants.count_variants(angle[defined])
        variant = np.full(len(sites), -1)
        residual = np.full(len(sites), np.nan)
        if n_variants and defined.any():
            if "angle_std" in sites:
                defined &= sites["angle_std"] < np.pi / n_variants
            found = _variants.nearest_wells(angle[defined], n_variants, origin)
            variant[defined], residual[defined] = found[:2]
        if not (variant >= 0).any():
            _logger.warning(
                "No variants: the sites have no distortion that stands out of their noise, or "
                "their angles lie in no wells. All sites are undefined (-1)."
            )
        sites.set_many(
            {"variant": variant, "variant_residual": residual}, units={"variant_residual": "rad"}
        )
        return int(n_variants)

    def _sites_with(self, column, verb):
        sites = self.sites
        if sites is None or column not in sites:
            raise ValueError(f"There is no column {column!r}; {verb} writes it.")
        return sites

    @staticmethod
    def _defined(sites, least_order=_LEAST_ORDER):
        """Mask of the sites whose angle has a meaning."""
        defined = np.isfinite(sites["angle"])
        if "order_amplitude" in sites:
            signal = 1 / np.nanmedian(sites["order_amplitude_std"])
            defined &= (sites["order_amplitude"] >= least_order) & (
                signal >= _variants.LEAST_SIGNAL
            )
        return defined


def _commonest(angle, width=0.09):
    """The angle with most others within about `width` (rad), refined to their mean."""
    grid = np.linspace(-np.pi, np.pi, 360, endpoint=False)
    density = np.exp((np.cos(grid[:, None] - angle) - 1) / width**2).sum(1)
    peak = grid[density.argmax()]
    weights = np.exp((np.cos(angle - peak) - 1) / width**2)
    return float(peak + np.average(_variants.wrap(angle - peak), weights=weights))
