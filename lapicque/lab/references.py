"""The works that experiments cite, from `references.bib`."""

import re
import unicodedata
from functools import cache
from pathlib import Path

from lapicque._checks import InputError, nearest

_BIB = Path(__file__).with_name("references.bib")


@cache
def references() -> dict[str, str]:
    """Every BibTeX entry as text, by its key."""
    text = _BIB.read_text(encoding="utf-8")
    starts = [match.start() for match in re.finditer(r"^@", text, re.MULTILINE)]
    found = {}
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        entry = text[start:end].strip()
        key = entry[entry.index("{") + 1 : entry.index(",")].strip()
        found[key] = entry
    return found


def bibtex(keys: tuple[str, ...]) -> str:
    """The entries of some keys, in their order.

    Raises:
        InputError: There is no such entry.
    """
    for key in keys:
        if key not in references():
            raise InputError(f"`references.bib` has no entry {key!r}." + nearest(key, references()))
    return "\n\n".join(references()[key] for key in keys)


def citation(key: str) -> dict[str, str]:
    """Authors, year, title, venue and link of an entry, ready to be read."""
    entry = references()[key]
    field = {name.lower(): _plain(text) for name, text in _FIELD.findall(entry)}
    names = [_given_last(name) for name in field.get("author", "").split(" and ")]
    venue = next((field[x] for x in ("booktitle", "journal", "institution") if x in field), "")
    link = ""
    if "doi" in field:
        link = f"https://doi.org/{field['doi']}"
    elif "eprint" in field:
        link = f"https://arxiv.org/abs/{field['eprint']}"
    return {
        "authors": ", ".join(names[:-1]) + " & " * (len(names) > 1) + names[-1],
        "year": field.get("year", ""),
        "title": field.get("title", ""),
        "venue": f"{venue} {field.get('volume', '')}".strip(),
        "link": link,
    }


_FIELD = re.compile(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", re.MULTILINE)
_ACCENTS = {'"': "\u0308", "'": "\u0301", "`": "\u0300", "~": "\u0303", "^": "\u0302"}


def _plain(text: str) -> str:
    """BibTeX text without braces, its accents as letters."""

    def accented(match: re.Match[str]) -> str:
        return unicodedata.normalize("NFC", match[2] + _ACCENTS[match[1]])

    text = re.sub(r"\{?\\([\"'`~^])\{?(\w)\}?\}?", accented, text)
    return re.sub(r"[{}]", "", text).replace("--", "–")


def _given_last(name: str) -> str:
    last, comma, given = name.partition(", ")
    return f"{given} {last}" if comma else last
