"""Google Speech Commands v2: spoken words of one second, in the official split and 12 classes."""

import hashlib
import io
import os
import re
import tarfile
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import DataError, InputError, in_range, shape
from lapicque.data._locate import folders, located, opened, refetch, verify
from lapicque.data._samples import DataSet, Samples
from lapicque.data._sources import File, Source
from lapicque.data._supplies import Mirror

RATE = 16_000  # [Hz]; recordings are cut or padded with zeros to one second
CLASSES = ("unknown", "silence", "yes", "no", "up", "down")
CLASSES += ("left", "right", "on", "off", "stop", "go")
NOISE = "_background_noise_"  # folder of long recordings without speech
LONGEST = 8_000_000  # of a file that is read [bytes]; the longest recording of noise has 3 MB
_HASHED = 2**27  # speakers are told apart modulo this number

SOURCE = Source(
    name="speech_commands",
    title="Google Speech Commands v2, 105,829 spoken words of 1 s, read as 12 classes",
    kind="downloaded",
    licence="CC-BY-4.0",
    obtained="downloaded from Google",
    reference="Warden (2018), arXiv:1804.03209",
    files=(
        File(
            "speech_commands_v0.02.tar.gz",
            2_428_923_189,
            "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
            gzip=False,
        ),
    ),
    supplies=(Mirror("https://storage.googleapis.com/download.tensorflow.org/data/"),),
)


class SpeechCommands(NamedTuple):
    """Words in their splits, and the noise to mix with those that are trained on.

    Attributes:
        data: Inputs are waveforms of one second, int16, shape (sample, 16000).
        noise: Recordings without speech, int16, of different lengths.
    """

    data: DataSet
    noise: tuple[NDArray[np.int16], ...]


def speech_commands(
    *,
    root: str | os.PathLike[str] | None = None,
    unknown: float = 0.1,
    silence: float = 0.1,
    seed: int = 0,
) -> SpeechCommands:
    """Speech Commands v2 with 12 classes. Nothing is downloaded here; see `fetch`.

    Ten words are to be told apart (`CLASSES`); all others are "unknown". Of these and of
    "silence", cuts of the noise recordings, there are as many in each split as `unknown` and
    `silence` say. Where a folder of wav files lies beside or instead of the archive, one subfolder
    per word, it is read, unchecked; otherwise the archive is, after its checksum was verified.

    Args:
        root: Where the archive or the folders lie: `root/speech_commands/` or `root` itself. By
            default the environment variable LAPICQUE_DATA, then the user's cache folder.
        unknown: Number of unknown words, relative to that of the ten words.
        silence: Number of cuts of silence, likewise.
        seed: Of the choice of unknown words and of the cuts; the split depends on names alone.

    Returns:
        Splits of roughly 80/10/10 %, by speaker, and the noise. About 1.2 GB.

    Raises:
        DataError: The data are missing, damaged, or have a wrong checksum.
        InputError: A share is negative.

    Source:
        Warden (2018), arXiv:1804.03209: split by a hash of the speaker's name, 10 % unknown and
        10 % silence. The choice among them is our own, not that of the published code.
    """
    in_range("unknown", unknown, 0)
    in_range("silence", silence, 0)
    recordings: dict[str, dict[str, dict[str, NDArray[np.int16]]]] = {}
    noise: dict[str, NDArray[np.int16]] = {}
    origin, files = _files(root)
    for word, name, content in files:
        samples = read_wav(content, f"{word}/{name}")
        if word == NOISE:
            noise[name] = samples
        else:
            words = recordings.setdefault(split_of(name), {})
            words.setdefault(word, {})[name] = _second(samples)
    splits = {}
    for index, split in enumerate(("train", "validation", "test")):
        if split not in recordings:
            raise DataError(f"The data set `speech_commands` has no {split} recordings: {origin}.")
        rng = np.random.default_rng((seed, index))
        splits[split] = _twelve_classes(recordings[split], noise, unknown, silence, rng)
    train, validation, test = splits.values()
    sizes = "/".join(f"{len(part):,}" for part in splits.values())
    told = f"Speech Commands v2, 12 classes, official split, {sizes} recordings of 1 s; {origin}"
    data = DataSet("speech_commands", len(CLASSES), train, validation, test, told)
    return SpeechCommands(data, tuple(noise[name] for name in sorted(noise)))


def split_of(name: str, validation: float = 10.0, test: float = 10.0) -> str:
    """The split of a recording, by its file's name: "train", "validation" or "test".

    All recordings of a speaker, whose number stands before `_nohash_`, share a split for good.

    Args:
        name: Such as "0a7c2a8d_nohash_0.wav"; folders before it do not matter.
        validation: Share of the validation split [%].
        test: Share of the test split [%].

    Source:
        Warden (2018), arXiv:1804.03209, and the README of the data: SHA-1 of the name.
    """
    speaker = re.sub(r"_nohash_.*$", "", name.rpartition("/")[2])
    number = int(hashlib.sha1(speaker.encode(), usedforsecurity=False).hexdigest(), 16)
    percent = number % _HASHED * (100.0 / (_HASHED - 1))
    if percent < validation:
        return "validation"
    return "test" if percent < validation + test else "train"


def read_wav(content: bytes, name: str = "content") -> NDArray[np.int16]:
    """Samples of a wav file: one channel, 16 bits, 16 kHz.

    Raises:
        DataError: It is not a wav file of this kind.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            kind = file.getnchannels(), file.getsampwidth(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise DataError(f"{name} is damaged: it is no readable wav file ({error}).") from error
    if kind != (1, 2, RATE):
        raise DataError(
            f"{name} has {kind[0]} channels of {8 * kind[1]} bits at {kind[2]} Hz; "
            f"expected 1 channel of 16 bits at {RATE} Hz."
        )
    return np.frombuffer(frames[: len(frames) // 2 * 2], "<i2").astype(np.int16)


# -- features ----------------------------------------------------------------------------------


def mel_features(
    waves: NDArray[np.floating | np.integer], n_mels: int = 32, n_fft: int = 1024, hop: int = 400
) -> NDArray[np.float32]:
    """Logarithm of the power in mel bands, z-scored over each recording.

    Args:
        waves: Shape (sample, time), at 16 kHz; int16 or in -1 ... 1.
        n_mels: Number of bands from 0 to 8 kHz.
        n_fft: Length of the Hann window [samples].
        hop: Distance of the windows, which are centred on the samples 0, hop, ... [samples].

    Returns:
        log2(power + 1e-9), shape (sample, 1 + time // hop, n_mels), mean 0 and standard
        deviation 1 per recording: 41 x 32 for one second.

    Raises:
        InputError: `waves` has not two axes or is shorter than half a window.

    Source:
        Ellenberger et al. (2024), released code: 32 bands, window 1024, hop 400. Window, edges
        (mirrored) and bands (HTK, height 1) are torchaudio's defaults.
    """
    shape("waves", waves, (None, None))
    if waves.shape[1] <= n_fft // 2:
        raise InputError(
            f"`waves` has {waves.shape[1]} samples; more than {n_fft // 2}, half a window, "
            "are needed to mirror the edges."
        )
    bands = mel_bands(n_mels, n_fft)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    features = np.empty((len(waves), 1 + waves.shape[1] // hop, n_mels), np.float32)
    for start in range(0, len(waves), 256):  # the spectra of all at once would not fit
        part = np.pad(_as_float(waves[start : start + 256]), ((0, 0), (n_fft // 2,) * 2), "reflect")
        frames = np.lib.stride_tricks.sliding_window_view(part, n_fft, axis=1)[:, ::hop]
        power = np.square(np.abs(np.fft.rfft(frames * window, axis=-1)))
        log = np.log2(power @ bands + 1e-9)
        mean, sd = log.mean((1, 2), keepdims=True), log.std((1, 2), keepdims=True)
        features[start : start + 256] = (log - mean) / np.maximum(sd, 1e-9)
    return features


def mel_bands(n_mels: int, n_fft: int) -> NDArray[np.float64]:
    """Triangles of height 1, equidistant in mel = 2595 log10(1 + f / 700 Hz).

    Returns:
        Weights from spectrum to bands, shape (n_fft // 2 + 1, n_mels).
    """
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, n_mels + 2) / 2595) - 1)
    f = np.linspace(0, RATE / 2, n_fft // 2 + 1)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0, np.minimum((f - low) / (centre - low), (high - f) / (high - centre)))


# -- augmentation ------------------------------------------------------------------------------


def augmented(
    waves: NDArray[np.integer | np.floating],
    noise: tuple[NDArray[np.int16], ...],
    rng: np.random.Generator,
    *,
    share: float = 0.8,
    levels: tuple[float, ...] = (20.0, 10.0, 3.0),
    shift: int = 1600,
) -> NDArray[np.float32]:
    """Recordings with noise behind them and moved in time, differently at every call.

        wave <- (scale wave + noise) / 2,    scale = exp(level / 10) |noise| / |wave|

    Args:
        waves: Shape (sample, time), at 16 kHz.
        noise: Recordings, each as long as a wave at least; none for no noise.
        rng: Source of all choices.
        share: Share of the recordings that are mixed with noise.
        levels: Of which one is drawn each time.
        shift: Largest move, forwards or backwards, filled with zeros [samples].

    Returns:
        Waves of the same shape, float32; about -1 ... 1 where no noise was added.

    Raises:
        InputError: `share` is not between 0 and 1, or a recording of noise is too short.

    Source:
        Ellenberger et al. (2024), released code.
    """
    in_range("share", share, 0, 1)
    in_range("shift", shift, 0, unit="samples")
    moved = _as_float(waves).copy()
    length = moved.shape[1]
    for i, name in enumerate(noise):
        in_range(f"len(noise[{i}])", len(name), length, unit="samples")
    for row in moved:
        if noise and rng.random() < share:
            recording = noise[rng.integers(len(noise))]
            start = rng.integers(len(recording) - length + 1)
            behind = _as_float(recording[start : start + length])
            loudness = np.exp(rng.choice(levels) / 10)
            ratio = np.linalg.norm(behind) / max(float(np.linalg.norm(row)), 1e-9)
            row[:] = (loudness * ratio * row + behind) / 2
        by = int(rng.integers(-shift, shift + 1))
        row[:] = np.roll(row, by)
        row[slice(by) if by > 0 else slice(length + by, None)] = 0
    return moved


def balanced_order(
    labels: NDArray[np.integer], n: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """`n` indices, drawn with replacement, in which all classes that occur are equally likely."""
    _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weight = 1.0 / counts[index]
    return rng.choice(labels.size, n, p=weight / weight.sum())


# -- files -------------------------------------------------------------------------------------


Files = Iterator[tuple[str, str, bytes]]
"""Word, file name and content of every wav file, in no particular order."""


def _files(root: str | os.PathLike[str] | None) -> tuple[str, Files]:
    """Where the files come from, and the files."""
    for folder in folders(SOURCE, root):
        if (folder / NOISE).is_dir():
            return "wav files from a folder, not verified", _unpacked(folder)
    (path,) = located(SOURCE, root, "It may also be unpacked there, a folder per word.")
    verify(path, SOURCE.files[0], refetch(SOURCE, root))
    return "archive verified by its SHA-256", _packed(path)


def _unpacked(folder: Path) -> Files:
    for path in sorted(folder.glob("*/*.wav")):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from error
        yield path.parent.name, path.name, content


def _packed(path: Path) -> Files:
    """Straight out of the archive; nothing is written to disk."""
    try:
        with opened(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                parts = member.name.removeprefix("./").split("/")
                if not member.isreg() or len(parts) != 2 or not parts[1].endswith(".wav"):
                    continue
                if member.size > LONGEST:
                    raise DataError(
                        f"{path} is not trusted: its `{member.name}` has {member.size:,} bytes; "
                        f"at most {LONGEST:,} are expected."
                    )
                content = archive.extractfile(member)
                assert content is not None  # regular files have content
                yield parts[0], parts[1], content.read()
    except tarfile.TarError as error:
        raise DataError(f"{path} is damaged: it is no readable tar archive ({error}).") from error


def _twelve_classes(
    words: dict[str, dict[str, NDArray[np.int16]]],
    noise: dict[str, NDArray[np.int16]],
    unknown: float,
    silence: float,
    rng: np.random.Generator,
) -> Samples:
    """One split, its order shuffled."""
    waves: list[NDArray[np.int16]] = []
    labels: list[int] = []
    strangers: list[NDArray[np.int16]] = []
    for word in sorted(words):
        found = [words[word][name] for name in sorted(words[word])]
        if word in CLASSES[2:]:
            waves += found
            labels += [CLASSES.index(word)] * len(found)
        else:
            strangers += found
    n = len(waves)
    chosen = rng.permutation(len(strangers))[: int(np.ceil(unknown * n))]
    waves += [strangers[i] for i in chosen]
    labels += [0] * len(chosen)
    recordings = [noise[name] for name in sorted(noise) if len(noise[name]) >= RATE]
    for _ in range(int(np.ceil(silence * n)) if recordings else 0):
        recording = recordings[rng.integers(len(recordings))]
        start = rng.integers(len(recording) - RATE + 1)
        volume = rng.random()
        waves.append((volume * recording[start : start + RATE]).astype(np.int16))
        labels.append(1)
    if not waves:
        raise DataError("The data set `speech_commands` has a split without any of its ten words.")
    order = rng.permutation(len(waves))
    return Samples(np.stack([waves[i] for i in order]), np.array(labels)[order])


def _second(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """One second: cut at the end, or filled with zeros."""
    return np.pad(samples[:RATE], (0, max(0, RATE - samples.size)))


def _as_float(waves: NDArray) -> NDArray[np.float32]:
    """Amplitudes in -1 ... 1."""
    scale = 2**15 if waves.dtype == np.int16 else 1
    return waves.astype(np.float32) / np.float32(scale)
