"""The loader on a handful of generated recordings in the layout of the real ones."""

import hashlib
import io
import tarfile
import wave
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from lapicque._checks import DataError, InputError
from lapicque.data import File, augmented, balanced_order, mel_features, speech_commands
from lapicque.data.speech_commands import CLASSES, mel_bands, read_wav, split_of

module = import_module("lapicque.data.speech_commands")
WORDS = ("yes", "no", "go", "bed", "cat")
SPEAKERS = 40


def wav(samples, rate=16_000, channels=1) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return buffer.getvalue()


def tone(frequency, seconds=1.0, amplitude=8000):
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(16_000 * seconds)) / 16_000)


@pytest.fixture(scope="session")
def recordings():
    """Content by path: every word spoken by every speaker, some shorter than a second."""
    files = {}
    for i, word in enumerate(WORDS):
        for speaker in range(SPEAKERS):
            seconds = 1.0 if speaker % 3 else 0.7
            content = wav(tone(300 * (i + 1), seconds))
            files[f"{word}/{speaker:08x}_nohash_0.wav"] = content
    rng = np.random.default_rng(0)
    for name in ("hum", "rain"):
        files[f"_background_noise_/{name}.wav"] = wav(rng.integers(-3000, 3000, 30_000))
    files["_background_noise_/README.md"] = b"text"
    files["testing_list.txt"] = b"no/00000000_nohash_0.wav"
    return files


@pytest.fixture
def folder(bare, recordings):
    for path, content in recordings.items():
        target = bare / "speech_commands" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return bare / "speech_commands"


@pytest.fixture
def archive(bare, monkeypatch, recordings):
    """The same in an archive with a matching checksum."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path, content in recordings.items():
            info = tarfile.TarInfo(f"./{path}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    content = buffer.getvalue()
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    file = File(module.SOURCE.files[0].name, len(content), checksum, gzip=False)
    monkeypatch.setattr(module, "SOURCE", replace(module.SOURCE, files=(file,)))
    path = bare / "speech_commands" / file.name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("bed/026290a7_nohash_0.wav", "validation"),
        ("bed/060cd039_nohash_0.wav", "validation"),
        ("right/a69b9b3e_nohash_0.wav", "validation"),
        ("bed/0c40e715_nohash_0.wav", "test"),
        ("bed/0ea0e2f4_nohash_0.wav", "test"),
        ("right/bb05582b_nohash_3.wav", "test"),
    ],
)
def test_split_is_the_official_one(name, split):
    """Names from the lists that come with the data."""
    assert split_of(name) == split


def test_speakers_stay_together_and_shares_are_kept():
    assert split_of("bed/0a7c2a8d_nohash_0.wav") == split_of("0a7c2a8d_nohash_4.wav")
    splits = [split_of(f"{i:08x}_nohash_0.wav") for i in range(5000)]
    for name in ("validation", "test"):
        assert splits.count(name) / 5000 == pytest.approx(0.1, abs=0.015)


def test_folder_and_archive_hold_the_same(folder, request):
    from_folder = speech_commands(root=folder)
    assert "not verified" in from_folder.data.origin
    names = {split_of(f"{i:08x}_nohash_0.wav") for i in range(SPEAKERS)}
    assert names == {"train", "validation", "test"}
    for path in folder.rglob("*.wav"):
        path.unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()
    request.getfixturevalue("archive")
    packed = speech_commands()
    assert "SHA-256" in packed.data.origin
    for name, split in packed.data.splits.items():
        np.testing.assert_array_equal(split.inputs, from_folder.data.splits[name].inputs)
        np.testing.assert_array_equal(split.labels, from_folder.data.splits[name].labels)


def test_classes_and_their_shares(folder):
    data, noise = speech_commands(unknown=0.2, silence=0.1)
    assert data.n_classes == 12
    assert data.shape == (16_000,)
    assert len(noise) == 2
    counts = np.bincount(data.train.labels, minlength=12)
    words = counts[2:].sum()
    assert set(np.flatnonzero(counts)) == {0, 1, *(CLASSES.index(w) for w in ("yes", "no", "go"))}
    assert counts[0] == np.ceil(0.2 * words)
    assert counts[1] == np.ceil(0.1 * words)
    label = CLASSES.index("no")
    spectrum = np.abs(np.fft.rfft(data.train.inputs[data.train.labels == label][0]))
    assert 590 <= spectrum.argmax() <= 610


def test_short_recordings_end_with_zeros(folder):
    (folder / "yes" / "00000000_nohash_0.wav").write_bytes(wav(np.full(100, 7)))
    data, _ = speech_commands()
    found = [s.inputs[(s.inputs[:, 0] == 7)] for s in data.splits.values()]
    (row,) = np.concatenate(found)
    assert row[:100].tolist() == [7] * 100
    assert not row[100:].any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RIFF", "damaged: it is no readable wav"),
        (wav(np.zeros(10), rate=8000), "1 channel.* at 8000 Hz; expected .* 16000 Hz"),
        (wav(np.zeros(10), channels=2), "has 2 channels"),
    ],
)
def test_other_files_are_refused(content, message):
    with pytest.raises(DataError, match=message):
        read_wav(content, "yes/a.wav")


def test_what_is_missing_is_named(bare):
    with pytest.raises(DataError, match=r"(?s)speech_commands_v0.02.tar.gz.*data fetch speech"):
        speech_commands()


def test_a_damaged_archive_is_refused(archive):
    archive.write_bytes(archive.read_bytes()[:-5])
    with pytest.raises(DataError, match="its sha256 is"):
        speech_commands()


def test_a_folder_without_a_split_is_refused(folder):
    for path in folder.glob("*/*_nohash_*"):
        if split_of(path.name) == "test":
            path.unlink()
    with pytest.raises(DataError, match="has no test recordings"):
        speech_commands()


def test_a_tone_is_strongest_in_its_band():
    bands = mel_bands(32, 1024)
    assert bands.shape == (513, 32)
    assert bands.max() <= 1
    waves = np.stack([tone(f, amplitude=1.0) for f in (500.0, 1000.0, 3000.0)])
    features = mel_features(waves)
    assert features.shape == (3, 41, 32)
    for row, f in zip(features, (500, 1000, 3000), strict=True):
        mel = 2595 * np.log10(1 + f / 700)
        expected = mel / (2595 * np.log10(1 + 8000 / 700)) * 33 - 1
        assert abs(row[20].argmax() - expected) <= 1


def test_features_have_mean_0_and_deviation_1_and_ignore_loudness():
    rng = np.random.default_rng(0)
    waves = rng.normal(size=(300, 4000))
    features = mel_features(waves)
    np.testing.assert_allclose(features.mean((1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(features.std((1, 2)), 1, atol=1e-4)
    np.testing.assert_allclose(mel_features(0.5 * waves), features, atol=1e-3)


def test_power_is_that_of_a_windowed_fourier_transform():
    """Against SciPy's short-time transform, in the middle where no edge is mirrored."""
    from scipy.signal import ShortTimeFFT
    from scipy.signal.windows import hann

    x = np.random.default_rng(1).normal(size=16_000)
    transform = ShortTimeFFT(hann(1024, sym=False), 400, 16_000)
    power = np.abs(transform.stft(x)) ** 2
    index = np.flatnonzero(np.isclose(transform.t(16_000), 20 * 400 / 16_000))[0]
    log = np.log2(power[:, index] @ mel_bands(32, 1024) + 1e-9)
    ours = mel_features(x[None])[0, 20]
    assert np.corrcoef(log, ours)[0, 1] > 0.999999


def test_noise_at_the_stated_level():
    rng = np.random.default_rng(0)
    waves = np.stack([tone(440)] * 50).astype(np.int16)
    noise = (rng.integers(-3000, 3000, 40_000).astype(np.int16),)
    clean = waves[0] / 2**15
    for level in (20.0, 3.0):
        mixed = augmented(waves, noise, rng, share=1.0, levels=(level,), shift=0)
        for row in mixed[:5]:
            gain = row @ clean / (clean @ clean)
            rest = row - gain * clean
            ratio = np.linalg.norm(gain * clean) / np.linalg.norm(rest)
            assert ratio == pytest.approx(np.exp(level / 10), rel=0.05)


def test_shift_fills_with_zeros():
    waves = np.ones((200, 16_000), np.int16) * 2**14
    moved = augmented(waves, (), np.random.default_rng(0))
    assert set(np.unique(moved)) == {0.0, 0.5}
    lengths = (moved != 0).sum(1)
    assert lengths.min() >= 16_000 - 1600
    assert {0.0, 0.5} == set(moved[:, 0].tolist()) == set(moved[:, -1].tolist())
    assert np.all(waves == 2**14)
    with pytest.raises(InputError, match=r"`len\(noise\[0\]\)` is 5 samples"):
        augmented(waves, (np.zeros(5, np.int16),), np.random.default_rng(0))


def test_balanced_order_makes_rare_classes_frequent():
    labels = np.repeat([0, 2], [900, 100])
    order = balanced_order(labels, 4000, np.random.default_rng(0))
    assert np.mean(labels[order] == 2) == pytest.approx(0.5, abs=0.04)
