# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuzzing: public callables with hostile arguments, each in its own right.

python tests/fuzz/fuzz.py results.jsonl --calls 1500 --seed 1 [--only TEXT] [--workers N]
python tests/fuzz/fuzz.py results.jsonl --table

A call that ends well is "passed" (a result) or "refused" (ValueError, TypeError or a documented
exception, whose message names the argument). All other endings are faults:

kind      another exception, not documented
unnamed   the message names no argument that was changed
accepted  NaN, infinity, a flag or a text in the place of a number gave a result
changed   a table, data or metadata were changed though the call failed
state     a global state was changed
slow      it took more than ten seconds of CPU
crash     the process ended, or did not answer for five minutes
"""

from __future__ import annotations

import argparse
import collections
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

GOOD = ("passed", "refused")


def run(
    path: Path, calls: int, seed: int, only: str = "", workers: int = 1
) -> list[dict[str, Any]]:
    """Make calls in processes of their own, and return what became of each.

    Parameters
    ----------
    path : pathlib.Path
        File for the results, a line for each call.
    calls, seed : int
    only : str
        Only doors whose names hold this.
    workers : int
        Number of processes at a time.

    Returns
    -------
    list of dict
    """
    files = [path.with_suffix(f".{i}.jsonl") for i in range(workers)]
    program = str(Path(__file__).with_name("worker.py"))
    running = []
    for i, file in enumerate(files):
        file.write_text("", encoding="utf-8")
        numbers = map(str, (i, calls, workers, seed))
        running.append(subprocess.Popen([sys.executable, program, str(file), *numbers, only]))
    if any([process.wait() for process in running]):
        raise RuntimeError("A process that makes the calls has failed.")
    lines = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    results = sorted((line for line in lines if "ending" in line), key=lambda r: r["number"])
    path.write_text("".join(json.dumps(result) + "\n" for result in results), encoding="utf-8")
    for file in files:
        file.unlink()
    return results


def note_crash(path: Path, status: int) -> int:
    """
    Note that a process ended: a crash of the last call, also if it came shortly after it.

    Parameters
    ----------
    path : pathlib.Path
        File of the lines.
    status : int
        Of the process.

    Returns
    -------
    int
        Number of the call.

    Raises
    ------
    RuntimeError
        If no call has begun.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines:
        raise RuntimeError(f"The process ended before the first call: status {status}.")
    call = json.loads(lines[-1])
    fault = {"ending": "crash", "message": f"status {status}", "seconds": 0.0}
    if "ending" in call:
        fault["message"] += f" after the call was {call['ending']}: {call['message']}"
        lines.pop()
    lines.append(json.dumps(call | fault))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return int(call["number"])


def table(results: list[dict[str, Any]], details: int = 0) -> str:
    """Numbers of the endings, and the first faults of each kind.

    Parameters
    ----------
    results : list of dict
    details : int
        Number of faults of each kind that are printed.

    Returns
    -------
    str
    """
    counts = collections.Counter(result["ending"] for result in results)
    text = [f"{len(results)} calls: " + ", ".join(f"{n} {e}" for e, n in counts.most_common())]
    for ending in sorted(set(counts) - set(GOOD)):
        faults = [result for result in results if result["ending"] == ending]
        for fault in faults[:details]:
            text.append(
                f"{ending} #{fault['number']} {fault['door']}({fault['changed']}): "
                f"{fault['message'][:300]}"
            )
    return "\n".join(text)


def main() -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="file of the results")
    parser.add_argument("--calls", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only doors whose names hold this")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print the results of a file")
    parser.add_argument("--details", type=int, default=1000)
    options = parser.parse_args()
    if options.table:
        lines = options.path.read_text(encoding="utf-8").splitlines()
        results = [json.loads(line) for line in lines]
    else:
        results = run(options.path, options.calls, options.seed, options.only, options.workers)
    print(table(results, options.details))
    return int(any(result["ending"] not in GOOD for result in results))


if __name__ == "__main__":
    sys.exit(main())
