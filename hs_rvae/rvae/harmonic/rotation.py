# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choice of the part that turns: the distortion in a lattice that stays, or the whole motif."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...verdict import FEW_SITES, Verdict
from ..batches import return_freed_memory
from ..neighbour_test import LatticeOffsets, angular_order, two_kinds
from .charges import coherence, lattice_symmetry
from .deflection import fit_deflection
from .distortion import THRESHOLDS, Distortion, fit_distortion
from .orders import Orders, fit_orders

if TYPE_CHECKING:
    from ..geometry import HarmonicGrid

_logger = logging.getLogger(__name__)

# Coherence below which the lattice may turn, and below which it does: crystals have 0.96 or more,
# an orthoperovskite with turning cages 0.88, grains and twins 0.3.
_MAY_TURN, _TURNS = 0.93, 0.8


@dataclass
class SitePlaces:
    """Positions of the sites of a fit.

    Attributes
    ----------
    positions : numpy.ndarray, shape (n, 2)
        (x, y) in px.
    strata : numpy.ndarray of int, shape (n,), or None
        Number of the image or frame of each site.
    displacements : numpy.ndarray, shape (n, 2), or None
        Displacements (x, y) in px from measured positions.
    diffraction : bool
        Whether the sub-images are diffraction patterns, whose pixels are not places.
    """

    positions: np.ndarray
    strata: np.ndarray | None = None
    displacements: np.ndarray | None = None
    diffraction: bool = False

    @cached_property
    def offsets(self) -> LatticeOffsets:
        """Pairs of the sites by the lattice offset between them."""
        return LatticeOffsets(self.positions, self.strata)

    def of(self, rows: np.ndarray) -> SitePlaces:
        """Places of some of the sites."""
        others = (self.strata, self.displacements)
        strata, displacements = (None if values is None else values[rows] for values in others)
        return SitePlaces(self.positions[rows], strata, displacements, self.diffraction)


def choose_rotation(
    harmonics: Tensor,
    grid: HarmonicGrid,
    places: SitePlaces | None,
    rotation: str,
    angles_of_motif: Callable[[], np.ndarray],
    generator: torch.Generator,
) -> tuple[Distortion | None, Orders | None, Verdict]:
    """Fit the distortion, test it, and choose between it and the turning motif.

    Parameters
    ----------
    harmonics : torch.Tensor of complex64, shape (n, n_q, M + 1)
    grid : HarmonicGrid
    places : SitePlaces or None
        If None, nothing can be tested, and the motif turns.
    rotation : {"auto", "distortion", "motif"}
    angles_of_motif : callable
        Fits the turning motif and returns its angles, (n,) in radians. Called where needed.
    generator : torch.Generator

    Returns
    -------
    distortion : Distortion or None
        None if the motif turns.
    orders : Orders or None
        Order parameters beside the displacement; None without any.
    verdict : Verdict
    """
    if places is None:
        note = "There were no positions of the sites, so that nothing tests the angles."
        verdict = Verdict("turning motif", "motif", (), notes=(note,), tested=False)
        return None, None, verdict
    sites = harmonics.cpu().numpy()
    if rotation == "motif":
        return None, None, _judge_motif(sites, places, angles_of_motif(), {}, {}, grid)
    seed = int(torch.randint(2**62, (1,), generator=generator))
    mean = grid.mean_image(harmonics.mean(0).cpu()).numpy()
    rng = np.random.default_rng(seed)
    if places.diffraction:
        found = fit_deflection(sites, grid, mean, places.offsets, rng)
    else:
        found = fit_distortion(sites, grid, mean, places.offsets, rng, places.displacements)
    return_freed_memory()
    evidence = {k: v for k, v in found.evidence.items() if np.isfinite(v)}
    limits = {k: v for k, v in THRESHOLDS.items() if k in evidence}
    limits["wells"] = max(limits["wells"], THRESHOLDS["wells_per_gain"] * evidence["gain"])
    limits["coherence"] = _MAY_TURN
    orders = None
    if not places.diffraction:
        orders = fit_orders(sites, grid, mean, places, found)
        evidence, limits = evidence | orders.evidence, limits | orders.limits
    turning = evidence["coherence"] < _MAY_TURN
    if found.kind == "nothing":
        turning |= orders is None or not orders.found
    if rotation == "auto" and turning:
        verdict = _judge_motif(sites, places, angles_of_motif(), evidence, limits, grid)
        if verdict.found:
            return None, None, _logged(verdict)
    notes = _cautions(sites, places, found.evidence["n_pairs"])
    kind = found.kind
    names: tuple[str, ...] = ("displacement",)
    if orders is not None and not orders.found:
        orders = None
    if orders is not None:
        names = orders.names if orders.alone else orders.ranked(evidence["predicted"])
        kind = "variants" if orders.alone else kind
    return found, orders, _logged(Verdict(kind, "distortion", names, evidence, limits, notes))


def _judge_motif(
    sites: np.ndarray,
    places: SitePlaces,
    angle: np.ndarray,
    evidence: dict[str, float],
    limits: dict[str, float],
    grid: HarmonicGrid,
) -> Verdict:
    """Verdict on the angles of a turning motif."""
    offsets = places.offsets
    order, threshold, multiple = angular_order(angle, offsets)
    if "coherence" not in evidence:
        n = lattice_symmetry((np.abs(sites.mean(0)[:, 1:]) ** 2).sum(0))
        evidence = evidence | {"coherence": coherence(sites, n, grid.noise_power())}
        limits = limits | {"coherence": _MAY_TURN}
    turns = order > threshold or evidence["coherence"] < _TURNS
    evidence = evidence | {"angular_order": order, "n_pairs": float(offsets.n_pairs)}
    limits = limits | {"angular_order": threshold}
    few = len(sites) < FEW_SITES or offsets.n_pairs == 0
    asked_for = "gain" not in evidence  # no distortion was tried
    return Verdict(
        "turning motif" if turns or (few and asked_for) else "nothing",
        "motif",
        ("angle",),
        evidence,
        limits,
        _cautions(sites, places, offsets.n_pairs),
        tested=not few,
        multiple=multiple if order > threshold and not few else 1,
    )


def _cautions(sites: np.ndarray, places: SitePlaces, n_pairs: float) -> tuple[str, ...]:
    """Notes on the weaknesses of a verdict."""
    notes, n_sites = [], len(sites)
    if two_kinds(sites[:, :, 0].real, places.positions, places.strata):
        notes.append(
            "Two kinds of column alternate among the sites: their surroundings differ, which is "
            "not a distortion. Take one kind at a time, by select_sites() or in sublattice=."
        )
    if n_sites < FEW_SITES:
        notes.append(f"{n_sites} sites are few: below {FEW_SITES} the verdict is not trustworthy.")
    if not n_pairs:
        notes.append(
            "No sites lie two to three cells apart, so that other cells cannot test the angles: "
            "the image is too small, or the sites are not on a lattice."
        )
    return tuple(notes)


def _logged(verdict: Verdict) -> Verdict:
    numbers = ", ".join(f"{k} {v:.3g}" for k, v in verdict.evidence.items())
    _logger.info(
        "rVAE: rotation='auto' or 'distortion' uses the model %r. %s (%s)",
        verdict.rotation,
        verdict.sentence,
        numbers,
    )
    for note in verdict.notes:
        _logger.warning("rVAE: %s", note)
    return verdict
