"""The drawing of the house in CONTRIBUTING.md, made from the layers in pyproject.toml and from docstrings.

python -m tests.house.drawing
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).parents[2]
WIDTH, INDENT = 118, 18


def layers() -> list[list[str]]:
    """The modules and rooms of the library, the highest first; those that stand side by side in one list."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    (contract,) = (each for each in tool["importlinter"]["contracts"] if each["type"] == "layers")
    return [layer.split(" | ") for layer in contract["layers"]]


def drawing() -> str:
    """The tree, each entry above what it may import."""
    shared = sorted(each.parent for each in (ROOT / "pages" / "ui").glob("*/__init__.py"))
    pages = [ROOT / "app.py", ROOT / "pages", ROOT / "pages" / "ui", *shared]
    library = [ROOT / "registry", *(_place(name) for layer in layers() for name in layer)]
    return "\n".join(line for place in (*pages, *library) for line in _entry(place)) + "\n"


def summary(path: Path) -> str:
    """The first sentence of a module's docstring, or of a package's, on one line."""
    source = (path / "__init__.py" if path.is_dir() else path).read_text()
    return " ".join((ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0].split())


def _place(name: str) -> Path:
    folder = ROOT / "registry" / name
    return folder if folder.is_dir() else folder.with_suffix(".py")


def _entry(path: Path) -> Iterator[str]:
    name = str(path.relative_to(ROOT)).replace("registry/", "  ") + ("/" if path.is_dir() else "")
    first, *more = wrap(summary(path), WIDTH - INDENT)
    yield f"{name:{INDENT}}{first}"
    yield from (" " * INDENT + line for line in more)
    if path.is_dir() and path.name != "registry":
        stems = (each.stem for each in path.glob("*.py") if each.stem != "__init__")
        files = sorted(stems, key=lambda stem: (stem != path.name, stem))
        folders = [f"{each.parent.name}/" for each in sorted(path.glob("*/__init__.py")) if each.parent.name != "ui"]
        for line in wrap("  ".join([*files, *folders]), WIDTH - INDENT):
            yield " " * INDENT + line


if __name__ == "__main__":
    sys.stdout.write(drawing())
