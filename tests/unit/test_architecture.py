"""The arrows of the design: who may import whom, and what the library may not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = sorted((ROOT / "registry").rglob("*.py"))
PAGES = [*sorted((ROOT / "pages").rglob("*.py")), ROOT / "app.py"]

ORDER = (
    {"__main__", "demo", "demo_data", "api"},
    {"__init__", "client"},
    {"models", "sync"},
    {"testing", "defaults"},
    {"knowledge_bases", "editing", "rotation", "plan", "probe"},
    {"litellm_call"},
    {"diagnosis", "transport", "process"},
    {"audit", "proxy"},
    {"queries"},
    {"store", "catalog"},
    {"postgres"},
    {"tables", "validation", "passes"},
    {"specs", "called", "crypto", "settings"},
    {"egress", "arguments"},
    {"faults", "providers", "records", "endpoints", "actors", "filelock", "forks", "patience", "scrub"},
    {"errors", "secrecy"},
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}


def imported(source: str) -> Iterator[str]:
    """The modules that a source imports when it is loaded, by their full names; those inside functions are left out."""
    for node in ast.parse(source).body:
        guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for part in () if guarded or isinstance(node, ast.FunctionDef | ast.ClassDef) else ast.walk(node):
            if isinstance(part, ast.Import):
                yield from (alias.name for alias in part.names)
            elif isinstance(part, ast.ImportFrom) and part.module:
                yield part.module
                yield from (f"{part.module}.{alias.name}" for alias in part.names)


def against_the_arrows(name: str, source: str) -> list[str]:
    """Modules of the library that this one may not import."""
    used = {module.split(".")[1] for module in imported(source) if module.startswith("registry.")}
    return sorted(module for module in used & RANK.keys() if RANK[module] < RANK[name])


def foreign(source: str, banned: set[str]) -> set[str]:
    """Banned packages that a source imports."""
    return {module.split(".")[0] for module in imported(source)} & banned


@pytest.mark.parametrize(
    "path", [path for path in LIBRARY if path.parent.name == "registry"], ids=lambda path: path.stem
)
def test_arrows_inside_the_library_go_one_way(path: Path) -> None:
    """A module imports only from its own layer or those below it, and each has its place."""
    assert path.stem in RANK
    assert against_the_arrows(path.stem, path.read_text()) == []


def test_an_arrow_against_the_order_would_be_seen() -> None:
    """The control: the audit log that imports the models is found, and so is an import inside an if."""
    assert against_the_arrows("audit", "from registry.models import Models") == ["models"]
    assert against_the_arrows("audit", "if True:\n    from registry import models") == ["models"]


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_knows_no_pages(path: Path) -> None:
    """No Streamlit, no pandas and no page in it; LiteLLM only inside a function."""
    assert foreign(path.read_text(), {"streamlit", "pandas", "pages", "app", "litellm"}) == set()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_pages_know_no_sql_and_no_provider(path: Path) -> None:
    """They ask the library, and not one of its inner modules."""
    assert foreign(path.read_text(), {"sqlalchemy", "psycopg", "alembic", "litellm", "httpx", "cryptography"}) == set()
    inner = {"store", "tables", "queries", "editing", "crypto", "audit", "models", "knowledge_bases", "validation"}
    inner |= {"testing", "probe", "litellm_call", "process", "transport", "diagnosis", "scrub"}
    used = {module.split(".")[1] for module in imported(path.read_text()) if module.startswith("registry.")}
    assert used & inner == set()


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
    "models": ("models", "ui/bar", "ui/batch", "ui/dialogs", "ui/table"),
    "audit": ("audit",),
    "proxy": ("proxy",),
    "edit": ("edit", "ui/fields", "ui/form", "ui/known", "ui/result", "ui/sections"),
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


@pytest.mark.parametrize("page", KEYS_OF)
def test_no_two_pages_use_one_key(page: str) -> None:
    """Streamlit keeps a widget's value under its key: two pages that use one share a search."""
    found: set[str] = set().union(*(keys((ROOT / "pages" / f"{name}.py").read_text()) for name in KEYS_OF[page]))
    assert set() == strangers(page, found)
    assert found or page == "audit"  # whose widgets are filters, named after the page by `Filters`


def test_a_shared_key_would_be_seen() -> None:
    """The control: a key without a page's name, one of another page, and one that is put together."""
    source = "st.button('x', key='search')\nkey = f'audit_{id}'\nst.button('y', key=f'models_{id}')"
    assert {"search", "audit_", "models_"} == keys(source)
    assert {"search", "audit_"} == strangers("models", keys(source))
    assert {"audit_", "models_"} == strangers("edit", keys(source))


def test_a_banned_import_would_be_seen() -> None:
    """The control."""
    assert {"sqlalchemy"} == foreign("from sqlalchemy.orm import Session", {"sqlalchemy", "httpx"})


def test_importing_the_library_loads_nothing_heavy() -> None:
    """KB code pays for no Streamlit, LiteLLM, pandas, Alembic or FastAPI. The control: SQLAlchemy it does load."""
    watched = ["streamlit", "litellm", "openai", "httpx", "pandas", "alembic", "fastapi", "sqlalchemy"]
    program = f"import sys, registry; print(*[name for name in {watched} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["sqlalchemy"]
