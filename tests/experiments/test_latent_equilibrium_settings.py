"""Settings, seeds and missing data of the experiments on Latent Equilibrium."""

import numpy as np
import pytest

from lapicque._checks import DataError, InputError
from lapicque.lab import Quiet
from lapicque.lab.registry import load


def test_seeds_differ_and_repeat():
    experiment = load("latent_equilibrium/fourier_synthesis")
    config = experiment.presets["smoke"]
    first, again, other = (
        experiment.run(config, seed, Quiet()).recordings["output"] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("tau", 0.01, r"`tau` is 0\.01 ms; it must be at least 0\.1 ms.*`dt`"),
        ("beta", -1.0, r"`beta` is -1; it must be at least 0"),
        ("epochs", 0, r"`epochs` is 0; it must be at least 1"),
        ("dt", 0.0, r"`dt` is 0 ms; it must be above 0 ms"),
        ("factors", (1.0, 1.0), r"`factors` has 2 entries; the network has 3 layers"),
        ("batch", 5000, r"`batch` is 5000 samples; it must lie between 1 and 1437"),
    ],
)
def test_bad_settings(field, value, message):
    experiment = load("latent_equilibrium/digits")
    settings = vars(experiment.presets["smoke"]) | {field: value}
    with pytest.raises(InputError, match=message):
        experiment.run(experiment.Config(**settings), 0, Quiet())


def test_missing_data_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("LAPICQUE_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    experiment = load("latent_equilibrium/cifar10_lenet")
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz"):
        experiment.run(experiment.presets["quick"], 0, Quiet())
