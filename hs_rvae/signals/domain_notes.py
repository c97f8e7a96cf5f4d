# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options and outcome of the search for domains, kept in the metadata of a stack."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hs_rvae.signals.site_signal import SiteSignal

#: How domains were found.
DOMAINS_NODE = "Sub_images.domains"


@dataclass(frozen=True)
class DomainNotes:
    """
    Options and outcome of ``find_domains``.

    Attributes
    ----------
    column : str
        Column of labels.
    min_sites : int
    polarity : int
        0 if it was not given.
    alternates : bool
        Whether the labels alternate from cell to cell.
    mixed : float
        Share of the labels in domains that are not the label of their domain.
    reason : str
        Why there are no domains; empty if there are some.
    """

    column: str
    min_sites: int
    polarity: int
    alternates: bool
    mixed: float
    reason: str

    def keep_in(self, stack: SiteSignal) -> None:
        """Write the notes into the metadata."""
        stack.metadata.set_item(DOMAINS_NODE, asdict(self))


def notes_of(stack: SiteSignal) -> DomainNotes | None:
    """Notes in the metadata of a stack that has the column of domains, otherwise None."""
    node = stack.metadata.get_item(DOMAINS_NODE)
    if node is None or stack.sites is None or "domain" not in stack.sites:
        return None
    parts = node.as_dictionary()
    kinds: dict[str, type] = {"column": str, "min_sites": int, "polarity": int}
    # A file brings back numbers of NumPy.
    kinds |= {"alternates": bool, "mixed": float, "reason": str}
    return DomainNotes(**{name: kind(parts[name]) for name, kind in kinds.items()})


def domains_of(stack: SiteSignal, columns: Iterable[str]) -> list[str]:
    """Column of the domains that were found in one of `columns`; empty if there is none."""
    notes = notes_of(stack)
    own = notes is not None and stack.sites.writers["domain"] == "find_domains"
    return ["domain"] if own and notes is not None and notes.column in columns else []


def joined_notes(nodes: list[Any]) -> dict[str, Any] | None:
    """Notes of stacks that are joined; None if their domains were found in different ways."""
    notes = [node.get_item("domains") for node in nodes]
    if not all(notes):
        return None
    parts = [one.as_dictionary() for one in notes]
    same = ("column", "min_sites", "polarity")
    if len({tuple(part[name] for name in same) for part in parts}) > 1:
        return None
    reasons = [part["reason"] for part in parts]
    return parts[0] | {
        "alternates": any(part["alternates"] for part in parts),
        "mixed": max(part["mixed"] for part in parts),
        "reason": reasons[0] if all(reasons) else "",
    }
