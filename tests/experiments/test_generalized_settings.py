"""Settings and missing data of the experiments on learning through time."""

import numpy as np
import pytest

from lapicque._checks import DataError, InputError
from lapicque.experiments.generalized_latent_equilibrium import speech_commands as speech
from lapicque.lab import Quiet
from lapicque.lab.registry import load


@pytest.mark.parametrize(
    ("name", "field", "value", "message"),
    [
        ("mackey_glass", "steps", 250, r"`steps` is 250 ms; .* multiple of `window`, 100 ms"),
        ("mackey_glass", "credits", ("bp",), "`credits` is 'bp'"),
        ("robustness", "spreads", (0.4, 0.1), "`spreads` is .* ascending"),
        ("speech_commands", "tau_r", (1.0,), "5 groups and `tau_r` 1"),
        ("mnist1d_lagnet_mlp", "tau_max", 0.1, r"`tau_max` is 0\.1 ms"),
    ],
)
def test_bad_settings(name, field, value, message):
    experiment = load(f"generalized_latent_equilibrium/{name}")
    settings = vars(experiment.presets["smoke"]) | {field: value}
    with pytest.raises(InputError, match=message):
        experiment.Config(**settings)


def test_speech_without_recordings_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("LAPICQUE_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DataError, match=r"speech_commands_v0.02.tar.gz"):
        speech.run(speech.PRESETS["paper"], 0, Quiet())


def test_tones_differ_in_their_order_alone():
    """A pair and its reverse have the same mean spectrum."""
    data, _ = speech.tones(240, 0)
    assert data.synthetic
    power = np.abs(np.fft.rfft(data.train.inputs.astype(float), axis=1)).astype(np.float32)
    pairs = list(speech.permutations(range(4), 2))
    for label, (first, second) in enumerate(pairs):
        reverse = pairs.index((second, first))
        one, other = (power[data.train.labels == k].mean(0) for k in (label, reverse))
        smooth = [np.convolve(x, np.ones(50), "same") for x in (one, other)]
        assert np.corrcoef(*smooth)[0, 1] > 0.98


def test_speech_network_has_the_published_size():
    import jax

    shapes = jax.eval_shape(lambda: speech.build(jax.random.key(0), speech.Config(), 12))
    sizes = (a.size for p in shapes.parameters for a in jax.tree.leaves(p.synapses))
    assert sum(sizes) == 1_160_262
