"""What the fields of a configuration mean: from their metadata, docstring or source comments."""

from __future__ import annotations

import inspect
import io
import re
import tokenize
from dataclasses import fields
from typing import Any

from lapicque.lab.config import to_json


def meanings(kind: type) -> dict[str, str]:
    """For each field of a configuration, one line on what it is; empty where nothing is said.

    Looked for in `field(metadata={"doc": ...})`, in the `Attributes:` of the docstring and in the
    comment at the end of the field's line.
    """
    said: dict[str, str] = {}
    for ancestor in reversed(kind.__mro__[:-1]):  # a field may be declared further up
        said |= _comments(ancestor)
    said |= _attributes(inspect.getdoc(kind) or "")
    return {f.name: f.metadata.get("doc", said.get(f.name, "")) for f in fields(kind)}  # type: ignore[arg-type]


def text(value: Any) -> str:
    """A field's value as a reader would write it after `--set field=`."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return ",".join(map(text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def rows(config: Any, preset: Any) -> list[dict[str, Any]]:
    """Name, value, meaning and preset's value of every field, and whether the two differ."""
    chosen, given, said = to_json(config), to_json(preset), meanings(type(config))
    return [
        {
            "name": name,
            "value": text(value),
            "preset": text(given[name]),
            "changed": value != given[name],
            "meaning": said[name],
        }
        for name, value in chosen.items()
    ]


def _attributes(doc: str) -> dict[str, str]:
    _, _, section = doc.partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if not line.strip():
            break
        match = re.match(r" {4}(\w+)(?: \(.*?\))?: (.*)", line)
        if match:
            name, found[match[1]] = match[1], match[2].strip()
        elif name:
            found[name] += " " + line.strip()
    return found


def _comments(kind: type) -> dict[str, str]:
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):
        return {}  # defined where there is no source, such as a notebook
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(inspect.cleandoc(source)).readline):
        match = re.match(r"\s*(\w+)\s*:", token.line)
        if token.type == tokenize.COMMENT and match:
            found[match[1]] = token.string.lstrip("# ").strip()
    return found
