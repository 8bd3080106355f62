"""Typed configurations from text: `field=value` settings and JSON, checked alike.

A configuration is a frozen dataclass whose fields are int, float, bool, str, a Literal, an
optional one of these, or a tuple of these.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lapicque._checks import InputError, nearest

Config = TypeVar("Config")

_NONE = "none"
_TRUTHS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


def with_settings(config: Config, settings: Iterable[str]) -> Config:
    """A copy of `config` with settings such as `epochs=20` or `sizes=64,32` applied in order.

    Text is read by the type of the field: `none` is None, a tuple is a list with commas, and a
    tuple of one or none is written `64,` or `()`. A text in quotation marks is itself.

    Raises:
        InputError: A setting has no `=`, names no field, or its value does not fit.
    """
    values: dict[str, Any] = {}
    hints = get_type_hints(type(config))
    for setting in settings:
        name, sign, text = setting.partition("=")
        name = name.strip()
        if not sign:
            raise InputError(f"`--set {setting}` lacks a value; write `--set field=value`.")
        _known(name, hints)
        values[name] = _from_text(name, text.strip(), hints[name])
    return _build(type(config), to_values(config) | values)


def as_settings(config: Any) -> list[str]:
    """One `field=value` for every field, which `with_settings` reads back."""
    hints = get_type_hints(type(config))
    return [f"{name}={_to_text(value, hints[name])}" for name, value in to_values(config).items()]


def to_values(config: Any) -> dict[str, Any]:
    """The fields of a configuration, in their order."""
    return {field.name: getattr(config, field.name) for field in fields(config)}


def to_json(config: Any) -> dict[str, Any]:
    """A configuration as a JSON object; tuples become lists, infinities and `nan` text."""
    return {name: _to_json(value) for name, value in to_values(config).items()}


def from_json(kind: type[Config], stored: Mapping[str, Any]) -> Config:
    """Read a configuration that `to_json` wrote, with the checks of `with_settings`.

    A field that is not stored takes its default.

    Raises:
        InputError: A stored name is no field, or its value does not fit.
    """
    hints = get_type_hints(kind)
    for name in stored:
        _known(name, hints)
    return _build(kind, {name: _typed(name, value, hints[name]) for name, value in stored.items()})


def _known(name: str, hints: Mapping[str, Any]) -> None:
    if name not in hints:
        raise InputError(
            f"There is no field {name!r}; the fields are {', '.join(hints)}." + nearest(name, hints)
        )


def _build(kind: type[Config], values: Mapping[str, Any]) -> Config:
    try:
        return kind(**values)
    except InputError:
        raise
    except (ValueError, TypeError) as error:  # the configuration's own check of its fields
        raise InputError(f"The configuration is not valid: {error}") from error


def _from_text(name: str, text: str, kind: Any) -> Any:
    """Text as the nearest JSON value, which `_typed` then checks."""
    inner = _optional(kind)
    if inner is not None:
        return None if text.lower() == _NONE else _from_text(name, text, inner)
    if get_origin(kind) is tuple:
        bare = text[1:-1] if text[:1] + text[-1:] in ("()", "[]") else text
        items = _split(bare)
        kinds = get_args(kind)
        each = [kinds[0]] * len(items) if _endless(kinds) else kinds
        if len(each) != len(items):
            raise _misfit(name, text, kind)
        return tuple(_from_text(name, item, k) for item, k in zip(items, each, strict=True))
    if get_origin(kind) is Literal:
        for choice in get_args(kind):
            if text == str(choice) or _unquoted(text) == choice:
                return choice
        raise _misfit(name, text, kind)
    if kind is bool:
        if text.lower() not in _TRUTHS:
            raise _misfit(name, text, kind)
        return _TRUTHS[text.lower()]
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
        try:  # `1e4` is how many people write an integer
            whole = int(float(text))
        except (ValueError, OverflowError):
            raise _misfit(name, text, kind) from None
        if whole != float(text):
            raise _misfit(name, text, kind)
        return whole
    if kind is str:
        return _unquoted(text)
    raise _unsupported(name, kind)


def _typed(name: str, value: Any, kind: Any) -> Any:
    """A JSON value as the type of a field."""
    inner = _optional(kind)
    if inner is not None:
        return None if value is None else _typed(name, value, inner)
    if get_origin(kind) is tuple:
        if not isinstance(value, (list, tuple)):
            raise _misfit(name, value, kind)
        kinds = get_args(kind)
        each = [kinds[0]] * len(value) if _endless(kinds) else kinds
        if len(each) != len(value):
            raise _misfit(name, value, kind)
        return tuple(_typed(name, item, k) for item, k in zip(value, each, strict=True))
    if get_origin(kind) is Literal:
        for choice in get_args(kind):
            if type(choice) is type(value) and choice == value:
                return choice
        raise _misfit(name, value, kind)
    if kind is float and value in ("nan", "inf", "-inf"):
        return float(value)
    if kind is float and type(value) is int:
        return float(value)
    if kind in (int, float, bool, str):
        if type(value) is not kind:
            raise _misfit(name, value, kind)
        return value
    raise _unsupported(name, kind)


def _to_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value


def _to_text(value: Any, kind: Any) -> str:
    if value is None:
        return _NONE
    kind = _optional(kind) or kind
    if isinstance(value, tuple):
        kinds = get_args(kind)
        each = [kinds[0]] * len(value) if _endless(kinds) else kinds
        texts = [_to_text(item, k) for item, k in zip(value, each, strict=True)]
        return f"({','.join(texts)},)" if texts else "()"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def _split(text: str) -> list[str]:
    """Parts between the commas that stand outside quotation marks and parentheses."""
    parts, start, depth, quoted, escaped = [], 0, 0, False, False
    for i, letter in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and letter == "\\":
            escaped = True
        elif letter == '"':
            quoted = not quoted
        elif not quoted and letter in "()":
            depth += 1 if letter == "(" else -1
        elif not quoted and depth == 0 and letter == ",":
            parts.append(text[start:i].strip())
            start = i + 1
    last = text[start:].strip()
    return [*parts, last] if last else parts  # a comma at the end adds nothing


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


def _optional(kind: Any) -> Any:
    """`T` of `T | None`, or None where the type is not optional."""
    if get_origin(kind) not in (Union, UnionType):
        return None
    inner = [arg for arg in get_args(kind) if arg is not NoneType]
    return inner[0] if len(inner) == 1 and len(get_args(kind)) == 2 else None


def _endless(kinds: tuple[Any, ...]) -> bool:
    return len(kinds) == 2 and kinds[1] is Ellipsis


def _spell(kind: Any) -> str:
    inner = _optional(kind)
    if inner is not None:
        return f"{_spell(inner)} or none"
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if _endless(kinds):
            return f"a list of {_spell(kinds[0])}, such as a,b"
        return f"{len(kinds)} values with commas: {', '.join(map(_spell, kinds))}"
    return {bool: "true or false", int: "int", float: "float", str: "text"}.get(kind, str(kind))


def _misfit(name: str, value: Any, kind: Any) -> InputError:
    text = "" if not isinstance(value, str) or get_origin(kind) is not Literal else value
    return InputError(
        f"`{name}` is {value!r}; it must be {_spell(kind)}."
        + (nearest(text, get_args(kind)) if text else "")
    )


def _unsupported(name: str, kind: Any) -> InputError:
    return InputError(
        f"The field `{name}` has type {kind}, which a configuration cannot hold; use int, float, "
        "bool, str, a Literal, an optional one of these, or a tuple of these."
    )
