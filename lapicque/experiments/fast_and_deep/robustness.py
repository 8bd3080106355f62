"""Robustness: first-spike times on an imperfect substrate

Networks learn Yin-Yang while their weights are clipped or coarse, their time constants differ
from neuron to neuron, or spikes arrive with jitter. The imperfection is in the loop: spike times
are those of the imperfect neurons, derivatives those of the nominal ones. Every level of an
imperfection is a training of its own, and it stays on when the network is examined. Accuracy
dips from epoch to epoch; compared are means on the validation set over the last fifth of epochs.

A few silent label neurons are tolerated while learning, as on the chip. Weights of b bits lie on
2^b - 1 levels within +- 4. The chip has 7 bits within +- 2.1, but five synapses for each input.
Of the published figure only the finding is known: accuracy falls gracefully. The levels and the
limits of the claims are therefore choices made here.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lapicque._checks import InputError, in_range, positive
from lapicque.experiments._spike_times import Build, train
from lapicque.experiments.fast_and_deep._parts import (
    CITES as CITES,
    WORK,
    YinYangConfig,
    yin_yang_times,
)
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import MUTED, subplots
from lapicque.spiketime import Bumping, Imperfections, Layer, Network, quantise

UNLIMITED, FINE = 1e3, 1e-6  # a limit and a step that change nothing


@dataclass(frozen=True)
class Config(YinYangConfig):
    """Settings of the robustness experiment; levels of an imperfection go from mild to strong."""

    limits: tuple[float, ...] = (4.0, 2.1, 1.0, 0.5)  # largest size of a weight
    bits: tuple[int, ...] = (7, 5, 4, 3)  # of weights within +- `bits_limit`
    bits_limit: float = 4.0
    spreads: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)  # of time constants, relative
    jitters: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)  # of arrival times [tau_s]

    def __post_init__(self):
        super().__post_init__()
        positive("limits", list(self.limits))
        in_range("bits", list(self.bits), 2, 16)
        positive("bits_limit", self.bits_limit)
        in_range("spreads", list(self.spreads), 0, 1)
        in_range("jitters", list(self.jitters), 0, unit="tau_s")
        for name in ("limits", "bits", "spreads", "jitters"):
            values = list(getattr(self, name))
            if not values or values != sorted(values, reverse=name in ("limits", "bits")):
                raise InputError(f"`{name}` is {tuple(values)}; it must go from mild to strong.")


PRESETS = {
    "smoke": Config(
        n_networks=1, epochs=1, hidden=8, limits=(2.1,), bits=(3,), spreads=(0.1,), jitters=(0.1,)
    ),
    "quick": Config(
        n_networks=1,
        epochs=30,
        limits=(4.0, 2.1, 1.0),
        bits=(7, 4, 3),
        spreads=(0.1, 0.4),
        jitters=(0.05, 0.2),
    ),
    "paper": Config(n_networks=5),
}

_SOURCE = f"{WORK}, figure 5, from memory: graceful degradation; no number known"
_MILDEST = {
    "limit": "The mildest clipping of weights",
    "bits": "The finest resolution of weights",
    "spread": "The smallest spread of time constants",
    "jitter": "The smallest jitter of arrival times",
}
CLAIMS = (
    *(
        Claim(
            f"mild_{kind}",
            f"{what} costs no more than five points of accuracy",
            f"loss_by_least_{kind}",
            Certainty.NOT_VERIFIED,
            _SOURCE,
            at_most=0.05,
        )
        for kind, what in _MILDEST.items()
    ),
    Claim(
        "graceful",
        "Even the strongest imperfection leaves more than a linear classifier reaches, 64 %",
        "worst_accuracy",
        Certainty.NOT_VERIFIED,
        _SOURCE,
        at_least=0.64,
    ),
)


class Graded(Layer):
    """A layer whose imperfections are arrays, so that one program serves all sizes of them.

    Attributes:
        limit, step: Of weights.
        jitter: Of arrival times [tau_s]; `None` for none.
    """

    limit: Float[Array, ""] | float = UNLIMITED
    step: Float[Array, ""] | float = FINE
    jitter: Float[Array, ""] | None = None

    def held(self) -> Float[Array, "post pre"]:
        """The weights, clipped and rounded; the gradient passes."""
        clipped = self.limit * quantise(self.weights / self.limit, limit=1.0)
        return self.step * quantise(clipped / self.step, step=1.0)

    def arrival(self, times: Float[Array, "*batch pre"], key: Array | None = None):
        """Arrival times with jitter."""
        times, per_synapse = super().arrival(times)
        if self.jitter is None or key is None:
            return times, per_synapse
        noise = jax.random.normal(key, (*times.shape[:-1], *self.weights.shape), times.dtype)
        return jnp.maximum(times[..., None, :] + self.jitter * noise, 0), True


def graded(
    network: Network, limit: float = UNLIMITED, step: float = FINE, jitter: float | None = None
) -> Network:
    """The same network with imperfect weights or arrival times."""

    def one(layer: Layer) -> Graded:
        return Graded(
            layer.weights,
            neuron=layer.neuron,
            bias=layer.bias,
            drop_above=layer.drop_above,
            limit=jnp.asarray(limit, jnp.float32),
            step=jnp.asarray(step, jnp.float32),
            jitter=None if jitter is None else jnp.asarray(jitter, jnp.float32),
        )

    return Network(tuple(map(one, network.layers)))


def spread(network: Network) -> Network:
    """The same network, its static part alike for every spread of time constants."""
    some = Imperfections(tau_spread=1.0)

    def one(layer: Layer) -> Layer:
        substrate = layer.substrate
        return replace(layer, substrate=substrate and replace(substrate, imperfections=some))

    return Network(tuple(map(one, network.layers)))


def run(config: Config, seed: int, session) -> Outcome:
    """Train at every level; three programs: imperfect weights, time constants, arrival times."""

    def weights(limit: float = UNLIMITED, step: float = FINE) -> Build:
        return lambda key: graded(config.network(key), limit=limit, step=step)

    def mismatch(size: float) -> Build:
        return lambda key: spread(config.network(key, Imperfections(tau_spread=size)))

    def jitter(size: float) -> Build:
        return lambda key: graded(config.network(key), jitter=size)

    steps = [config.bits_limit / (2 ** (bits - 1) - 1) for bits in config.bits]
    groups: dict[str, dict[tuple[str, float], Build]] = {
        "weights": {
            ("ideal", 0.0): weights(),
            **{("limit", limit): weights(limit) for limit in config.limits},
            **{
                ("bits", float(bits)): weights(config.bits_limit, step)
                for bits, step in zip(config.bits, steps, strict=True)
            },
        },
        "spread": {("spread", size): mismatch(size) for size in config.spreads},
        "jitter": {("jitter", size): jitter(size) for size in config.jitters},
    }
    data = yin_yang_times()
    trainer = replace(config.trainer, bumping=Bumping((0.3, 0.05)))
    last = max(config.epochs // 5, 1)
    found: dict[str, list[np.ndarray]] = {}
    metrics = {}
    for label, builds in groups.items():
        result = train(
            label,
            [build for build in builds.values() for _ in range(config.n_networks)],
            trainer,
            data,
            epochs=config.epochs,
            n_networks=len(builds) * config.n_networks,
            seed=seed,
            session=session,
            noisy=label == "jitter",
        )
        shape = len(builds), config.n_networks
        accuracies = result.history["validation"][-last:].mean(axis=0).reshape(shape)
        for (kind, level), own, test in zip(
            builds, accuracies, result.test.reshape(shape), strict=True
        ):
            found.setdefault(kind, []).append(own)
            name = kind if kind == "ideal" else f"{kind}_{level:g}"
            metrics[f"{name}_accuracy"] = float(np.median(own))
            metrics[f"{name}_test_accuracy"] = float(np.median(test))
    recordings = {kind: np.stack(rows) for kind, rows in found.items()}
    medians = {kind: np.median(rows, axis=1) for kind, rows in recordings.items()}
    for kind in _MILDEST:
        metrics[f"loss_by_least_{kind}"] = metrics["ideal_accuracy"] - float(medians[kind][0])
    metrics["worst_accuracy"] = float(min(rows.min() for rows in medians.values()))
    return Outcome(metrics, recordings, {"yin_yang": data.origin})


def figures(outcome: Outcome, config: Config):
    """Accuracy against the level of each imperfection, one point per network."""
    figure, axes = subplots(2, 2, height=4.6, sharey=True)
    ideal = 100 * outcome.metrics["ideal_accuracy"]
    levels = {
        "limit": (config.limits, "largest weight"),
        "bits": (config.bits, f"bits per weight within +-{config.bits_limit:g}"),
        "spread": (config.spreads, "spread of time constants, relative"),
        "jitter": (config.jitters, "jitter of arrival times [tau_s]"),
    }
    for axis, (kind, (values, label)) in zip(axes.ravel(), levels.items(), strict=True):
        accuracy = 100 * outcome.recordings[kind]
        axis.axhline(ideal, color=MUTED, ls="--", lw=1, label="ideal substrate")
        axis.plot(values, np.median(accuracy, axis=1), "o-")
        if accuracy.shape[1] > 1:
            axis.plot(values, accuracy, ".", color=MUTED, ms=3)
        axis.set_xlabel(label)
        if kind in ("limit", "bits"):
            axis.invert_xaxis()
        else:
            axis.set_xlim(left=0)
    for row in axes:
        row[0].set_ylabel("accuracy [%]")
    axes[0, 0].legend(loc="lower left")
    return {"robustness": figure}
