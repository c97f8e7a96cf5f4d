# SPDX-FileCopyrightText: the hs_rvae developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the address of the repository into every file that names it.

python docs/dev/recipe/set_address.py https://github.com/somebody/hs_rvae

The page of the package on PyPI shows README alone, so its links become addresses.
"""

import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[3]
PLACEHOLDER = "https://example.org/OWNER/hs_rvae"
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


def owner_of(address: str) -> str:
    """Owner of a repository: the first part of the path."""
    parts = urlsplit(address)
    if parts.scheme != "https" or not parts.netloc or not re.fullmatch("/[^/]+/[^/]+", parts.path):
        raise ValueError(f"address={address!r}: give one like https://github.com/somebody/hs_rvae.")
    return parts.path.split("/")[1]


def replace(address: str) -> list[str]:
    """Write `address` in place of the present one; return the files changed."""
    address, before = address.rstrip("/"), present()
    owner, owner_before = owner_of(address), owner_of(before)
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in FILES}
    for name, text in texts.items():
        if before not in text:
            raise ValueError(f"{name} does not name {before}: mend it by hand.")
        text = text.replace(before, address).replace(f"    - {owner_before}\n", f"    - {owner}\n")
        if name == "README.md":
            text = re.sub(r"(!\[[^]]*\]\()(?!https:)", rf"\1{address}/raw/main/", text)
            text = re.sub(r"\]\((?!https:|#)", f"]({address}/blob/main/", text)
        (ROOT / name).write_text(text, encoding="utf-8")
    return FILES


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(*replace(sys.argv[1]), sep="\n")
