"""Arguments against the annotations of a method: what fits is converted, what does not is refused with its place."""
from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import enum
import inspect
import pathlib
import sys
import types
import typing
from typing import Any, Callable, Optional

from ._errors import InvalidArgumentError

Check = Callable[[Any, str], Any]
SCALARS: dict[Any, tuple[type, ...]] = {int: (int,), str: (str,), bytes: (bytes,), bool: (bool,), float: (float, int)}
SEQUENCES: dict[Any, Callable[[Any], Any]] = {
    list: list, tuple: tuple, set: set, frozenset: frozenset, collections.abc.Sequence: list, collections.abc.Iterable: list}
UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))

def bad(where: str, wanted: str, value: Any) -> InvalidArgumentError:
    """The refusal of a value."""
    shown = repr(value)
    return InvalidArgumentError(f"{where}: {wanted} is wanted, and {type(value).__name__} "
                                f"{shown if len(shown) < 60 else shown[:57] + '...'} came", began="no")

def title(hint: Any) -> str:
    """A type for people."""
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")

def check(hint: Any) -> Optional[Check]:
    """What takes a value that came to what `hint` says, or raises InvalidArgumentError; None when anything will do."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in SCALARS:
        return _scalar(hint)
    if hint is None or hint is type(None):
        return _only((None,), "None")
    if origin in UNIONS:
        return _union(hint, [check(a) for a in args])
    if origin is typing.Literal:
        return _only(args, " or ".join(map(repr, args)))
    if origin is typing.Annotated:
        return check(args[0])
    if (origin or hint) in SEQUENCES:
        return _sequence(origin or hint, args)
    if (origin or hint) in (dict, collections.abc.Mapping):
        return _mapping(*([check(a) for a in args] or [None, None]))
    if not isinstance(origin or hint, type) or hint in (Any, object):
        return None
    kind: Any = origin or hint
    if issubclass(kind, dict):                       # TypedDict
        return _mapping(None, None)
    if issubclass(kind, enum.Enum) or issubclass(kind, pathlib.PurePath):
        return _made(kind, title(kind))
    if dataclasses.is_dataclass(kind):
        return _fields(kind)
    if issubclass(kind, datetime.datetime) or kind.__module__.startswith("numpy"):
        return lambda v, where: v if isinstance(v, kind) else _raise(bad(where, title(kind), v))
    return None

def _raise(error: Exception) -> Any:
    raise error

def _scalar(hint: Any) -> Check:
    kinds = SCALARS[hint]

    def scalar(value: Any, where: str) -> Any:
        if type(value) in kinds:
            return float(value) if hint is float else value
        raise bad(where, hint.__name__, value)
    return scalar

def _only(allowed: tuple[Any, ...], text: str) -> Check:
    return lambda v, where: v if any(v == a and type(v) is type(a) for a in allowed) else _raise(bad(where, text, v))

def _union(hint: Any, checks: list[Optional[Check]]) -> Optional[Check]:
    if None in checks:
        return None

    def union(value: Any, where: str) -> Any:
        found = []
        for one in checks:
            try:
                found.append(one(value, where))      # type: ignore[misc]
            except InvalidArgumentError:
                continue
        if not found:
            raise bad(where, title(hint), value)
        # int | float keeps an int, str | Path a str: what needs no conversion is preferred.
        return next((f for f in found if f is value), found[0])
    return union

def _sequence(kind: Any, args: tuple[Any, ...]) -> Check:
    make = SEQUENCES[kind]
    fixed = [check(a) for a in args] if kind is tuple and args and args[-1] is not Ellipsis else None
    one = check(args[0]) if args and fixed is None else None

    def sequence(value: Any, where: str) -> Any:
        if not isinstance(value, list) or (fixed is not None and len(value) != len(fixed)):
            raise bad(where, "a list" if fixed is None else f"a list of {len(fixed)}", value)
        if fixed is not None:
            value = [f(v, f"{where}[{i}]") if f else v for i, (v, f) in enumerate(zip(value, fixed))]
        elif one is not None:
            value = [one(v, f"{where}[{i}]") for i, v in enumerate(value)]
        return make(value)
    return sequence

def _mapping(key: Optional[Check], item: Optional[Check]) -> Check:
    def mapping(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise bad(where, "a map", value)
        return {key(k, where) if key else k: item(v, f"{where}[{k!r}]") if item else v for k, v in value.items()}
    return mapping

def _made(kind: Any, text: str) -> Check:
    def made(value: Any, where: str) -> Any:
        try:
            return kind(value)
        except (ValueError, TypeError):
            allowed = ", ".join(repr(m.value) for m in kind) if issubclass(kind, enum.Enum) else ""
            raise bad(where, f"{text}{allowed and f' ({allowed})'}", value) from None
    return made

def _fields(kind: Any) -> Check:
    bind = Parameters(kind)

    def fields(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise bad(where, f"a map for {title(kind)}", value)
        return kind(**bind(value, where + ".")[1])
    return fields

class Parameters:
    """The parameters of a function: checks (args, kwargs) for what came, a list or a map."""

    def __init__(self, function: Callable[..., Any], skip: int = 0) -> None:
        try:
            hints = typing.get_type_hints(function.__init__ if isinstance(function, type) else function)  # type: ignore[misc]
        except Exception:                            # a name that exists for type checkers alone
            hints = {}
        self.signature = inspect.signature(function)
        found = list(self.signature.parameters.values())[skip:]
        self.signature = self.signature.replace(parameters=found)
        kinds = inspect.Parameter
        rest = any(p.kind is kinds.VAR_POSITIONAL for p in found)
        self.named_rest = any(p.kind is kinds.VAR_KEYWORD for p in found)
        found = [p for p in found if p.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)]
        self.checks = {p.name: check(hints.get(p.name, Any)) for p in found}
        self.plain = not any(self.checks.values())
        self.order = [(p.name, self.checks[p.name]) for p in found if p.kind is not kinds.KEYWORD_ONLY]
        self.needed = dict.fromkeys(p.name for p in found if p.default is kinds.empty)
        # So many are well by position; none, when one must be named.
        self.least = len(self.needed) if self.needed.keys() <= dict(self.order).keys() else sys.maxsize
        self.most = sys.maxsize if rest else len(self.order)

    def __call__(self, args: Any, where: str = "") -> tuple[Any, dict[str, Any]]:
        if type(args) is list:
            if not self.least <= len(args) <= self.most:
                self._refuse(args, where)
            if not self.plain:
                args = [c(v, where + n) if c else v for v, (n, c) in zip(args, self.order)] + args[len(self.order):]
            return args, {}
        if not self.needed.keys() <= args.keys() <= self.checks.keys():
            self._refuse(args, where)
        if not self.plain:
            args = {n: self.checks[n](v, where + n) if self.checks.get(n) else v  # type: ignore[misc]
                    for n, v in args.items()}
        return (), args

    def _refuse(self, args: Any, where: str) -> None:
        """Raises for what is too much or missing."""
        if type(args) is list:
            if len(args) > self.most:
                raise InvalidArgumentError(f"{len(args)} arguments came, {len(self.order)} are wanted: {self.signature}",
                                           began="no")
            args = [name for name, _ in self.order[:len(args)]]
        for name in args:
            if name not in self.checks and not self.named_rest:
                import difflib
                close = difflib.get_close_matches(str(name), self.checks, 1)
                raise InvalidArgumentError(f"there is no argument {where}{name}: {self.signature}"
                                           f"{f', did you mean {close[0]}?' if close else ''}", began="no")
        for name in self.needed:
            if name not in args:
                raise InvalidArgumentError(f"argument {where}{name} is missing: {self.signature}", began="no")
