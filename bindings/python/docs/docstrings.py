"""For griffe: a part of a docstring that is a table of names and meanings is shown as a list."""
from __future__ import annotations

import re
from typing import Any

import griffe

ROW = re.compile(r"^( {0,4})(\S(?:.*?\S)?) {2,}(\S.*)$")


def as_list(part: str) -> str:
    """A paragraph whose lines are "name  meaning", as a list; any other as it is."""
    lines = part.split("\n")
    if len(lines) < 2 or not ROW.match(lines[0]):
        return part
    items: list[str] = []
    for line in lines:
        row = ROW.match(line)
        if row and len(row[1]) == len(lines[0]) - len(lines[0].lstrip()):
            name = row[2] if row[2].startswith("`") else f"`{row[2]}`"
            items.append(f"- {name}: {row[3]}")
        else:
            items[-1] += " " + line.strip()
    return "\n".join(items)


class Tables(griffe.Extension):
    """The extension itself."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Each module, class and function as it is found."""
        if obj.docstring is not None:
            parts = obj.docstring.value.split("\n\n")
            obj.docstring.value = "\n\n".join(map(as_list, parts))
