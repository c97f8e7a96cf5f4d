# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the address of the repository into every file that names it.

python docs/dev/recipe/set_address.py https://github.com/somebody/hs_rvae
"""

import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[3]
PLACEHOLDER = "https://example.org/hs_rvae"
#: Files that name the repository. Nothing else does.
FILES = [
    "pyproject.toml",
    "README.md",
    "CITATION.cff",
    ".zenodo.json",
    ".github/ISSUE_TEMPLATE/config.yml",
    "docs/dev/recipe/meta.yaml",
    "docs/dev/recipe/hyperspy_extension.yaml",
    "docs/user_guide/support.rst",
]


def present() -> str:
    """Address that the files have now."""
    for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("Source = "):
            return line.split('"')[1]
    raise ValueError("pyproject.toml: [project.urls] has no Source.")


def replace(address: str) -> list[str]:
    """Write `address` in place of the present one; return the files changed."""
    address = address.rstrip("/")
    parts = urlsplit(address)
    if parts.scheme != "https" or not parts.netloc or len(parts.path) < 2:
        raise ValueError(f"address={address!r}: give one like https://github.com/somebody/hs_rvae.")
    before, changed = present(), []
    for name in FILES:
        text = (ROOT / name).read_text(encoding="utf-8")
        if before not in text:
            raise ValueError(f"{name} does not name {before}: mend it by hand.")
        (ROOT / name).write_text(text.replace(before, address), encoding="utf-8")
        changed.append(name)
    return changed


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(*replace(sys.argv[1]), sep="\n")
