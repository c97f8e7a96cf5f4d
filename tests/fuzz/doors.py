# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Public doors of the package, found by themselves, and a valid call of each."""

from __future__ import annotations

import copy
import inspect
import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pandas as pd

import hs_rvae
from hs_rvae import cli, columns, plots, simulation
from hs_rvae.columns.column_tables import FoundColumns
from hs_rvae.columns.search_image import Picture
from hs_rvae.signals.comparison import RVAEComparison

WINDOW = 20
# Rooms whose names are public though the package does not list them.
_MORE = {"RVAEComparison": RVAEComparison}
# Methods with two underscores that people call by their signs.
_SIGNS = ("__getitem__", "__setitem__", "__contains__", "__len__")


class Door(NamedTuple):
    """A public callable: its name, and how it is fetched from a receiver."""

    name: str
    owner: str
    attribute: str
    function: Any

    @property
    def signature(self) -> inspect.Signature:
        """As the caller sees it, without the receiver."""
        return inspect.signature(self.function)


def doors() -> dict[str, Door]:
    """All public callables of the package, by name."""
    found = {door.name: door for door in _of_module(hs_rvae, "")}
    for name, thing in _MORE.items():
        found |= {door.name: door for door in _of_class(name, thing)}
    found["cli.main"] = Door("cli.main", "", "", cli.main)
    return dict(sorted(found.items()))


def _of_module(module: ModuleType, prefix: str) -> Iterator[Door]:
    names = getattr(module, "__all__", None) or [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", "") == module.__name__
    ]
    for name in names:
        thing = getattr(module, name)
        if inspect.ismodule(thing):
            yield from _of_module(thing, f"{prefix}{name}.")
        elif inspect.isclass(thing):
            yield Door(prefix + name, "", "", thing)
            yield from _of_class(prefix + name, thing)
        elif callable(thing):
            yield Door(prefix + name, "", "", thing)


def _of_class(name: str, cls: type) -> Iterator[Door]:
    ours = [base for base in cls.__mro__ if base.__module__.startswith("hs_rvae")]
    for attribute in sorted({key for base in ours for key in vars(base)}):
        if attribute.startswith("_") and attribute not in _SIGNS:
            continue
        function = inspect.getattr_static(cls, attribute)
        if isinstance(function, property | cached_property) or not callable(
            getattr(cls, attribute)
        ):
            continue
        if not (getattr(getattr(cls, attribute), "__module__", "") or "").startswith("hs_rvae"):
            continue
        bound = isinstance(function, classmethod | staticmethod)
        yield Door(
            f"{name}.{attribute}", name, attribute, getattr(cls, attribute) if bound else function
        )


class Shelf:
    """Valid things that the calls take, made once; each call gets copies."""

    def __init__(self) -> None:
        self.image, self.truth = simulation.simulate_perovskite(
            (216, 216), cell=18.0, domain_size=5, random_state=0
        )
        self.b = self.truth.b_sites[["x", "y"]].to_numpy()
        self.a = self.truth.a_sites[["x", "y"]].to_numpy()
        self.lattice = hs_rvae.find_sublattices(self.image, cell=18.0)
        self.stack = self._complete(lazy=False)
        self.lazy = self._complete(lazy=True)
        self.film = self._series()
        self.model = self.stack.rvae_model
        self.defects = hs_rvae.find_defects(self.lattice, self.image)
        self.scan, _ = simulation.simulate_4dstem((130, 130), cell=26, detector=16, random_state=0)
        self.crystal = simulation.simulate_crystal((128, 128), random_state=0)[1]
        self.spectrum = simulation.simulate_spectrum_image((60, 60), n_channels=16, random_state=0)[
            2
        ]
        self.diagnostics = self.stack.rvae_diagnostics(n_shuffles=10, random_state=0)
        self.files = Path(tempfile.mkdtemp())
        self.model.save(self.files / "model.safetensors")
        self.image.save(self.files / "film.hspy")
        self.image.isig[:100, :100].save(self.files / "corner.hspy")

    def lattices(self) -> columns.LatticeSeries:
        """A series of one frame."""
        tables = [one.column_table.copy() for one in self.lattice.sublattice_list]
        found = FoundColumns(tables, self.lattice.crystal)
        return columns.LatticeSeries([found], hs.stack([self.image]))

    def _complete(self, lazy: bool) -> Any:
        stack = hs_rvae.SubImageStack.from_positions(
            self.image.as_lazy() if lazy else self.image, self.b, window_size=WINDOW,
            neighbours=self.a,
        )  # fmt: skip
        stack.rvae(2, n_init=1, epochs=1, q_max=0.15, random_state=0)
        stack.register_angle()
        stack.assign_variants(4)
        stack.find_domains()
        stack.measure_modes()
        stack.decomposition("PCA", output_dimension=2)
        stack.embedding("mds", random_state=0)
        stack.cluster_analysis("rvae", algorithm="kmeans", n_clusters=2, random_state=0)
        stack.estimate_number_of_clusters("rvae", max_clusters=3, random_state=0)
        return stack

    def _series(self) -> Any:
        image = hs.stack([self.image, self.image])
        stack = hs_rvae.SubImageStack.from_positions(image, [self.b, self.b], window_size=WINDOW)
        stack.image = image
        return stack

    @cached_property
    def compared(self) -> RVAEComparison:
        """A comparison of settings."""
        quick = {"n_init": 1, "epochs": 1, "q_max": 0.15}
        return hs_rvae.compare_rvae(self.stack, {"a": quick, "b": quick})

    def comparison(self) -> RVAEComparison:
        """A comparison whose stacks are copies."""
        return copy.copy(self.compared)

    def panels(self) -> dict[str, dict[str, Any]]:
        """Panels of a comparison."""
        manifold = np.ones((2, 2, 8, 8)), np.arange(2.0), np.arange(2.0)
        return {"one": {"sites": self.stack.deepcopy().sites, "manifold": manifold}}

    def column_table(self) -> pd.DataFrame:
        """Columns with the indices of their cells."""
        i, j = np.indices((5, 5)).reshape(2, -1)
        return pd.DataFrame({"x": 10.0 * i, "y": 10.0 * j, "i": i, "j": j})

    def frame(self) -> pd.DataFrame:
        """A table as a frame: positions and an angle."""
        return pd.DataFrame({"x": self.b[:, 0], "y": self.b[:, 1]})


def _nothing(*args: Any) -> dict[str, Any]:
    angles = np.linspace(0, 6, 9)
    return {"sub_image": np.eye(9), "model": np.eye(9), "posterior": (angles, angles)}


def _with_a_choice(figure: Any) -> Any:
    figure.select([1, 2, 4])
    return figure


def receivers(shelf: Shelf) -> dict[str, Callable[[], Any]]:
    """Objects whose methods are called, by their class."""
    return {
        "SubImageStack": shelf.stack.deepcopy,
        "LazySubImageStack": shelf.lazy.deepcopy,
        "link_frames": shelf.film.deepcopy,
        "save_movie": shelf.film.deepcopy,
        "RVAE": lambda: copy.deepcopy(shelf.model),
        "SiteTable": lambda: shelf.stack.deepcopy().sites,
        "RVAEComparison": lambda: shelf.comparison(),
        "plots.SiteNavigator": lambda: _with_a_choice(
            plots.SiteNavigator(shelf.stack.deepcopy().sites, "angle", take=len, resolve=np.asarray)
        ),
        "plots.Explorer": lambda: _with_a_choice(
            plots.Explorer(shelf.stack.deepcopy().sites, "latent_0", "latent_1", "angle", _nothing)
        ),
        "simulation.SimulatedTruth": lambda: copy.deepcopy(shelf.truth),
        "simulation.SpectrumTruth": lambda: copy.deepcopy(shelf.spectrum),
        "simulation.CrystalTruth": lambda: copy.deepcopy(shelf.crystal),
        "simulation.ProjectedStructure": lambda: simulation.ProjectedStructure(
            [(1.0, 0.0), (0.0, 1.0)], [(0.0, 0.0, "Sr")]
        ),
        "diagnostics.Diagnostics": lambda: copy.deepcopy(shelf.diagnostics),
        "columns.ColumnNetwork": lambda: columns.ColumnNetwork(device="cpu"),
        "columns.LatticeSeries": lambda: shelf.lattices(),
        "sites.columns.Column": lambda: hs_rvae.sites.columns.find("angle"),
    }


def usual(shelf: Shelf) -> dict[str, Callable[[], Any]]:
    """Valid values by the name of the parameter, wherever a door requires it."""
    stack = shelf.stack
    return {
        "image": shelf.image.deepcopy,
        "images": lambda: np.array(stack.data[:20]),
        "signal": shelf.image.deepcopy,
        "sites": lambda: stack.deepcopy().sites,
        "stack": stack.deepcopy,
        "stacks": lambda: [stack.deepcopy(), stack.deepcopy()],
        "lattice": lambda: copy.deepcopy(shelf.lattice),
        "sublattice": lambda: copy.deepcopy(shelf.lattice.sublattice_list[1]),
        "sublattices": lambda: copy.deepcopy(shelf.lattice.sublattice_list),
        "positions": lambda: shelf.b[:20].copy(),
        "positions_xy": lambda: shelf.b[:20].copy(),
        "a_positions": lambda: shelf.a[:20].copy(),
        "b_positions": lambda: shelf.b[:20].copy(),
        "path": lambda: "written",
        "filename": lambda: "written.zspy",
        "column": lambda: "angle",
        "columns": lambda: {"x": np.arange(3.0), "y": np.arange(3.0) + 1},
        "x": lambda: "latent_0",
        "y": lambda: "latent_1",
        "color": lambda: "angle",
        "angle": lambda: np.linspace(0, 6, 10),
        "true_angle": lambda: np.linspace(0, 6, 10),
        "amplitude": lambda: np.linspace(0, 1, 10),
        "classes": lambda: np.arange(5),
        "labels": lambda: [0, 1],
        "counts": lambda: np.array([3, 4]),
        "n_clusters": lambda: [2, 3, 4],
        "values": lambda: np.arange(3.0),
        "metric": lambda: "gap",
        "ax": _axes,
        "defects": lambda: shelf.defects.copy(),
        "table": lambda: shelf.diagnostics.table.copy(),
        "changes": lambda: np.ones((2, 9, 9)),
        "angles": lambda: np.array([0.0, 1.0]),
        "domains": lambda: stack.domains,
        "walls": lambda: stack.walls,
        "history": lambda: {"loss": [3.0, 2.0], "validation_loss": [3.5, 2.5]},
        "values_y": lambda: np.arange(2.0),
        "values_x": lambda: np.arange(2.0),
        "methods": lambda: ["latent", "pca"],
        "details": lambda: _nothing,
        "level": lambda: "WARNING",
        "n_variants": lambda: 4,
        "cell": lambda: [(1.0, 0.0), (0.0, 1.0)],
        "basis": lambda: [(0.0, 0.0, "Sr")],
        "other": stack.deepcopy,
        "site": lambda: 3,
        "name": lambda: "angle",
        "names": lambda: ["angle", "variant"],
        "unit": lambda: "nm",
        "text": lambda: "nm",
        "kind": lambda: "angle",
        "stem": lambda: "latent",
        "verb": lambda: "stack.rvae",
        "writer": lambda: "rvae",
        "writers": lambda: {"angle": "rvae"},
        "xy": lambda: shelf.b.copy(),
        "quantities": lambda: {"distance": shelf.b[:, 0].copy()},
        "latent": lambda: np.zeros((2, 2)),
        "settings": lambda: {"short": {"n_init": 1, "epochs": 1, "q_max": 0.15}},
    }


def _axes() -> Any:
    import matplotlib.pyplot as plt

    return plt.figure().add_subplot()


# Beside the usual values: what one door needs, also of its optional parameters, to be quick.
_FIT = {"n_init": lambda: 1, "epochs": lambda: 1, "q_max": lambda: 0.15, "random_state": lambda: 0}
_FILM = {"shape": lambda: (80, 80), "cell": lambda: 20.0, "random_state": lambda: 0}
_SHUFFLES = {"n_shuffles": lambda: 10, "max_sites": lambda: 110, "random_state": lambda: 0}


def own(shelf: Shelf) -> dict[str, dict[str, Callable[[], Any]]]:
    """Valid values of one door, by its name without the owner."""
    two = lambda: np.random.default_rng(0).random((2, 9, 9))  # noqa: E731
    rows = lambda: np.arange(float(len(shelf.stack.sites)))  # noqa: E731
    return {
        "rvae": _FIT,
        "RVAE": _FIT,
        "fit": {"images": lambda: np.array(shelf.stack.data[:30])},
        "apply_rvae": {"model": lambda: shelf.model},
        "compare_rvae": {"held_out": lambda: 0.2},
        "register_angle": {"reference": lambda: "displacement"},
        "decomposition": {"algorithm": lambda: "PCA", "output_dimension": lambda: 2},
        "embedding": {"algorithm": lambda: "mds", "random_state": lambda: 0},
        "cluster_analysis": {
            "cluster_source": lambda: "rvae", "n_clusters": lambda: 2,
            "algorithm": lambda: "kmeans", "random_state": lambda: 0,
        },
        "estimate_number_of_clusters": {
            "cluster_source": lambda: "rvae", "max_clusters": lambda: 3,
            "random_state": lambda: 0,
        },
        "report": {"n_shuffles": lambda: 10},
        "rvae_diagnostics": _SHUFFLES,
        "plot_rvae_diagnostics": _SHUFFLES,
        "diagnose": {
            "values": lambda: {"latent_0": shelf.b[:, 1].copy()}, "n_shuffles": lambda: 10,
            "random_state": lambda: 0,
        },
        "get_rvae_manifold": {"shape": lambda: (2, 2)},
        "plot_rvae_manifold": {"shape": lambda: (2, 2)},
        "manifold": {"shape": lambda: (2, 2)},
        "get_angle_posterior": {"n_angles": lambda: 12},
        "get_mean_cell": {"window_size": lambda: 16},
        "get_site_signals": {"radius": lambda: 2},
        "get_sublattice_means": {"radius": lambda: 2},
        "from_positions": {"window_size": lambda: WINDOW},
        "from_sublattice": {"window_size": lambda: WINDOW, "image": shelf.image.deepcopy},
        "from_atom_lattice": {
            "window_size": lambda: WINDOW, "image": shelf.image.deepcopy,
            "sublattice": lambda: "B",
        },
        "from_site_signals": {
            "patterns": lambda: hs.signals.Signal2D(np.abs(shelf.stack.data)),
            "columns": lambda: shelf.stack.deepcopy().sites, "radius": lambda: 6,
            "centre": lambda: (10, 10),
            "scan_rotation": lambda: 0.0,
        },
        "recut": {"window_size": lambda: WINDOW},
        "link_frames": {"max_distance": lambda: 5.0},
        "save_movie": {
            "path": lambda: "film.gif", "dpi": lambda: 30, "column": lambda: "x",
        },
        "load_image": {"path": lambda: str(shelf.files / "film.hspy")},
        "analyse": {
            "images": lambda: [str(shelf.files / "corner.hspy")], "cell": lambda: 18.0,
            "output": lambda: tempfile.mkdtemp(dir="."), "n_workers": lambda: 1,
            "window_size": lambda: WINDOW, "n_init": lambda: 1,
        },
        "load_rvae_model": {"path": lambda: str(shelf.files / "model.safetensors")},
        "load": {"path": lambda: str(shelf.files / "model.safetensors")},
        "select_sites": {"sites": lambda: [0, 2, 5]},
        "take": {"sites": lambda: [0, 2, 5]},
        "select": {"sites": lambda: [0, 2, 5]},
        "plots.SiteNavigator.select_sites": {},
        "plots.Explorer.select_sites": {},
        "crop": {"axis": lambda: 0, "start": lambda: 0, "end": lambda: 5},
        "crop_signal": {"top": lambda: 2, "right": lambda: -3},
        "rebin": {"scale": lambda: [1, 2, 2]},
        "split": {"axis": lambda: "site", "number_of_parts": lambda: 11},
        "plot": {"navigator": lambda: "sites"},
        "RVAEComparison.plot": {},
        "plot_polar_map": {"angle": lambda: "angle"},
        "plot_polar_scatter": {"angle": lambda: "angle"},
        "plots.plot_cluster_means": {"images": two},
        "plot_cluster_means": {"column": lambda: "cluster"},
        "get_cluster_means": {"column": lambda: "cluster"},
        "plot_distortion": {"images": two, "ax": lambda: None},
        "plot_manifold": {"images": lambda: np.ones((2, 2, 9, 9)), "ax": lambda: None},
        "plot_comparison": {"panels": lambda: shelf.panels()},
        "plot_sub_image": {"ax": lambda: None},
        "plots.plot_sub_image": {
            "image": lambda: np.random.default_rng(0).random((9, 9)),
            "extent": lambda: (0.0, 9.0, 9.0, 0.0), "unit": lambda: "px",
        },
        "line_deviation": {"columns": lambda: shelf.column_table()},
        "set": {"name": lambda: "mine", "values": rows},
        "__setitem__": {"name": lambda: "mine", "values": rows},
        "__getitem__": {"names": lambda: "angle"},
        "check_free": {"names": lambda: ["angle"]},
        "plot_sublattices": {"sublattices": lambda: {"A": shelf.a.copy(), "B": shelf.b.copy()}},
        "plots.save_movie": {
            "path": lambda: "film.gif", "sites": lambda: shelf.film.deepcopy().sites,
            "column": lambda: "x", "dpi": lambda: 30,
        },
        "SubImageStack.save": {"filename": lambda: "written.zspy", "overwrite": lambda: True},
        "LazySubImageStack.save": {"filename": lambda: "written.hspy", "overwrite": lambda: True},
        "__contains__": {"name": lambda: "angle"},
        "set_many": {"columns": lambda: {"mine": rows()}},
        "SiteTable": {"signal": lambda: shelf.stack.deepcopy().sites.signal},
        "score": {}, "transform": {},
        "inverse_transform": {"angle": lambda: np.zeros(2)},
        "RVAE.save": {"path": lambda: "model.safetensors"},
        "SiteTable.save": {"path": lambda: "sites.csv"},
        "SubImageStack": {"data": lambda: np.ones((3, 9, 9))},
        "LazySubImageStack": {"data": lambda: da.ones((3, 9, 9))},
        "SubImageStack.image": {},
        "simulate_perovskite": _FILM,
        "simulate_hexagonal": {**_FILM, "cell": lambda: 24.0},
        "simulate_series": {**_FILM, "n_frames": lambda: 2},
        "simulate_4dstem": {
            "shape": lambda: (60, 60), "detector": lambda: 16, "random_state": lambda: 0,
        },
        "simulate_spectrum_image": {
            "shape": lambda: (60, 60), "n_channels": lambda: 16, "random_state": lambda: 0,
        },
        "simulate_crystal": {"shape": lambda: (80, 80), "random_state": lambda: 0},
        "find_columns": {"image": lambda: shelf.image.isig[:90, :90].deepcopy()},
        "find_sublattices": {"cell": lambda: 18.0},
        "detect": {"picture": lambda: Picture.of(shelf.image.isig[:90, :90])},
        "ColumnNetwork": {},
        "columns.LatticeSeries.__getitem__": {"frame": lambda: 0},
        "tables": {"sublattice": lambda: "A"},
        "LatticeSeries": {"frames": lambda: shelf.lattices().frames},
        "train_network": {
            "examples": lambda: [(shelf.image.isig[:90, :90].data, np.ones((3, 2)), 12.0)],
            "steps": lambda: 1, "batch_size": lambda: 1,
        },
        "simulate_training_images": {"n_images": lambda: 1},
        "refine_sublattice": {"max_iterations": lambda: 5},
        "SimulatedTruth": {
            "a_sites": shelf.truth.a_sites.copy, "b_sites": shelf.truth.b_sites.copy,
            "cell": lambda: 18.0,
        },
        "CrystalTruth": {
            "columns": shelf.crystal.columns.copy, "missing": shelf.crystal.missing.copy,
            "cells": lambda: shelf.crystal.cells, "spacing": lambda: 16.0,
        },
        "SpectrumTruth": {
            "film": lambda: shelf.truth, "maps": lambda: shelf.spectrum.maps,
            "spectra": lambda: shelf.spectrum.spectra,
        },
        "Diagnostics": {"summary": lambda: ()},
        "Column": {
            "names": lambda: "mine", "meaning": lambda: "", "unit": lambda: "",
            "writer": lambda: "",
        },
        "register": {"names": lambda: "mine_of_the_fuzzer"},
        "written_by": {"names": lambda: ["angle"]},
        "degrees": {"values": lambda: np.arange(3.0), "unit": lambda: "rad"},
        "radians": {"values": lambda: np.arange(3.0), "unit": lambda: "deg"},
        "length_ratio": {"other": lambda: "pm"},
        "RVAEComparison": {},
        "on_site": {"follow": lambda: _nothing},
        "on_close": {"follow": lambda: _nothing},
        "of_detector": {"detector": lambda: 0},
    }  # fmt: skip


def valid_values(
    door: Door, usual: dict[str, Callable[[], Any]], own: dict[str, dict[str, Callable[[], Any]]]
) -> dict[str, Callable[[], Any]]:
    """
    Makers of the arguments of a valid call: those required, and those that make it quick.

    Parameters
    ----------
    door : Door
    usual, own : dict
        As the functions of these names return them.

    Returns
    -------
    dict of str to callable

    Raises
    ------
    KeyError
        If a parameter has no valid value.
    """
    values = dict(own.get(door.name, own.get(door.name.rpartition(".")[2], {})))
    for name, parameter in door.signature.parameters.items():
        starred = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        if name == "self" or name in values or starred or parameter.default is not parameter.empty:
            continue
        if name not in usual:
            raise KeyError(f"{door.name}: add a valid {name} to usual() or own().")
        values[name] = usual[name]
    return values


# Not called: they fetch data from the net.
SKIPPED = ("data.dysco3", "data.dysco3_positions", "data.pto_sro")
COMMANDS = SimpleNamespace(
    options=(
        "--signal", "--reader", "--scale", "--region", "--cell", "--sublattices", "--structure",
        "--zone-axis", "--method", "--positions", "--sublattice", "--window", "--latent",
        "--rotation",
        "--starts", "--clusters", "--model", "--output", "--seed", "--dark", "--bright",
        "--nonsense",
    ),
    words=(
        "nan", "inf", "-1", "0", "1e400", "", "x", "a\0b", "auto", "99999999999999999999", "1.5",
        "1nm", "0nm", "-1nm", "nannm", "1furlong", "nowhere.cif", "\udce4", "--", "../x", "1,2",
        "1,2,3,4", "0,0,0,0", "[1]", "10**9",
    ),
)  # fmt: skip
