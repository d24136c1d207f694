"""The arrows of the design: who may import whom, and what the library may not load."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pages.ui.sitemap import PAGES as PAGES_OF_THE_MENU
from tests.house import drawing

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "pages").rglob("*.py")), ROOT / "app.py"]


def broken(folder: Path) -> list[str]:
    """The contracts in a project's `pyproject.toml` that its imports break."""
    command = [
        sys.executable,
        "-c",
        "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))",
    ]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    found = re.findall(r"^(.+) BROKEN", run.stdout, re.MULTILINE)
    assert bool(found) == bool(run.returncode), run.stdout
    return found


def test_the_arrows_between_modules_go_one_way() -> None:
    """The contracts in `pyproject.toml` hold."""
    assert [] == broken(ROOT)


@pytest.mark.parametrize(
    ("contract", "module", "line"),
    [
        (
            "The library is in layers, and each module has its place",
            "registry/audit/audit.py",
            "from registry import models",
        ),
        (
            "The library is in layers, and each module has its place",
            "registry/audit/audit.py",
            "def f():\n    import registry.models",
        ),
        ("The library is in layers, and each module has its place", "registry/new.py", ""),
        ("No two neighbours import each other in a circle", "pages/ui/words.py", "import pages.ui.tables"),
        ("No two neighbours import each other in a circle", "pages/ui/session.py", "import pages.ui.form.draft"),
        ("Pages import nothing else of the library", "pages/models.py", "from registry.store import Store"),
        ("Pages import nothing else of the library", "pages/ui/new.py", "from registry import new"),
        ("Pages know no database, no provider and no cipher", "pages/models.py", "from sqlalchemy.orm import Session"),
        (
            "The library knows no pages and nothing that they are made with",
            "registry/entrypoints/demo.py",
            "import streamlit",
        ),
        ("Models never call the proxy", "registry/models/models.py", "from registry.proxy import admin"),
        ("Requests go out of probe and proxy only", "registry/resolve/answer.py", "def f():\n    import openai"),
        ("One module calls LiteLLM", "registry/probe/probe.py", "def f():\n    import litellm"),
    ],
)
def test_an_arrow_against_the_order_would_be_seen(tmp_path: Path, contract: str, module: str, line: str) -> None:
    """The control: each kind of contract is broken by a planted import, also inside a function or of a new module."""
    for name in ("registry", "pages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    if "new" in line:
        (tmp_path / "registry" / "new.py").touch()
    with (tmp_path / module).open("a") as file:
        file.write(f"\n{line}\n")
    assert contract in broken(tmp_path)


def test_every_folder_of_code_is_a_package() -> None:
    """One without ``__init__.py`` is in no contract."""
    folders = {path.parent for name in ("registry", "pages") for path in (ROOT / name).rglob("*.py")}
    bare = {folder.name for folder in folders if not (folder / "__init__.py").exists()}
    assert set() == bare


def test_the_drawing_is_that_of_the_contract() -> None:
    """CONTRIBUTING.md shows the layers as `pyproject.toml` has them; `python -m tests.house.drawing` prints it."""
    assert f"```\n{drawing.drawing()}```\n" in (ROOT / "CONTRIBUTING.md").read_text()


@pytest.mark.parametrize("room", sorted(path.parent.name for path in (ROOT / "registry").glob("*/__init__.py")))
def test_a_room_says_what_it_may_import(room: str) -> None:
    """All that the contract has below it."""
    layers = drawing.layers()
    place = next(number for number, layer in enumerate(layers) if room in layer)
    below = {f"registry.{name}" for layer in layers[place + 1 :] for name in layer}
    said = (ROOT / "registry" / room / "__init__.py").read_text()
    assert below == set(re.findall(r"`(registry\.\w+)`", said)) or "May import everything else" in said


def strays(source: str) -> list[str]:
    """Texts that stand alone in a script, but for its docstring."""
    alone = [node.value for node in ast.parse(source).body[1:] if isinstance(node, ast.Expr)]
    return [str(value.value) for value in alone if isinstance(value, ast.Constant)]


@pytest.mark.parametrize("path", sorted((ROOT / "pages").glob("*.py")), ids=lambda path: path.name)
def test_a_pages_script_shows_nothing_unasked(path: Path) -> None:
    """Streamlit shows a text that stands alone. The control: one is found."""
    assert [] == strays(path.read_text())
    assert ["about x"] == strays('"""A page."""\nx = 1\n"""about x"""\n')


def detours(source: str) -> list[str]:
    """What leads from page to page, or binds a widget to the address, past the module that all ways go through."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [node.attr for node in nodes if isinstance(node, ast.Attribute)]
    names += [alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names]
    bound = [node.arg for node in nodes if isinstance(node, ast.keyword) and node.arg == "bind"]
    return [name for name in names if name in ("switch_page", "page_link")] + bound


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_all_ways_between_pages_go_through_routes(path: Path) -> None:
    """Streamlit's own way fails where a filter is in the address. The control: each detour is found."""
    assert detours(path.read_text()) == (["switch_page", "switch_page", "page_link"] if path.stem == "routes" else [])
    assert ["switch_page"] == detours("st.switch_page('models.py')")
    assert ["page_link"] == detours("from streamlit import page_link")
    assert ["bind"] == detours("st.text_input('Search', key='search', bind='query-params')")


KEYS_OF = {
    "models": ("models.py", "ui/listing/*.py"),
    "audit": ("audit.py", "ui/entries.py"),
    "proxy": ("proxy.py", "ui/adopting.py", "ui/syncing.py"),
    "edit": ("edit.py", "ui/result.py", "ui/form/*.py"),
}


def keys(source: str) -> set[str]:
    """The keys of widgets in a source; of one that is put together, how it begins."""
    nodes = list(ast.walk(ast.parse(source)))
    values = [node.value for node in nodes if isinstance(node, ast.keyword) and node.arg == "key"]
    values += [node.value for node in nodes if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "key"]
    texts = [value.values[0] if isinstance(value, ast.JoinedStr) else value for value in values]
    return {text.value for text in texts if isinstance(text, ast.Constant) and isinstance(text.value, str)}


def strangers(page: str, found: set[str]) -> set[str]:
    """Keys that are not clearly this page's own: all but the form's begin with the name of their page."""
    others = tuple(f"{name}_" for name in KEYS_OF if name != page)
    return {key for key in found if key.startswith(others) or not (page == "edit" or key.startswith(f"{page}_"))}


def test_every_page_is_looked_at() -> None:
    """And what a page keeps in the session is named as its own."""
    assert set(KEYS_OF) == {page.path for page in PAGES_OF_THE_MENU}
    kept = {key: page.path for page in PAGES_OF_THE_MENU for key in page.keeps}
    for key, page in kept.items():
        code = "".join(path.read_text() for pattern in KEYS_OF[page] for path in (ROOT / "pages").glob(pattern))
        assert f'= "{key}"' in code


@pytest.mark.parametrize("page", KEYS_OF)
def test_no_two_pages_use_one_key(page: str) -> None:
    """Streamlit keeps a widget's value under its key: two pages that use one share a search."""
    files = [path for pattern in KEYS_OF[page] for path in (ROOT / "pages").glob(pattern)]
    found: set[str] = set().union(*(keys(path.read_text()) for path in files))
    assert set() == strangers(page, found)
    assert found or page == "audit"  # whose widgets are filters, named after the page by `Filters`


def test_a_shared_key_would_be_seen() -> None:
    """The control: a key without a page's name, one of another page, and one that is put together."""
    source = "st.button('x', key='search')\nkey = f'audit_{id}'\nst.button('y', key=f'models_{id}')"
    assert {"search", "audit_", "models_"} == keys(source)
    assert {"search", "audit_"} == strangers("models", keys(source))
    assert {"audit_", "models_"} == strangers("edit", keys(source))


def test_importing_the_library_loads_nothing_heavy() -> None:
    """KB code pays for no Streamlit, LiteLLM, pandas, Alembic or FastAPI. The control: SQLAlchemy it does load."""
    watched = ["streamlit", "litellm", "openai", "httpx", "pandas", "alembic", "fastapi", "sqlalchemy"]
    program = f"import sys, registry; print(*[name for name in {watched} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["sqlalchemy"]
