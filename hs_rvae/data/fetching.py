# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of other projects: found on this machine, or fetched from their publishers."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import pooch

_logger = logging.getLogger(__name__)

SERVER = "https://raw.githubusercontent.com"
TIMEOUT = (5, 20)  # seconds: to connect, and between two pieces of an answer


@dataclass(frozen=True)
class PublishedFile:
    """A file of a public GitHub repository, at one commit."""

    name: str
    function: str  # of hs_rvae.data, for messages
    licence: str
    repository: str
    commit: str
    path: str
    sha256: str

    @property
    def url(self) -> str:
        """Address of the file at its commit."""
        return f"{SERVER}/{self.repository}/{self.commit}/{self.path}"

    def get(self, allow_download: bool) -> Path:
        """Path of a verified copy, fetched if there is none and `allow_download` is true.

        The folder HS_RVAE_DATA and the folders in it come first, then the cache.
        """
        path = self._own_copy() or self._cached_copy()
        if path is None and allow_download:
            path = self._download()
        if path is None:
            raise FileNotFoundError(
                f"{self.name} ({self.licence}) does not ship with hs_rvae, and {self._missing()}. "
                f"Call hs_rvae.data.{self.function}(allow_download=True) to fetch it from "
                f"{self.url}, or {self._by_hand()}"
            )
        return path

    def _own_copy(self) -> Path | None:
        """Copy in the folder that the user names."""
        if not os.environ.get("HS_RVAE_DATA"):
            return None
        folder = Path(os.environ["HS_RVAE_DATA"]).expanduser()
        found = [
            path
            for name in self._names()
            for path in (folder / name, *sorted(folder.glob(f"*/{name}")))
            if os.path.isfile(path)  # unlike Path.is_file, False where a folder is locked
        ]
        for path in found:
            if self._is_right(path):
                return path
        if found:
            raise ValueError(
                f"HS_RVAE_DATA={folder}: {found[0]} is not the published file (its SHA-256 is not "
                f"{self.sha256}). Remove it, or replace it by {self.url}."
            )
        return None

    def _cached_copy(self) -> Path | None:
        """Copy of an earlier download, or put there by hand."""
        paths = [cache_folder() / name for name in self._names()]
        return next((p for p in paths if os.path.isfile(p) and self._is_right(p)), None)

    def _download(self) -> Path:
        folder = cache_folder()
        _logger.info("Fetching %s (%s) from %s", self.name, self.licence, self.url)
        try:
            fetched = pooch.retrieve(
                self.url,
                known_hash=f"sha256:{self.sha256}",
                fname=self.name,
                path=folder,
                downloader=pooch.HTTPDownloader(timeout=TIMEOUT),
            )
        except OSError as error:  # also what requests raises
            answer = getattr(error, "response", None)
            reason = error.strerror or type(error).__name__
            reason = reason if answer is None else f"status {answer.status_code}"
            raise OSError(
                f"{self.url} cannot be fetched into {folder} ({reason}). Check the connection and "
                f"the folder, or {self._by_hand()}"
            ) from error
        except ValueError as error:
            raise ValueError(
                f"{self.url}: the server sent another file than {self.name} (its SHA-256 is not "
                f"{self.sha256}). It was not kept. Try again, or {self._by_hand()}"
            ) from error
        return Path(fetched)

    def _names(self) -> dict[str, None]:
        """Possible names of a copy: ours and the publisher's."""
        return dict.fromkeys((self.name, self.path.rpartition("/")[2]))

    def _is_right(self, path: Path) -> bool:
        return pooch.file_hash(str(path), alg="sha256") == self.sha256

    def _missing(self) -> str:
        for name in self._names():
            path = cache_folder() / name
            if os.path.isfile(path):
                return f"{path} is not the published file"
        folder = os.environ.get("HS_RVAE_DATA")
        return "there is no copy on this machine" + (
            f" (HS_RVAE_DATA={folder} does not hold it)" if folder else ""
        )

    def _by_hand(self) -> str:
        return (
            f"save that file as {cache_folder() / self.name}, or in any folder and set the "
            "environment variable HS_RVAE_DATA to it."
        )


def cache_folder() -> Path:
    """Folder of the user's for fetched files."""
    return Path(pooch.os_cache("hs_rvae")) / "data"
