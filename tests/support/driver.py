"""A session of the dashboard without a browser, spoken to in the words of the form: paths such as ``config.top_k``."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pandas as pd
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Element, Widget
from streamlit.util import calc_hash

from pages.ui.signin.identity import SignedOutError
from registry import Actor
from tests.support.factories import LOCAL_ADMINISTRATOR

MAIN = Path(__file__).parents[2] / "pages" / "main.py"
TIMEOUT = 20
FAULT = ":red[:material/error: "
_ESCAPED = re.compile(r"\\(.)")


class Dashboard:
    """What one visitor sees and does. Every action reruns the page, as in a browser."""

    def __init__(self) -> None:
        self.at = AppTest.from_file(MAIN, default_timeout=TIMEOUT)

    def open(self, page: str = "models", **query: str) -> Self:
        """Follow a link to a page, with its query."""
        self.at._page_hash = calc_hash(page)  # switch_page() needs a run before
        self.at.query_params = dict(query)
        self.run()
        self.at._page_hash = ""  # else AppTest would go back there after every change of page
        return self

    def run(self) -> Self:
        self.at.run()
        assert not self.at.exception, self.at.exception
        return self

    def click(self, label: str) -> Self:
        """Press the one enabled button of this label."""
        found = [button for button in self.at.button if button.label == label]
        assert len(found) == 1, f"{len(found)} buttons “{label}” among {self.buttons}"
        assert not found[0].disabled, f"“{label}” is disabled"
        found[0].click()
        return self.run()

    def click_in_dialog(self, label: str) -> Self:
        """Press a button of the open dialog, where the page behind it may have one of the same label."""
        dialog = next(node for node in self.nodes if node.type == "dialog")
        button = next(button for button in dialog.button if button.label == label)
        assert not button.disabled, f"“{label}” is disabled"
        button.click()
        return self.run()

    def put(self, **values: Any) -> Self:
        """Fill in fields by path, ``__`` standing for a dot; a type or provider is chosen at once, as it redraws."""
        for name, value in values.items():
            path = name.replace("__", ".")
            widget = self.field(path)
            assert not getattr(widget, "disabled", False), f"{path} is disabled"
            widget.set_value(value)
            if path in ("type", "provider", "model_id", "status"):
                self.run()
        return self

    def field(self, path: str) -> Any:
        """The widget that stands for a field."""
        found = [widget for widget in self.widgets() if path_of(widget.key) == path]
        assert len(found) == 1, f"{len(found)} fields {path} among {self.fields}"
        return found[0]

    def select_row(self, number: int | None) -> Self:
        """Select a row of the page's table."""
        return self.select_rows() if number is None else self.select_rows(number)

    def select_rows(self, *numbers: int) -> Self:
        """Select rows of the page's table, and no others."""
        rows = list(numbers)
        self.at.session_state[self.at.dataframe[0].key] = {"selection": {"rows": rows, "columns": [], "cells": []}}
        return self.run()

    def act(self, name: str, action: str) -> Self:
        """Select a model of the list and press a button of the bar."""
        return self.select_row(list(self.table["name"]).index(name)).click(action)

    @property
    def nodes(self) -> list[Any]:
        """Everything on the page, in order: containers and what is in them."""
        return [node for node in self.at._tree if node is not self.at._tree]

    def widgets(self) -> Iterator[Any]:
        """The fields of the form, in order."""
        return (node for node in self.nodes if re.match(r"form_\d+_", node.key or ""))

    @property
    def fields(self) -> list[str]:
        return [path_of(widget.key) for widget in self.widgets()]

    @property
    def faults(self) -> dict[str, str]:
        """What is said to be wrong, by the path of the field that it stands under."""
        found, path = {}, ""
        for node in self.at.main:
            if re.match(r"form_\d+_", node.key or ""):
                path = path_of(node.key)
            elif node.type == "markdown" and node.value.startswith(FAULT):
                found[path] = unescaped(node.value.removeprefix(FAULT).removesuffix("]"))
        return found

    @property
    def table(self) -> pd.DataFrame:
        return self.at.dataframe[0].value

    @property
    def names(self) -> list[str]:
        """The names in the list of models, none where there is no list."""
        return list(self.table["name"]) if self.at.dataframe else []

    @property
    def buttons(self) -> list[str]:
        """Those of the page itself, not those of the frame around it."""
        return [button.label for button in self.at.main.button]

    @property
    def title(self) -> str:
        return unescaped(self.at.title[0].value)

    @property
    def errors(self) -> list[str]:
        return [unescaped(error.value) for error in self.at.error]

    @property
    def toasts(self) -> list[str]:
        return [unescaped(toast.value) for toast in self.at.toast]

    @property
    def text(self) -> str:
        """All text on the page."""
        nodes = (node for node in self.nodes if isinstance(node, Element) and not isinstance(node, Widget))
        texts = (getattr(node, "value", None) for node in nodes)
        return unescaped("\n".join(text for text in texts if isinstance(text, str)))

    @property
    def dialog(self) -> str | None:
        """The title of the open dialog."""
        titles = [node.proto.dialog.title for node in self.nodes if node.type == "dialog"]
        return titles[0] if titles else None

    def sent(self) -> bytes:
        """Everything that went to the browser."""
        return b"".join(node.proto.SerializeToString() for node in self.nodes if node.proto is not None)

    def remembered(self) -> bytes:
        """Everything that the session holds on the server."""
        return pickle.dumps(self.at.session_state.to_dict())


def path_of(key: str) -> str:
    """``form_1_config.ner.top_k`` → ``config.top_k``, ``form_2_model_id.ner.openai`` → ``model_id``,
    ``form_3_connection.deployment.azure`` → ``connection.deployment``."""
    path = re.sub(r"^form_\d+_", "", key)
    if path.startswith(("model_id.", "api_endpoint.", "api_key.")):
        return path.partition(".")[0]
    if path.startswith("connection."):
        return path.rpartition(".")[0]
    return re.sub(r"^config\.[a-z_]+\.", "config.", path).removesuffix(".known")


def unescaped(text: str) -> str:
    """Markdown as a reader sees it."""
    return _ESCAPED.sub(r"\1", text).replace("\u2060", "")


def first_then_nobody() -> Callable[[], Actor]:
    """The frame still finds an administrator, as when the sign-in ends between its check and the dialog's."""
    answers = iter([LOCAL_ADMINISTRATOR, LOCAL_ADMINISTRATOR])

    def current_actor() -> Actor:
        for actor in answers:
            return actor
        raise SignedOutError

    return current_actor
