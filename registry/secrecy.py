"""Keeps secrets out of pickles, and out of the local variables that error reporters record."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, Self, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Unpickled:
    """Base of immutable objects that hold secrets in clear: a copy is the same object, and pickling is refused."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} holds secrets in clear and is not pickled. Have the other process read its own "
            "settings, and resolve the model itself."
        )


def forgetful(function: Callable[P, R]) -> Callable[P, R]:
    """Clear the local variables of every frame that an error leaves on its way out of the function: they hold keys in
    clear, and error reporters can record them."""

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        handled = sys.exception()
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            _forget(error, handled)
            raise

    return called


def _forget(error: BaseException, handled: BaseException | None) -> None:
    """Clear the frames of an error and of its causes, up to the error that the caller is handling."""
    seen = {id(handled), id(None)}
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        traceback.clear_frames(each.__traceback__)
        members = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        left += [each.__cause__, each.__context__, *members]
