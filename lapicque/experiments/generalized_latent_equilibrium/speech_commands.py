"""Speech Commands: spoken words, learned on line from their spectrum

Three hidden layers, each with five groups of neurons of different time constants, hear 32 mel bands
over 820 steps and tell ten words, silence and other words apart. Noise and shifts vary every word
in every epoch. The published setting wants a GPU and days.

The quick and smoke presets need no recordings: there, a "word" is one of four tones followed by
another. Twelve ordered pairs make twelve classes, and a network without memory cannot tell a pair
from its reverse. Results on these tones say nothing about speech.
"""

from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from lapicque._checks import InputError, in_range
from lapicque.data import (
    DataSet,
    Samples,
    SpeechCommands,
    augmented,
    balanced_order,
    mel_features,
    speech_commands,
)
from lapicque.experiments.generalized_latent_equilibrium._sequences import (
    Model,
    SequenceConfig,
    learning_curves,
    train,
    uniform,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.rate import Layer, Network, Neurons, Nudging, cross_entropy, identity, swapped

MELS = 32


@dataclass(frozen=True)
class Config(SequenceConfig):
    """Settings of the speech network."""

    epochs: int = 420
    batch: int = 256
    test_batch: int = 256
    dt: float = 0.05  # ms
    learning_rate: float = 1.953125e-5  # of Adam, per step: 5e-4 * dt * 625 / 800
    patience: int = 3
    factor: float = 0.9
    stretch: int = 20  # steps per frame of the spectrum
    source: Literal["speech", "tones"] = "speech"  # real recordings or stand-ins
    samples: int = 600  # tones to train on; a quarter as many to validate and to test
    depth: int = 3  # hidden layers
    group: int = 150  # neurons per group
    tau_m: tuple[float, ...] = (2.4, 0.6, 1.2, 1.8, 2.4)  # ms, of the groups of a hidden layer
    tau_r: tuple[float, ...] = (2.4, 0.1, 0.1, 0.1, 0.1)  # ms

    def __post_init__(self):
        super().__post_init__()
        for name in ("depth", "group"):
            in_range(name, getattr(self, name), 1)
        in_range("samples", self.samples, 48)
        for name in ("tau_m", "tau_r"):
            in_range(name, list(getattr(self, name)), self.dt, unit="ms")
        if len(self.tau_m) != len(self.tau_r):
            raise InputError(
                f"`tau_m` names {len(self.tau_m)} groups and `tau_r` {len(self.tau_r)}; "
                "each group needs one of each."
            )


PRESETS = {
    "smoke": Config(
        epochs=1, batch=12, test_batch=12, stretch=2, source="tones", samples=48, depth=1, group=2
    ),
    "quick": Config(
        epochs=15,
        batch=50,
        test_batch=150,
        dt=0.1,
        stretch=5,
        learning_rate=1e-3,
        patience=1,
        factor=0.5,
        source="tones",
        depth=2,
        group=10,
    ),
    "paper": Config(),
}

CLAIMS = (
    Claim(
        "accuracy",
        "On-line learning classifies spoken words as well as published",
        "validation_accuracy",
        Certainty.RELEASED_DATA,
        "Ellenberger et al. (2024), figure 8e: released data, 91.44 ± 0.22 % over 10 seeds",
        at_least=0.904,
        published=0.914,
        presets=("paper",),
    ),
    Claim(
        "order",
        "The network tells tones apart by their order, which takes a memory",
        "validation_accuracy",
        Certainty.NOT_VERIFIED,
        "own stand-in task: 50 % is the best that can be had without memory, chance is 8.3 %",
        at_least=0.8,
        presets=("quick",),
    ),
)

CITES = ("ellenberger2024backpropagation", "warden2018speech")


def build(key, config: Config, classes: int) -> Network:
    """Hidden layers of groups with their own time constants; the first one is linear."""
    width = config.group * len(config.tau_m)
    tau_m, tau_r = (
        jnp.repeat(jnp.array(tau), config.group) for tau in (config.tau_m, config.tau_r)
    )
    sizes = [MELS] + [width] * config.depth
    layers = []
    for i in range(config.depth):
        synapses = uniform(jax.random.fold_in(key, i), sizes[i], sizes[i + 1])
        neurons = Neurons(tau_m, tau_r, jnp.tanh if i else identity)
        layers.append(Layer(synapses, neurons, error_filter=swapped))
    synapses = uniform(jax.random.fold_in(key, config.depth), width, classes)
    output = Neurons(config.tau_m[0], config.tau_m[0], identity)
    layers.append(Layer(synapses, output, error_filter=swapped))
    return Network(layers, (MELS,), Nudging(config.beta, cross_entropy), coupling=0.0)


def tones(samples: int, seed: int) -> SpeechCommands:
    """Stand-in words: one of four tones, then another, at random times, before white noise."""
    rng = np.random.default_rng(seed)
    pairs = np.array(list(permutations((300.0, 700.0, 1500.0, 3000.0), 2)))
    time = np.arange(16_000) / 16_000

    def draw(n: int) -> Samples:
        labels = rng.permutation(np.arange(n) % len(pairs))
        begin = rng.uniform(0.1, 0.3, (n, 1))
        length = rng.uniform(0.2, 0.3, (n, 1))
        since = time - begin
        now = (since >= 0).astype(int) + (since >= length) + (since >= 2 * length)
        pitch = np.pad(pairs, ((0, 0), (1, 1)))[labels]  # silent before and after
        waves = np.sin(2 * np.pi * np.take_along_axis(pitch, now, axis=1) * time)
        waves += 0.05 * rng.standard_normal(waves.shape)
        return Samples((8000 * waves).astype(np.int16), labels)

    train, validation, test = draw(samples), draw(samples // 4), draw(samples // 4)
    noise = (rng.normal(0, 1000, 48_000).astype(np.int16),)
    origin = f"SYNTHETIC stand-in for spoken words: {samples:,} pairs of tones, seed {seed}"
    data = DataSet("tones", len(pairs), train, validation, test, origin, synthetic=True)
    return SpeechCommands(data, noise)


def run(config: Config, seed: int, session) -> Outcome:
    """Train one network; the validation split steers the learning rate, the test comes last."""
    real = config.source == "speech"
    data, noise = speech_commands() if real else tones(config.samples, seed)

    def heard(samples: Samples) -> Samples:
        return Samples(mel_features(samples.inputs), samples.labels)

    def varied(epoch: int) -> Samples:
        rng = np.random.default_rng((seed, epoch))
        chosen = balanced_order(data.train.labels, len(data.train), rng)
        waves = augmented(data.train.inputs[chosen], noise, rng)
        return Samples(mel_features(waves), data.train.labels[chosen])

    assert data.validation is not None  # both sources have one
    taught, validation, test = map(heard, (data.train, data.validation, data.test))
    spectra = DataSet(data.name, data.n_classes, taught, validation, test, data.origin)
    model = Model(None, build(jax.random.key(seed), config, data.n_classes))
    trained = train("epochs", model, config, spectra, seed, session, renew=varied)
    example = validation.inputs[0]
    return Outcome(
        metrics={
            "validation_accuracy": trained.accuracy,
            "test_accuracy": trained.tested(spectra.test, config),
            "parameters": float(model.size),
        },
        recordings={**trained.history, "spectrum": example},
        data={data.name: data.origin},
    )


def figures(outcome: Outcome, config: Config):
    """Validation accuracy against epoch."""
    heard = "speech" if config.source == "speech" else "tones, not speech"
    return {"learning": learning_curves({heard: outcome.recordings["accuracy"]}, chance=1 / 12)}
