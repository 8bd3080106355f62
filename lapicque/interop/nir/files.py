"""Files of NIR: graphs and recordings, read with care.

A file may come from anywhere. Sizes are read before contents, and what is larger than allowed,
points elsewhere, or holds something other than numbers and text is refused.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import warnings
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lapicque._checks import InputError, StorageError, UserError, extra, in_range, nearest
from lapicque.interop.nir.graphs import DEEPEST, FIELDS, LARGEST, OPTIONAL, flat, number, whole

_MOST_OBJECTS = 100_000
_BROKEN = (
    ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError,
)  # fmt: skip
_MOST_TEXT = 2**26  # bytes
_FILTERS = {
    h5py.h5z.FILTER_DEFLATE,
    h5py.h5z.FILTER_SHUFFLE,
    h5py.h5z.FILTER_FLETCHER32,
    h5py.h5z.FILTER_SZIP,
    h5py.h5z.FILTER_LZF,
    h5py.h5z.FILTER_SCALEOFFSET,
}


def write(path: str | Path, graph: Any) -> None:
    """Write a graph; a file in its place is replaced once the new one is complete.

    Args:
        path: Of the file, by custom `*.nir`.
        graph: An `nir.NIRGraph`.

    Raises:
        InputError: The graph does not hold together, or holds something that a file cannot.
        StorageError: The file cannot be written.
        MissingExtra: The package `nir` is not installed.
    """
    nir = extra("nir", "nir")
    flat(graph)
    try:
        _replace(Path(path), lambda name: nir.write(name, graph))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The graph holds something that a file cannot: {_short(error)}. Shapes of inputs and "
            "outputs must be given, and metadata be text, numbers, arrays or dicts of these."
        ) from error


def read(path: str | Path, *, limit: int = LARGEST) -> Any:
    """Read a graph.

    Args:
        path: Of the file.
        limit: Most bytes that its arrays may take together.

    Returns:
        An `nir.NIRGraph`, checked as by `flat`.

    Raises:
        StorageError: There is no such file, it is damaged or no HDF5, or it is larger than allowed
            or reaches beyond itself.
        InputError: It is whole, but what it says is no graph of known nodes that fit together.
        MissingExtra: The package `nir` is not installed.
    """
    extra("nir", "nir")
    with _Reader(Path(path), limit) as reader:
        tree = reader.tree("node")
    graph = _graph(tree, "the graph", 0)
    flat(graph)
    return graph


def write_data(path: str | Path, data: Any) -> None:
    """Write recordings, an `nir.NIRGraphData`.

    Raises:
        StorageError: The file cannot be written.
        MissingExtra: The package `nir` is not installed.
    """
    nir = extra("nir", "nir")
    _replace(Path(path), lambda name: nir.write_data(name, data))


def read_data(path: str | Path, *, limit: int = LARGEST) -> Any:
    """Read recordings.

    Returns:
        An `nir.NIRGraphData` whose events lie within their population and their recording.

    Raises:
        StorageError, InputError, MissingExtra: As `read`.
    """
    nir = extra("nir", "nir")
    with _Reader(Path(path), limit) as reader:
        tree = reader.tree("/", attributes=True)
    return _recordings(nir, tree, "the recording", 0)


def _replace(path: Path, fill: Callable[[str], None]) -> None:
    try:
        handle, name = tempfile.mkstemp(suffix=".part", prefix=path.name, dir=path.parent)
        os.close(handle)
        try:
            fill(name)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}.") from error


# -- HDF5 ----------------------------------------------------------------------------------------


class _Reader:
    """The contents of an HDF5 file as dicts of arrays and text, within limits."""

    def __init__(self, path: Path, limit: int):
        in_range("limit", limit, 1, unit="bytes")
        self._path, self._limit = path, limit
        self._objects, self._bytes, self._text = 0, 0, 0

    def __enter__(self) -> _Reader:
        if not self._path.is_file():
            raise StorageError(f"{self._path} is not a file.")
        try:
            _check_heaps(self._path)
            self._file = h5py.File(self._path, "r")
        except UserError:
            raise
        except (OSError, RuntimeError) as error:
            raise StorageError(
                f"{self._path} is damaged or no HDF5 file: {_short(error)}."
            ) from error
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def tree(self, root: str, attributes: bool = False) -> dict[str, Any]:
        """All below a group; with `attributes`, those of groups under the key `@`."""
        try:
            group = self._file.get(root)
            if not isinstance(group, h5py.Group):
                raise InputError(f"{self._path} holds no group {root!r}: it is no NIR file.")
            return self._group(group, 0, attributes)
        except UserError:
            raise
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeError) as error:
            raise StorageError(f"{self._path} is damaged: {_short(error)}.") from error

    def _group(self, group: h5py.Group, level: int, attributes: bool) -> dict[str, Any]:
        self._count()
        if level > 4 * DEEPEST:
            raise StorageError(f"{self._path} nests groups over more than {4 * DEEPEST} levels.")
        found: dict[str, Any] = {}
        if attributes:
            found["@"] = {name: self._attribute(group, name) for name in group.attrs}
        for name in map(str, group):
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise StorageError(
                    f"{self._path} has a link to elsewhere at {group.name}/{name}; it is not "
                    "followed."
                )
            item = group[name]
            if isinstance(item, h5py.Group):
                found[name] = self._group(item, level + 1, attributes)
            elif isinstance(item, h5py.Dataset):
                found[name] = self._array(item)
            else:
                raise StorageError(f"{self._path} holds something unknown at {item.name}.")
        return found

    def _count(self) -> None:
        self._objects += 1
        if self._objects > _MOST_OBJECTS:
            raise StorageError(f"{self._path} holds more than {_MOST_OBJECTS} objects.")

    def _attribute(self, group: h5py.Group, name: str) -> Any:
        which = group.attrs.get_id(name)
        if prod(which.shape) != 1:
            raise StorageError(f"The attribute {name!r} of {group.name} is no single value.")
        value = group.attrs[name]
        return value.decode("utf8") if isinstance(value, bytes) else value

    def _array(self, item: h5py.Dataset) -> Any:
        self._count()
        where = f"{item.name} of {self._path}"
        if item.is_virtual or item.external:
            raise StorageError(f"{where} lies in another file; it is not followed.")
        plan = item.id.get_create_plist()
        for k in range(plan.get_nfilters()):
            if plan.get_filter(k)[0] not in _FILTERS:
                raise StorageError(f"{where} is compressed in an unknown way.")
        if item.shape is None:
            raise StorageError(f"{where} is empty.")
        if h5py.check_string_dtype(item.dtype) is not None:
            return self._texts(item, where)
        if item.dtype.kind not in "fiub" or item.dtype.itemsize > 8:
            raise StorageError(f"{where} holds {item.dtype}; it must hold numbers or text.")
        chunk = prod(item.chunks) * item.dtype.itemsize if item.chunks else 0
        self._bytes += max(item.size * item.dtype.itemsize, 1)
        if max(self._bytes, chunk) > self._limit:
            raise StorageError(
                f"{where} would take {max(self._bytes, chunk):,} bytes with what was read before; "
                f"at most {self._limit:,} are allowed. Raise `limit` if the file is to be trusted."
            )
        return item[()]

    def _texts(self, item: h5py.Dataset, where: str) -> Any:
        if item.ndim == 0:
            return self._text_of(item[()], where)
        if item.ndim != 2 or item.shape[1] != 2:
            raise InputError(f"{where} has shape {item.shape}; a list of edges has shape (n, 2).")
        chunk = prod(item.chunks) * 16 if item.chunks else 0
        if item.shape[0] > _MOST_OBJECTS or chunk > self._limit:
            raise StorageError(f"{where} lists more than {_MOST_OBJECTS} edges.")
        return [
            tuple(self._text_of(end, where) for end in item[k])  # one by one: each may be long
            for k in range(item.shape[0])
        ]

    def _text_of(self, value: Any, where: str) -> str:
        self._text += len(value)
        if self._text > _MOST_TEXT:
            raise StorageError(f"{where}: more than {_MOST_TEXT:,} bytes of text.")
        return value.decode("utf8") if isinstance(value, bytes) else str(value)


def _check_heaps(path: Path) -> None:
    """Walk the collections that hold texts; HDF5 itself may walk damaged ones for ever.

    Raises:
        StorageError: An object of a collection ends beyond it.
    """
    if path.stat().st_size == 0:
        raise StorageError(f"{path} is empty.")
    head = b"GCOL\x01\x00\x00\x00"
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(head)
        while at >= 0:
            end = at + int.from_bytes(content[at + 8 : at + 16], "little")
            place = at + 16
            if not place <= end <= len(content):
                raise StorageError(f"{path} is damaged: a collection of texts ends beyond it.")
            while place + 16 <= end:
                index = int.from_bytes(content[place : place + 2], "little")
                size = int.from_bytes(content[place + 8 : place + 16], "little")
                if index == 0:  # free space, whose size counts its own header
                    place += size
                    if size < 16 or place != end:
                        raise StorageError(f"{path} is damaged: texts overlap with free space.")
                else:
                    place += 16 + (size + 7) // 8 * 8
                if place > end:
                    raise StorageError(f"{path} is damaged: a text ends beyond its collection.")
            at = content.find(head, end)


def _short(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


# -- graphs --------------------------------------------------------------------------------------


def _graph(tree: dict[str, Any], name: str, level: int) -> Any:
    nir = extra("nir", "nir")
    if level > DEEPEST:
        raise InputError(f"Graphs lie in graphs over more than {DEEPEST} levels.")
    _type_of(tree, name, ("NIRGraph",))
    nodes, edges = tree.get("nodes", {}), tree.get("edges", [])
    if not isinstance(nodes, dict) or not nodes:
        raise InputError(f"`nodes` of {name} must be a group with at least one node.")
    if isinstance(edges, np.ndarray) and edges.size == 0:
        edges = []
    if not isinstance(edges, list):
        raise InputError(f"`edges` of {name} must be pairs of names.")
    found = {key: _node(nir, node, key, level) for key, node in nodes.items()}
    return nir.NIRGraph(found, edges, _metadata(tree, name), type_check=False)


def _type_of(tree: Any, name: str, allowed: tuple[str, ...] = ()) -> str:
    which = tree.get("type") if isinstance(tree, dict) else None
    if not isinstance(which, str):
        raise InputError(f"{name} does not say of which type it is.")
    known = allowed or (*FIELDS, "NIRGraph")
    if which not in known:
        raise InputError(
            f"{name} is a {which[:60]!r}, which is not known; known are {', '.join(known)}."
            + nearest(which[:60], known)
        )
    return which


def _metadata(tree: dict[str, Any], name: str) -> dict[str, Any]:
    metadata = tree.get("metadata", {})
    if not isinstance(metadata, dict):
        raise InputError(f"`metadata` of {name} must be a group.")
    return metadata


def _node(nir: Any, tree: Any, key: str, level: int) -> Any:
    name = f"Node {key[:60]!r}"
    which = _type_of(tree, name)
    if which == "NIRGraph":
        return _graph(tree, name, level + 1)
    fields = FIELDS[which]
    for field in tree:
        if field not in (*fields, "type", "metadata"):
            raise InputError(f"{name} is a {which} and has no field {field[:60]!r}.")
    values: dict[str, Any] = {}
    for field in fields:
        if field in tree:
            values[field] = tree[field]
        elif field in OPTIONAL:
            values[field] = None
        else:
            raise InputError(f"{name} is a {which} and lacks its field {field!r}.")
        if isinstance(values[field], dict | list) or (
            isinstance(values[field], str) and field != "padding"
        ):
            raise InputError(f"`{field}` of {name} must hold numbers.")
    values = _built_from(which, values, name)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return getattr(nir, which)(**values, metadata=_metadata(tree, name))
    except _BROKEN as error:
        raise InputError(f"{name} is no {which}: {_short(error)}.") from error


def _built_from(which: str, values: dict[str, Any], name: str) -> dict[str, Any]:
    """Fields as the constructors of `nir` want them."""
    if which in ("Input", "Output"):
        side = which.lower()
        shape = values["shape"]
        return {f"{side}_type": {side: None if shape is None else np.atleast_1d(shape)}}
    if which == "Flatten":
        shape = values["input_type"]
        first, last = values["start_dim"], values["end_dim"]
        return {
            "input_type": {"input": None if shape is None else np.atleast_1d(shape)},
            "start_dim": 1 if first is None else int(number("start_dim", first)),
            "end_dim": -1 if last is None else int(number("end_dim", last)),
        }
    for field in ("tau", "tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "v_reset", "delay"):
        if values.get(field) is not None:
            values[field] = np.asarray(values[field])
    if which in ("CubaLI", "CubaLIF") and values["w_in"] is None:
        del values["w_in"]
    if which in ("Conv1d", "Conv2d"):
        count = 1 if which == "Conv1d" else 2
        for field, least in (("stride", 1), ("dilation", 1), ("padding", 0), ("input_shape", 1)):
            if values[field] is not None and not isinstance(values[field], str):
                numbers = whole(f"{field} of {name}", values[field], count, least)
                values[field] = numbers[0] if count == 1 else numbers
        values["groups"] = int(number(f"groups of {name}", values["groups"]))
        if values["bias"] is None and np.ndim(values["weight"]):
            values["bias"] = np.zeros(len(values["weight"]))
    return values


# -- recordings ----------------------------------------------------------------------------------


def _recordings(nir: Any, tree: Any, name: str, level: int) -> Any:
    if not isinstance(tree, dict) or level > DEEPEST:
        raise InputError(f"{name} is no group, or lies too deep.")
    which = tree.get("@", {}).get("__type__")
    if which == "NIRGraphData":
        nodes = _group_in(tree, "nodes", name)
        return nir.NIRGraphData(
            {k: _recordings(nir, v, repr(k), level + 1) for k, v in nodes.items() if k != "@"}
        )
    if which == "NIRNodeData" and level > 0:
        rows = _group_in(tree, "observables", name)
        return nir.NIRNodeData(
            {k: _observable(nir, v, f"{k!r} of {name}") for k, v in rows.items() if k != "@"}
        )
    raise InputError(f"{name} is {which!r:.60}; it must be NIRGraphData or NIRNodeData.")


def _group_in(tree: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    if not isinstance(tree.get(key), dict):
        raise InputError(f"{name} lacks its group {key!r}.")
    return tree[key]


def _observable(nir: Any, tree: Any, name: str) -> Any:
    said = tree.get("@", {}) if isinstance(tree, dict) else {}
    which = said.get("__type__")
    kinds = ("TimeGriddedData", "EventData", "ValuedEventData")
    if which not in kinds:
        raise InputError(f"{name} is {which!r:.60}; it must be one of {', '.join(kinds)}.")
    if which == "TimeGriddedData":
        data = _array_in(tree, "data", name, 3)
        dt = number(f"dt of {name}", said.get("dt"))
        in_range(f"dt of {name}", dt, 0)
        return nir.TimeGriddedData(data, dt)
    idx, time = _array_in(tree, "idx", name, 2), _array_in(tree, "time", name, 2)
    size = int(number(f"n_neurons of {name}", said.get("n_neurons")))
    t_max = number(f"t_max of {name}", said.get("t_max"))
    in_range(f"n_neurons of {name}", size, 1, 2**31)
    in_range(f"t_max of {name}", t_max, 0)
    if idx.shape != time.shape or idx.dtype.kind not in "iu":
        raise InputError(f"`idx` and `time` of {name} must be whole numbers and times, as many.")
    if idx.size:
        in_range(f"idx of {name}", idx, -1, size - 1)
        in_range(f"time of {name}", np.where(idx >= 0, time, 0.0), 0)
    if which == "EventData":
        return nir.EventData(idx, time, size, t_max)
    return nir.ValuedEventData(idx, time, size, t_max, _array_in(tree, "value", name, 2))


def _array_in(tree: dict[str, Any], key: str, name: str, axes: int) -> np.ndarray:
    value = tree.get(key)
    if not isinstance(value, np.ndarray) or value.ndim != axes:
        raise InputError(f"`{key}` of {name} must be an array with {axes} axes.")
    return value
