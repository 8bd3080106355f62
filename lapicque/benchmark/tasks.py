"""Tasks of NeuroBench whose data are downloaded: loaders for folders that the user has filled.

Nothing is downloaded here. A loader reads a folder, checks checksums where they are known, and
says in one message where the data come from and on which terms. `stand_in` writes tiny generated
files of the same formats: they are NOT the benchmark, and results on them compare with nothing.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import DataError, in_range, one_of, shape
from lapicque.data import Samples

Folder = str | os.PathLike[str]

STAND_IN = "STAND-IN.txt"
"""A file of this name marks generated data that are not the benchmark."""


@dataclass(frozen=True)
class Provenance:
    """Where the data of a task come from.

    Attributes:
        name: Of the task.
        place: Where to get them.
        licence: As far as it is known.
        layout: What must lie in the folder.
    """

    name: str
    place: str
    licence: str
    layout: str

    def explain(self, folder: Path, what: str) -> DataError:
        """The error for data that are not there."""
        return DataError(
            f"The data of {self.name} are not in {folder}: {what}. Get them from {self.place} "
            f"(licence: {self.licence}) and lay them out as {self.layout}."
        )


FSCIL = Provenance(
    "keyword few-shot class-incremental learning",
    "Hugging Face, data set NeuroBench/mswc_fscil_subset, as 16 kHz wav",
    "CC-BY-4.0 for the Multilingual Spoken Words Corpus, not verified",
    "base_train.csv, base_val.csv, base_test.csv, and <language>/evaluation.csv with "
    "<language>/clips/*.wav",
)
NHP = Provenance(
    "primate motor prediction",
    "Zenodo, record 583331 (O'Doherty et al.)",
    "CC-BY-4.0, not verified",
    "indy_*.mat and loco_*.mat, MATLAB 7.3",
)
DVS_GESTURE = Provenance(
    "DVS gesture",
    "figshare, files 38022171 (training) and 38020584 (test), as the package tonic has them",
    "CC-BY-4.0, not verified",
    "ibmGestureTrain/ and ibmGestureTest/ with <user>_<light>/<class>.npy",
)
WISDM = Provenance(
    "WISDM activity recognition",
    "the Google Drive folder that the harness names (file watch_subset2_40.npz)",
    "not stated by the harness; the recordings are in the UCI repository, not verified",
    "watch_subset2_40.npz",
)

NHP_MD5 = {
    "indy_20160622_01": "c33d5fff31320d709d23fe445561fb6e",
    "indy_20160630_01": "197413a5339630ea926cbd22b8b43338",
    "indy_20170131_02": "2790b1c869564afaa7772dbf9e42d784",
    "loco_20170210_03": "4cae63b58c4cb9c8abd44929216c703b",
    "loco_20170215_02": "739b70762d838f3a1f358733c426bb02",
    "loco_20170301_05": "47342da09f9c950050c9213c3df38ea3",
}
"""Checksums of the six sessions. Source: the code of the harness."""

CLIP = 16_000  # samples of a keyword: one second at 16 kHz
NHP_STEP = 4.0  # ms
LARGEST = 1 << 31  # bytes of any one file that is read whole


def is_stand_in(folder: Folder) -> bool:
    """Whether the data in a folder are generated."""
    return (Path(folder) / STAND_IN).is_file()


def _found(path: Path, root: Path, provenance: Provenance) -> Path:
    if not path.is_file():
        raise provenance.explain(root, f"`{path.relative_to(root)}` is missing")
    if path.stat().st_size > LARGEST:
        raise DataError(f"{path} has {path.stat().st_size:,} bytes; at most {LARGEST:,} are read.")
    return path


# -- keywords ----------------------------------------------------------------------------------


class Clip(NamedTuple):
    """A spoken word; `read` gives its sound."""

    path: Path
    word: str
    language: str

    def read(self) -> NDArray[np.float32]:
        """One second at 16 kHz, -1 to 1, zeros at the end.

        Raises:
            DataError: The file is missing, or not one channel of 16 bits at 16 kHz.
        """
        try:
            with wave.open(io.BytesIO(self.path.read_bytes())) as file:
                kind = file.getnchannels(), file.getsampwidth(), file.getframerate()
                frames = file.readframes(min(file.getnframes(), CLIP))
        except (OSError, wave.Error, EOFError) as error:
            raise DataError(f"{self.path} is no readable wav file ({error}).") from error
        if kind != (1, 2, CLIP):
            raise DataError(
                f"{self.path} has {kind[0]} channels of {8 * kind[1]} bits at {kind[2]} Hz; "
                f"expected 1 channel of 16 bits at {CLIP} Hz. Take the wav files, not opus."
            )
        sound = np.frombuffer(frames[: len(frames) // 2 * 2], "<i2") / np.float32(2**15)
        return np.pad(sound, (0, CLIP - sound.size)).astype(np.float32)


class Keywords(NamedTuple):
    """Clips of the base words, and of the words to come by language."""

    train: tuple[Clip, ...]
    validation: tuple[Clip, ...]
    test: tuple[Clip, ...]
    sessions: dict[str, tuple[Clip, ...]]
    synthetic: bool


def keywords(folder: Folder) -> Keywords:
    """The lists of the FSCIL task; sounds are read clip by clip.

    Raises:
        DataError: A list is missing or damaged.

    Source: Yik et al. (2025); layout of the harness 2.3.0. No checksums are known.
    """
    root = Path(folder)
    train, validation, test = (
        _clips(root / f"base_{split}.csv", root) for split in ("train", "val", "test")
    )
    lists = sorted(root.glob("*/evaluation.csv"))
    if not lists:
        raise FSCIL.explain(root, "no language has an `evaluation.csv`")
    sessions = {path.parent.name: _clips(path, root) for path in lists}
    return Keywords(train, validation, test, sessions, is_stand_in(root))


def _clips(path: Path, root: Path) -> tuple[Clip, ...]:
    found = []
    with _found(path, root, FSCIL).open(encoding="utf-8", newline="") as file:
        for number, line in enumerate(csv.reader(file), 1):
            if len(line) != 3:
                raise DataError(f"{path}, line {number}, has {len(line)} fields; expected 3.")
            name, word, language = line
            if word == "WORD":  # the header
                continue
            clip = (root / language / "clips" / name).with_suffix(".wav")
            if not clip.resolve().is_relative_to(root.resolve()):
                raise DataError(f"{path}, line {number}, leads out of the folder: {name!r}.")
            found.append(Clip(clip, word, language))
    return tuple(found)


def sessions(data: Keywords, seed: int, shots: int = 5) -> list[tuple[list[Clip], list[Clip]]]:
    """What is taught and asked in each session after the base, languages in random order.

    Half of the clips of a word are its pool, of which `shots` are taught; the others are asked, in
    this session and in all that follow.

    Raises:
        InputError: `shots` is below 1.
        DataError: A word has fewer clips.
    """
    in_range("shots", shots, 1)
    rng = np.random.default_rng(seed)
    found: list[tuple[list[Clip], list[Clip]]] = []
    asked: list[Clip] = []
    for k in rng.permutation(len(data.sessions)):
        taught: list[Clip] = []
        clips = data.sessions[sorted(data.sessions)[k]]
        for word in sorted({clip.word for clip in clips}):
            own = [clip for clip in clips if clip.word == word]
            half = len(own) // 2
            if half < shots:
                raise DataError(f"{word!r} has {len(own)} clips; {2 * shots} are needed.")
            taught += [own[i] for i in rng.permutation(half)[:shots]]
            asked = asked + own[half:]
        found.append((taught, list(asked)))
    return found


# -- motor prediction --------------------------------------------------------------------------


class Reaching(NamedTuple):
    """A session of reaches, one row per 4 ms.

    Attributes:
        spikes: Whether each channel spiked, shape (time, channels).
        velocity: Change of the cursor's position per step, shape (time, 2).
        train, validation, test: Indices of rows, in the order of recording.
        synthetic: Whether it is a stand-in.
    """

    spikes: NDArray[np.uint8]
    velocity: NDArray[np.float64]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    synthetic: bool


def reaching(
    folder: Folder, session: str = "indy_20160622_01", ratio: float = 0.5, check: bool = True
) -> Reaching:
    """Spikes and movements of a monkey.

    A spike in the bin that ends at a sample belongs to this sample; units of a channel are joined.
    Reaches end where the target moves; the first floor(ratio n) train, the next half of the others
    validates, the rest tests. The harness drops samples that its index shift cannot fill; here the
    first bin is empty instead.

    Args:
        folder: Where the MATLAB files lie.
        session: Name of the file, without `.mat`.
        ratio: Share of the reaches to train on, 0 to 1.
        check: Whether to compare the MD5; stand-ins have none.

    Raises:
        DataError: The file is missing, damaged, or another one.

    Source: O'Doherty et al., Zenodo 583331; split of the harness 2.3.0.
    """
    import h5py

    one_of("session", session, NHP_MD5)
    in_range("ratio", ratio, 0, 1)
    root = Path(folder)
    path = _found(root / f"{session}.mat", root, NHP)
    synthetic = is_stand_in(root)
    if check and not synthetic:
        _verify(path, NHP_MD5[session])
    try:
        with h5py.File(path) as file:
            time = np.ravel(_array(file, "t"))
            cursor, target = _array(file, "cursor_pos"), _array(file, "target_pos")
            shape("cursor_pos", cursor, (2, time.size))
            shape("target_pos", target, (2, time.size))
            references = _array(file, "spikes")
            spikes = np.zeros((time.size, references.shape[1]), np.uint8)
            edges = np.concatenate([[time[0] - NHP_STEP / 1000], time])
            for (_, channel), reference in np.ndenumerate(references):
                given = np.ravel(np.asarray(file[reference]))
                counts, _ = np.histogram(given, edges)
                spikes[:, channel] |= counts > 0
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path} is no readable session of reaches ({error}).") from error
    moved = np.flatnonzero(np.abs(np.diff(target, axis=1)).sum(0))
    reaches = np.split(np.arange(time.size), moved)
    n_train = int(ratio * len(reaches))
    n_validation = (len(reaches) - n_train) // 2
    edges = (0, n_train, n_train + n_validation, len(reaches))
    train, validation, test = (
        np.concatenate([np.zeros(0, np.int64), *reaches[a:b]]) for a, b in pairwise(edges)
    )
    velocity = np.gradient(cursor, axis=1).T
    return Reaching(spikes, velocity, train, validation, test, synthetic)


def _array(file: Any, name: str) -> NDArray[Any]:
    array = file[name]
    if array.size * array.dtype.itemsize > LARGEST:
        raise ValueError(f"`{name}` declares {array.shape}")
    return array[()]


def _verify(path: Path, md5: str) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != md5:
        raise DataError(
            f"{path} is damaged or another file: its md5 is {digest.hexdigest()}, expected {md5}."
        )


# -- gestures and activities -------------------------------------------------------------------


class Gesture(NamedTuple):
    """A recording of an event camera; `events` has columns x, y, polarity, time [ms]."""

    path: Path
    label: int

    def events(self) -> NDArray[np.float64]:
        """Shape (events, 4).

        Raises:
            DataError: The file is damaged.
        """
        try:
            found = np.load(self.path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{self.path} is no readable array ({error}).") from error
        if found.ndim != 2 or found.shape[1] != 4:
            raise DataError(f"{self.path} has shape {found.shape}; expected (events, 4).")
        return found.astype(float)


def gestures(folder: Folder, split: Literal["train", "test"]) -> tuple[Gesture, ...]:
    """Recordings of eleven gestures, 0 to 10.

    Raises:
        DataError: There are none.

    Source: Amir et al. (2017), as tonic 1.7 has unpacked them; checksums are known of its archives
        alone.
    """
    one_of("split", split, ("train", "test"))
    root = Path(folder) / f"ibmGesture{split.capitalize()}"
    paths = sorted(p for p in root.glob("*/*.npy") if p.stem.isdigit() and int(p.stem) < 11)
    if not paths:
        raise DVS_GESTURE.explain(Path(folder), f"`{root.name}` holds no recordings")
    return tuple(Gesture(path, int(path.stem)) for path in paths)


def frames(
    events: NDArray[np.floating], n: int = 150, duration: float = 1500.0, size: int = 32
) -> NDArray[np.int64]:
    """Counts of events in frames, shape (n, 2, size, size), of a sensor of 128 x 128 pixels.

    Args:
        events: Columns x, y, polarity, time [ms]; time begins with the first.
        n: Number of frames.
        duration: Of all of them [ms]; later events are left out.
        size: Of a frame, a divisor of 128 [pixels].
    """
    in_range("n", n, 1)
    in_range("size", size, 1, 128)
    shape("events", events, (None, 4))
    found = np.zeros((n, 2, size, size), np.int64)
    if len(events):
        at = ((events[:, 3] - events[:, 3].min()) / duration * n).astype(int)
        x, y = (events[:, k].astype(int) * size // 128 for k in (0, 1))
        inside = (at < n) & (x >= 0) & (x < size) & (y >= 0) & (y < size)
        np.add.at(found, (at[inside], (events[inside, 2] > 0).astype(int), y[inside], x[inside]), 1)
    return found


def activities(folder: Folder) -> dict[str, Samples]:
    """Windows of a wrist's acceleration and rotation, shape (40, 6) at 20 Hz, in three splits.

    Raises:
        DataError: The file is missing or damaged.

    Source: WISDM, as the harness 2.3.0 reads it; no checksum is known.
    """
    root = Path(folder)
    path = _found(root / "watch_subset2_40.npz", root, WISDM)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = [file[f"arr_{k}"] for k in range(6)]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"{path} is no readable archive of six arrays ({error}).") from error
    found = {}
    for split, x, y in zip(("train", "validation", "test"), arrays[:3], arrays[3:], strict=True):
        if x.ndim != 3 or y.ndim != 2 or len(x) != len(y):
            raise DataError(f"{path}: `{split}` has shapes {x.shape} and {y.shape}.")
        found[split] = Samples(x, y.argmax(1))
    return found


# -- stand-ins ---------------------------------------------------------------------------------

STAND_INS = ("keywords", "reaching", "gestures", "activities")


def stand_in(folder: Folder, tasks: Sequence[str] = STAND_INS, seed: int = 0) -> Path:
    """Write tiny generated files in the formats of the tasks. THEY ARE NOT THE BENCHMARK.

    Words are tones, spikes follow the movement of a random cursor, gestures are moving dots, and
    activities are oscillations.

    Raises:
        InputError: There is no such task.
    """
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    makers = {"keywords": _tones, "reaching": _reaches, "gestures": _dots, "activities": _waves}
    for task in tasks:
        one_of("tasks", task, STAND_INS)
    (root / STAND_IN).write_text("Generated data in the format of NeuroBench. NOT the benchmark.\n")
    for task in tasks:
        makers[task](root, np.random.default_rng([seed, STAND_INS.index(task)]))
    return root


def _tones(root: Path, rng: np.random.Generator) -> None:
    def write(name: str, words: range, language: str, clips: int) -> None:
        folder = root / language / "clips"
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["LINK,WORD,LANGUAGE"]
        for word in words:
            for k in range(clips):
                t = np.arange(rng.integers(CLIP // 2, CLIP)) / CLIP
                sound = 0.3 * np.sin(2 * np.pi * (200 + 90 * word) * t + rng.uniform(0, 6))
                sound += 0.05 * rng.standard_normal(t.size)
                file = folder / f"{Path(name).stem}_{word}_{k}.wav"
                with wave.open(str(file), "wb") as wav:
                    wav.setparams((1, 2, CLIP, 0, "NONE", "not compressed"))
                    wav.writeframes((sound * 2**14).astype("<i2").tobytes())
                lines.append(f"{file.stem}.opus,word{word},{language}")
        path = root / name
        path.write_text("\n".join(lines) + "\n")

    for split, clips in (("train", 6), ("val", 2), ("test", 4)):
        write(f"base_{split}.csv", range(4), "en", clips)
    for k, language in enumerate(("fa", "eo")):
        write(f"{language}/evaluation.csv", range(4 + 2 * k, 6 + 2 * k), language, 12)


def _reaches(root: Path, rng: np.random.Generator) -> None:
    import h5py

    n, channels = 4000, 96
    time = 10.0 + NHP_STEP / 1000 * np.arange(n)
    speed = np.zeros((2, n))
    for t in range(1, n):
        speed[:, t] = 0.99 * speed[:, t - 1] + 0.02 * rng.standard_normal(2)
    target = np.repeat(rng.uniform(-50, 50, (2, n // 200)), 200, 1)
    preferred = rng.standard_normal((channels, 2))
    rate = np.exp(-3.0 + 4.0 * preferred @ speed)
    with h5py.File(root / "indy_20160622_01.mat", "w") as file:
        file["t"], file["cursor_pos"] = time[None], speed.cumsum(1)
        file["target_pos"] = target
        spikes = file.create_dataset("spikes", (1, channels), h5py.ref_dtype)
        for k in range(channels):
            fired = time[rng.random(n) < np.minimum(rate[k], 0.5)] - 0.001
            file[f"held/{k}"] = fired[None]
            spikes[0, k] = file[f"held/{k}"].ref


def _dots(root: Path, rng: np.random.Generator) -> None:
    for split, users in (("Train", 2), ("Test", 1)):
        for user in range(1, users + 1):
            folder = root / f"ibmGesture{split}" / f"user{user:02d}_led"
            folder.mkdir(parents=True, exist_ok=True)
            for label in range(11):
                time = np.sort(rng.uniform(0, 1500, 400))
                angle = 2 * np.pi * label / 11
                reach = 50 * np.sin(2 * np.pi * time / 500)
                x = 64 + reach * np.cos(angle) + 3 * rng.standard_normal(400)
                y = 64 + reach * np.sin(angle) + 3 * rng.standard_normal(400)
                events = np.column_stack([x, y, rng.random(400) < 0.5, time])
                np.save(folder / f"{label}.npy", events.clip(0, [127, 127, 1, 1500]).astype(int))


def _waves(root: Path, rng: np.random.Generator) -> None:
    arrays = []
    for n in (70, 14, 14):
        labels = np.arange(n) % 7
        phase = rng.uniform(0, 6, (n, 1, 6)) + np.arange(40)[None, :, None] * (labels + 1)[
            :, None, None
        ] * 0.2  # fmt: skip
        arrays.append((np.sin(phase) + 0.1 * rng.standard_normal((n, 40, 6)), np.eye(7)[labels]))
    np.savez(root / "watch_subset2_40.npz", *(x for x, _ in arrays), *(y for _, y in arrays))
