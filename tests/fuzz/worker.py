# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the calls of the fuzzer: python worker.py FILE START STOP STEP SEED ONLY."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import io
import json
import math
import numbers
import os
import random
import re
import reprlib
import resource
import signal
import socket
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import dask
import dask.threaded
import hyperspy.api as hs
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
import doors as doors_of_package
from fuzz import note_crash
from hostile import hostile

import hs_rvae
from hs_rvae import cli
from hs_rvae.checks import shown

LIMIT = 10.0  # seconds of CPU for one call
PATIENCE = 300  # seconds without an answer
_MEMORY = 12 * 2**30


class TooSlow(BaseException):
    """A call took too long."""


def _stop(*_: Any) -> None:
    raise TooSlow


def digest(thing: Any, depth: int = 0) -> Any:
    """What is compared before and after a call: contents of arrays, tables, signals."""
    if depth > 6:
        return type(thing).__name__
    if hasattr(thing, "axes_manager"):
        parts = (digest(thing.data), repr(thing.axes_manager), type(thing).__name__)
        inner = digest(thing.metadata.as_dictionary(), depth + 1)
        model = id(getattr(thing, "_rvae_model", None)), id(getattr(thing, "_image", None))
        return *parts, inner, model, digest(thing.learning_results.__dict__, depth + 1)
    if isinstance(thing, hs_rvae.SiteTable):
        return digest(thing.signal, depth)
    if isinstance(thing, np.ndarray):
        text = str(thing.tolist()).encode() if thing.dtype == object else thing.tobytes()
        return thing.shape, str(thing.dtype), hashlib.sha1(text).hexdigest()
    if isinstance(thing, pd.DataFrame | pd.Series):
        return hashlib.sha1(thing.to_csv().encode("utf-8", "surrogatepass")).hexdigest()
    if hasattr(thing, "dask"):
        return "dask", thing.shape, thing.name
    if isinstance(thing, dict):
        return {str(key): digest(value, depth + 1) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [digest(value, depth + 1) for value in thing]
    if isinstance(thing, str | bytes | numbers.Number | bool | None):
        return repr(thing)
    return type(thing).__name__


def global_state() -> dict[str, Any]:
    """States that no call may change."""
    import torch

    return {
        "numpy.random": digest(list(np.random.get_state())),
        "random": hash(random.getstate()),
        "torch.random": hashlib.sha1(torch.get_rng_state().numpy().tobytes()).hexdigest(),
        "threads of torch": torch.get_num_threads(),
        "default type of torch": str(torch.get_default_dtype()),
        "deterministic torch": torch.are_deterministic_algorithms_enabled(),
        "gradients": torch.is_grad_enabled(),
        "rcParams": {key: str(value) for key, value in dict(matplotlib.rcParams).items()},
        "backend": matplotlib.get_backend(),
        "warning filters": repr(warnings.filters),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "numpy errors": np.geterr(),
        "numpy printing": repr(np.get_printoptions()),
        "dask": repr(dask.config.config),
        "hyperspy": repr(hs.preferences.General),
        "umask": _umask(),
    }


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


class Caller:
    """Makes calls of doors with valid values, and with one or two hostile ones."""

    def __init__(self, only: str = "") -> None:
        self.shelf = doors_of_package.Shelf()
        self.usual = doors_of_package.usual(self.shelf)
        self.own = doors_of_package.own(self.shelf)
        self.receivers = doors_of_package.receivers(self.shelf)
        self.doors = {
            name: door
            for name, door in doors_of_package.doors().items()
            if name not in doors_of_package.SKIPPED and only in name
        }
        self.pairs = [
            (name, parameter) for name, door in self.doors.items() for parameter in self.names(door)
        ]

    def names(self, door: Any) -> list[str]:
        """Parameters of a door."""
        if door.name == "cli.main":
            return ["arguments"] * 30
        named = [
            parameter.name
            for parameter in door.signature.parameters.values()
            if parameter.name != "self"
        ]
        return [name for name in named if name not in ("args", "kwds")] or ["(nothing)"]

    def valid(self, door: Any) -> dict[str, Any]:
        """Arguments of a valid call of a door."""
        values = doors_of_package.valid_values(door, self.usual, self.own)
        return {name: make() for name, make in values.items()}

    def receiver(self, door: Any) -> Any:
        """The object whose method is called; None for functions and classes."""
        static = not door.owner or inspect.ismethod(door.function)
        return None if static else self.receivers.get(door.attribute, self.receivers[door.owner])()

    @staticmethod
    def call(door: Any, receiver: Any, values: dict[str, Any]) -> Any:
        """Call a door; a parameter with a star is given by its place."""
        function = door.function if receiver is None else getattr(receiver, door.attribute)
        parameters = inspect.signature(function).parameters
        kinds = {name: parameter.kind for name, parameter in parameters.items()}
        starred = [name for name in values if kinds.get(name) == inspect.Parameter.VAR_POSITIONAL]
        placed = [
            values[name] for name in values if kinds.get(name) == inspect.Parameter.POSITIONAL_ONLY
        ]
        named = {
            name: value
            for name, value in values.items()
            if name not in starred and kinds.get(name) != inspect.Parameter.POSITIONAL_ONLY
        }
        result = function(*placed, *(values[name] for name in starred), **named)
        if door.name == "RVAE":  # checked where it is used, as in scikit-learn
            result.fit(np.random.default_rng(0).random((20, 12, 12)))
        return result

    def change(self, door: Any, parameter: str, generator: Any) -> tuple[dict[str, Any], dict]:
        """A call with one or two hostile values, and what they are."""
        values = self.valid(door)
        changed: dict[str, tuple[str, Any]] = {}
        names = [name for name in self.names(door) if name != "(nothing)"]
        chosen = [parameter] if parameter in names else []
        if len(names) > 1 and generator.random() < 0.15:
            chosen.append(names[generator.integers(len(names))])
        kinds = door.signature.parameters
        for name in dict.fromkeys(chosen):
            kind = kinds[name].kind
            if kind == inspect.Parameter.VAR_KEYWORD:
                name = ("nonsense", "shap", "cel", "random_stat")[generator.integers(4)]
            default = kinds[name].default if name in kinds else None
            changed[name] = hostile(values.get(name, default), generator)
        if not changed and generator.random() < 0.5:
            changed["nonsense"] = ("1", 1)
        values |= {name: value for name, (_, value) in changed.items()}
        return values, changed


def documented(door: Any, error: BaseException) -> bool:
    """Whether the exception is of a kind that every caller expects, or that the door names."""
    if isinstance(error, ValueError | TypeError) and not isinstance(error, UnicodeError):
        return True
    raises = (inspect.getdoc(door.function) or "").partition("Raises\n")[2]
    kinds = [kind.__name__ for kind in type(error).__mro__]
    return any(re.search(rf"\b{kind}\b", raises) for kind in kinds[:-2])


def named(message: str, door: Any, changed: dict[str, Any]) -> bool:
    """Whether a message names an argument that was changed, or another with its value."""
    own = [name for name in changed if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message)]
    if door.attribute.startswith("__"):  # table["angle"] has a value without a name
        own += [
            name
            for name, (_, value) in changed.items()
            if reprlib.repr(value)[:10] in message or shown(value) in message
        ]
    others = [name for name in door.signature.parameters if f"{name}=" in message]
    return bool(own or others) or not changed


_MAY_BE_INFINITE = ("dose", "electrons")


def suspicious(door: Any, changed: dict[str, tuple[str, Any]]) -> str:
    """A hostile value that no number may be, though the door took it as one; "" for none."""
    if door.name in ("SubImageStack", "LazySubImageStack"):  # HyperSpy's own classes take anything
        return ""
    for name, (what, value) in changed.items():
        parameter = door.signature.parameters.get(name)
        if parameter is None:
            return f"{name} is no parameter"
        kind = str(parameter.annotation)
        number = re.search(r"\b(int|float)\b", kind) and not re.search(
            r"str|Sequence|tuple|Any|Mapping|Collection|Iterable|Generator|Path", kind
        )
        if number and isinstance(value, numbers.Real):
            infinite = abs(value) == math.inf and name not in _MAY_BE_INFINITE
            if infinite or value != value:
                return f"{name} takes {what}"
        no_number = bool | np.bool_ | str | bytes | np.timedelta64 | np.datetime64
        if number and "bool" not in kind and isinstance(value, no_number):
            return f"{name} takes {what}"
        if number and isinstance(value, list | dict | set | type):
            return f"{name} takes {what}"
        flag = kind.replace(" | None", "") == "bool"
        if flag and not isinstance(value, bool | np.bool_ | None):
            return f"{name} takes {what}"
    return ""


def judge(caller: Caller, door: Any, values: dict, changed: dict) -> tuple[str, str]:
    """Make one call: its ending and a message."""
    receiver = caller.receiver(door)
    watched = [receiver, *(values[name] for name in values if name not in changed)]
    before, state = [digest(thing) for thing in watched], global_state()
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        caller.call(door, receiver, values)
        signal.setitimer(signal.ITIMER_PROF, 0)
        taken = suspicious(door, changed)
        ending, message = ("accepted", taken) if taken else ("passed", "")
    except TooSlow:
        return "slow", ""
    except SystemExit as error:
        refused = door.name == "cli.main" and error.code in (0, 2)
        ending, message = "refused" if refused else "kind", f"SystemExit {error.code}"
    except Exception as error:
        signal.setitimer(signal.ITIMER_PROF, 0)
        ending, message = _ending(door, error, changed)
        if [digest(thing) for thing in watched] != before:
            return "changed", message
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if len(watched) > 1 and [digest(thing) for thing in watched[1:]] != before[1:]:
        if door.attribute not in _WRITERS_OF_OTHERS:
            return "changed", "another argument was changed"
    after = global_state()
    if after != state:
        keys = [key for key in state if state[key] != after[key]]
        return "state", ", ".join(keys)
    return ending, message


_WRITERS_OF_OTHERS = ("refine_sublattice",)


def _ending(door: Any, error: Exception, changed: dict) -> tuple[str, str]:
    message = f"{type(error).__name__}: {error}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f" [{Path(place.filename).name}:{place.lineno}]"
    if not documented(door, error):
        return "kind", message + where
    return ("refused" if named(str(error), door, changed) else "unnamed"), message + where


def judge_command(door: Any, generator: Any) -> tuple[str, str, str]:
    """A command with bad options: it ends with status 2 and a message that says which."""
    commands = doors_of_package.COMMANDS
    words = [["demo", "analyse", "nonsense"][generator.integers(3)]]
    if words == ["analyse"]:
        words.append(["nowhere.hspy", "", "x\0y", "."][generator.integers(4)])
    for _ in range(int(generator.integers(1, 4))):
        words.append(commands.options[generator.integers(len(commands.options))])
        words.append(commands.words[generator.integers(len(commands.words))])
    words += ["--nonsense", "1"] if words[0] == "demo" else []
    state, said = global_state(), io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            status = cli.main(words)
    except SystemExit as error:
        status = error.code
    except Exception as error:
        return "kind", f"{type(error).__name__}: {error}", repr(words)
    after = global_state()
    if after != state:
        return "state", ", ".join(key for key in state if state[key] != after[key]), repr(words)
    if status not in (0, 2) or not said.getvalue().strip():
        return "kind", f"status {status}: {said.getvalue()}", repr(words)
    return "refused", said.getvalue()[-200:], repr(words)


def _no_network(*_: Any, **__: Any) -> None:
    raise OSError("the fuzzer has no network")


def _prepare() -> None:
    socket.socket.connect = _no_network  # type: ignore[method-assign, assignment]
    matplotlib.use("agg")
    hs.preferences.General.show_progressbar = False
    signal.signal(signal.SIGPROF, _stop)
    folder = Path(tempfile.mkdtemp()) / "a" / "b" / "c"  # "../x" stays below
    folder.mkdir(parents=True)
    os.chdir(folder)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**30, 2**30))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def warm_up(caller: Caller) -> list[str]:
    """Make every valid call once: libraries are loaded, functions compiled. Return faults."""
    faults = []
    for door in caller.doors.values():
        if door.name == "cli.main":
            continue
        try:
            receiver = caller.receiver(door)
            caller.call(door, receiver, caller.valid(door))
        except Exception:
            faults.append(f"{door.name}: {traceback.format_exc(limit=-3)}")
        plt.close("all")
    return faults


def make_calls(caller: Caller, path: Path, numbers: range, seed: int) -> None:
    """Make the calls of these numbers, and write a line before and after each."""
    with open(path, "a", encoding="utf-8") as file:
        for number in numbers:
            generator = np.random.default_rng([seed, number])
            name, parameter = caller.pairs[generator.integers(len(caller.pairs))]
            door, began = caller.doors[name], time.process_time()
            line = {"number": number, "door": name, "changed": parameter}
            if name != "cli.main":
                values, changed = caller.change(door, parameter, generator)
                line["changed"] = ", ".join(f"{key}={what}" for key, (what, _) in changed.items())
            file.write(json.dumps(line) + "\n")
            file.flush()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if name == "cli.main":
                    ending, message, line["changed"] = judge_command(door, generator)
                else:
                    ending, message = judge(caller, door, values, changed)
            plt.close("all")
            line |= {"ending": ending, "message": message.encode("ascii", "replace").decode()[:600]}
            file.write(json.dumps(line | {"seconds": round(time.process_time() - began, 2)}) + "\n")
            file.flush()


def watch(child: int, path: Path) -> int:
    """Wait for a process; end it if it writes nothing for long. Return its status."""
    size, since = 0, time.monotonic()
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        time.sleep(0.1)
        if path.stat().st_size != size:
            size, since = path.stat().st_size, time.monotonic()
        if time.monotonic() - since > PATIENCE:
            os.kill(child, signal.SIGKILL)
    return ended[1]


def main() -> None:
    """Make the calls in a process that goes on behind a call that ended it."""
    path, start, stop, step, seed = Path(sys.argv[1]), *map(int, sys.argv[2:6])
    _prepare()
    caller = Caller(sys.argv[6])
    if faults := warm_up(caller):
        raise RuntimeError("A call is not valid, and tests nothing:\n" + "\n".join(faults))
    numbers = range(start, stop, step)
    while numbers:
        child = os.fork()
        if not child:
            dask.threaded.default_pool = None  # its threads stayed behind
            dask.threaded.pools.clear()
            make_calls(caller, path, numbers, seed)
            os._exit(0)
        if not (status := watch(child, path)):
            return
        if os.WIFEXITED(status):
            raise RuntimeError("The program itself has failed: a valid value cannot be made.")
        numbers = range(note_crash(path, status) + step, stop, step)


if __name__ == "__main__":
    main()
