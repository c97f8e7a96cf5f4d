# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict of a model on an image: variants, a continuous turn or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

#: Kinds of verdict, and the sentence of each.
KINDS = {
    "variants": "The distortion has distinct directions: variants.",
    "continuous": "The distortion turns continuously: it has no variants.",
    "one direction": "The distortion has one direction everywhere.",
    "turning motif": "The whole motif turns, as in grains and twins.",
    "nothing": "No distortion stands out from the noise.",
}
#: The same where another order parameter than the displacement comes first, and beside it.
OTHERS = {
    "strain": "The lattice is strained along distinct axes: ferroelastic variants.",
    "tilt": "The surroundings are turned to and fro from cell to cell: two variants of tilt.",
}
#: Fewer sites are too few for a trustworthy verdict.
FEW_SITES = 150
#: Name of a piece of evidence in words.
EVIDENCE = {
    "predicted": "share of the displacement that other cells predict",
    "gain": "likelihood of a circle over a normal distribution (nat per site)",
    "wells": "likelihood of wells over no wells, held-out sites (nat per site)",
    "asymmetry": "asymmetry of the mean sub-image beyond a displacement",
    "zero": "evidence for a zero off the symmetric position (nat per site)",
    "largest": "root mean square displacement (cells)",
    "smallest": "root mean square displacement that other cells predict (cells)",
    "poled": "mean displacement (in standard deviations of a site)",
    "mean": "mean displacement (cells)",
    "coherence": "share of the lattice that the sites have in common",
    "angular_order": "share of the angle that other cells predict",
    "strain": "likelihood that strain adds (nat per site)",
    "strain_predicted": "share of the strain that other cells predict",
    "strain_groups": "likelihood of groups of strain over none, held-out sites (nat per site)",
    "strain_apart": "distance between groups of strain (in scatters)",
    "strain_walls": "change of the strain between its groups, in parts of that within",
    "tilt_predicted": "share of the tilt that other cells predict",
    "tilt_alternation": "correlation of the tilt with the opposite tilt of other cells",
    "tilt_groups": "likelihood of two signs of tilt over none, held-out sites (nat per site)",
    "tilt_apart": "distance between the two signs of tilt (in scatters)",
    "tilt_walls": "change of the tilt between its signs, in parts of that within",
    "n_pairs": "pairs of sites compared",
}


@dataclass(frozen=True)
class Verdict:
    """Verdict on the distortion of an image, with its evidence.

    Attributes
    ----------
    kind : str
        "variants": distinct directions. "continuous": directions that turn from site to site
        without distinct ones. "one direction": the same everywhere. "turning motif": the whole
        sub-image turns (grains, twins). "nothing": nothing stands out from the noise.
    rotation : str
        Model that was used, "distortion" or "motif".
    order_parameters : tuple of str
        What the verdict is about, the strongest first: "displacement", "strain" (ferroelastic),
        "tilt". `kind` is that of the displacement where it is among them.
    evidence : dict of str to float
        Numbers that it rests on.
    thresholds : dict of str to float
        Thresholds of those numbers, under the same names.
    notes : tuple of str
        Cautions: few sites, no positions of other sites.
    tested : bool
        Whether other cells were available to test the angles.
    multiple : int
        n if other cells predict n times the angle, but not smaller multiples: angles then have a
        meaning up to turns of 360/n degrees.
    grouped : bool
        False if directions are not equally frequent, but groups of them were looked for and do not
        stand apart.

    Examples
    --------
    >>> verdict = Verdict("continuous", "distortion", evidence={"predicted": 0.7})
    >>> print(verdict)
    The distortion turns continuously: it has no variants. (displacement)
      share of the displacement that other cells predict: 0.7
    """

    kind: str
    rotation: str
    order_parameters: tuple[str, ...] = ("displacement",)
    evidence: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    tested: bool = True
    multiple: int = 1
    grouped: bool = True

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        if not self.tested:
            return "Angles were fitted, but no other cells were available to test them."
        others = [OTHERS[name] for name in self.order_parameters if name in OTHERS]
        if others and self.angles_of != "displacement":
            return " ".join(others)
        if self.kind == "variants" and not self.grouped:
            first = "Some directions are more frequent than others, but no variants stand apart."
        else:
            first = KINDS[self.kind]
        if self.order_parameters[:1] != ("displacement",):
            return " ".join([*others, first])
        return " ".join([first, *others])

    @property
    def angles_of(self) -> str:
        """Order parameter that ``angle`` and ``variant`` belong to; "" if there is none."""
        names = self.order_parameters
        return "displacement" if "displacement" in names else next(iter(names), "")

    @property
    def found(self) -> bool:
        """True if something stands out."""
        return self.kind != "nothing"

    @property
    def title(self) -> str:
        """Meaning of the angles, as the title of a figure."""
        if not self.found:
            return "No distortion stands out from the noise"
        if self.angles_of == "strain":
            return "Axis of the strain"
        if self.angles_of == "tilt":
            return "Tilt"
        if self.rotation == "distortion":
            return "Direction of the distortion"
        return "Turn of the motif" if self.tested else "Turn of the motif, not tested"

    def __str__(self) -> str:
        about = f" ({', '.join(self.order_parameters)})" if self.order_parameters else ""
        lines = [self.sentence + about]
        order = {name: place for place, name in enumerate(EVIDENCE)}  # files keep none
        for name in sorted(self.evidence, key=lambda name: order.get(name, len(order))):
            value = self.evidence[name]
            limit = f" (threshold {self.thresholds[name]:g})" if name in self.thresholds else ""
            lines.append(f"  {EVIDENCE.get(name, name)}: {value:.3g}{limit}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and lists, for metadata and files."""
        parts = asdict(self)
        for name in ("order_parameters", "notes"):
            parts[name] = list(parts[name])
        for name in ("evidence", "thresholds"):
            parts[name] = {k: float(v) for k, v in parts[name].items()}
        return parts

    @classmethod
    def from_dict(cls, parts: Mapping[str, Any]) -> Self:
        """Rebuild the verdict that :meth:`as_dict` describes."""
        parts = dict(parts)
        for name in ("order_parameters", "notes"):
            parts[name] = tuple(str(text) for text in parts.get(name, ()))
        for name in ("evidence", "thresholds"):
            parts[name] = {k: float(v) for k, v in parts.get(name, {}).items()}
        for name, kind in (("tested", bool), ("multiple", int), ("grouped", bool)):
            if name in parts:  # a file brings back numbers of NumPy
                parts[name] = kind(parts[name])
        return cls(**parts)
