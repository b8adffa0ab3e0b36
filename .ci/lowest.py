"""The oldest versions that pyproject.toml admits, as constraints for pip.

python .ci/lowest.py > constraints.txt
"""

from __future__ import annotations

import re
from pathlib import Path

import tomllib

PROJECT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Print one constraint for each requirement with a lower bound."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    bounds = {found.groups() for one in wanted if (found := re.match(r"([\w-]+)>=([\d.]+)", one))}
    print(*(f"{name}=={version}" for name, version in sorted(bounds)), sep="\n")


if __name__ == "__main__":
    main()
