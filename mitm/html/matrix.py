"""The matrix as a page. It has a script, as its filters and cells cannot do without."""

from collections.abc import Hashable
from typing import Any

import msgspec
from markupsafe import Markup

from mitm import masking
from mitm.html.page import page
from mitm.matrix.record import Cell, Matrix

# What would end the element that the data stands in, or begin another (HTML, "Restrictions for
# contents of script elements"). In JSON these stand in texts alone.
_MARKUP = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def matrix_page(matrix: Matrix) -> str:
    """The page of a matrix; every text of whoever was tried is data in it, and never markup."""
    data = masking.as_json(_plain(_packed(matrix)))
    for sign, escape in _MARKUP.items():
        data = data.replace(sign, escape)
    # Nothing is left in it that could end the element that it stands in.
    return page("matrix.html", "matrix.css", script="matrix.js", data=Markup(data))  # noqa: S704


def _packed(matrix: Matrix) -> dict[str, object]:
    """The matrix, with each value that cells have in common told once."""
    table = _Table()
    columns = []
    for row in matrix.rows:
        cells = {cell.case: cell for cell in row.cells}
        columns.append(
            {
                **msgspec.to_builtins(msgspec.structs.replace(row, cells=())),
                "cells": [
                    _numbered(cells[case.name], table) if case.name in cells else 0
                    for case in matrix.cases
                ],
            }
        )
    return {
        "tool": matrix.tool,
        "name": matrix.name,
        "cases": msgspec.to_builtins(matrix.cases),
        "columns": columns,
        "values": table.values,
        "fields": [name for name in Cell.__struct_fields__ if name != "case"],
    }


def _numbered(cell: Cell, table: "_Table") -> list[int]:
    fields = msgspec.to_builtins(cell)
    return [table.number(value) for name, value in fields.items() if name != "case"]


class _Table:
    """Values by number."""

    def __init__(self) -> None:
        self.values: list[object] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, value: object) -> int:
        # 1 and True are equal, and told differently.
        key = masking.as_json(value)
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(value)
        return self._numbers[key]


def _plain(value: Any) -> Any:
    """A value with nothing in its texts that a browser would obey, or not show."""
    if isinstance(value, str):
        return masking.plain(value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
