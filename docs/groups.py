# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Methods of the stack by subject, as its reference page lists them: one group for each branch."""

# Title of a group, and the classes whose methods it lists. Class methods of the stack itself make
# stacks, its other methods go back to images and other signals.
TITLES = {
    "Make a stack": (),
    "Table, image, selection and files": ("SiteSignal",),
    "Fit a model": ("RVAEMethods",),
    "Angles, variants and the report": ("MeaningMethods",),
    "Domains and walls": ("DomainMethods",),
    "Figures": ("FigureMethods",),
    "Decompositions, embeddings and clusters": ("LearningMethods",),
    "Series of images": ("SeriesMethods",),
    "Other signals, cells and modes": (),
}


def directive_of(member):
    """Name of the directive that documents a member of a class."""
    return "autoproperty" if isinstance(member, property) else "automethod"


def groups_of(cls):
    """Pairs of a title and the members below it, each a pair of directive and name."""
    groups = {title: [] for title in TITLES}
    of_class = {name: title for title, names in TITLES.items() for name in names}
    for branch in cls.__mro__:
        if not branch.__module__.startswith("hs_rvae."):
            continue
        for name, member in vars(branch).items():
            if name.startswith("_"):
                continue
            if branch is cls:
                makes = isinstance(member, classmethod)
                title = "Make a stack" if makes else "Other signals, cells and modes"
            else:
                title = of_class[branch.__name__]
            groups[title].append((directive_of(member), name))
    return list(groups.items())
