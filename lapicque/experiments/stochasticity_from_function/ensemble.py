"""Sampling networks that are each other's noise

Networks of LIF neurons usually sample under Poisson noise. Here the only input of each network,
besides its own synapses, are spikes of the other networks; nothing is random but the initial
potentials. Such a background is neither Poisson nor uncorrelated, and the networks sample something
else than they should, until they learn: each compares its own statistics with those of its target.
"""

from dataclasses import dataclass

import numpy as np

from lapicque._checks import in_range, one_of, positive
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, MUTED, subplots
from lapicque.sampling.calibration import calibrate
from lapicque.sampling.lif import LIFSampler
from lapicque.sampling.noise import Ensemble
from lapicque.sampling.observables import empirical, kl, kl_floor
from lapicque.sampling.target import Boltzmann, beta_ensemble
from lapicque.spiking.models import BOMBARDED

_WARM_UP = 200  # samples
_BEFORE = 5.0  # mV below threshold from which initial potentials are drawn


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    networks: int = 20
    units: int = 6  # per network
    scale: float = 1.2  # range of weights and biases
    preset: str = "dold_coba"  # of `BOMBARDED`
    in_degree: tuple[int, int] = (40, 40)  # excitatory and inhibitory inputs from other networks
    steps: int = 300  # of learning
    duration: float = 5000.0  # of a run between two steps [ms]
    eta: float = 0.3  # learning rate at the start
    decay: float = 150.0  # steps after which it has halved
    test: float = 50_000.0  # ms
    interval: float = 1.0  # between two readings of the states [ms]
    dt: float = 0.1  # ms

    def __post_init__(self):
        in_range("networks", self.networks, 2)
        in_range("units", self.units, 2, 10)
        positive("scale", self.scale)
        one_of("preset", self.preset, BOMBARDED)
        in_range("in_degree", self.in_degree, 1)
        in_range("steps", self.steps, 1)
        positive("duration", self.duration, "ms")
        in_range("eta", self.eta, 0, 2)
        positive("decay", self.decay)
        positive("test", self.test, "ms")
        positive("interval", self.interval, "ms")
        positive("dt", self.dt, "ms")


PRESETS = {
    "smoke": Config(networks=8, units=3, in_degree=(10, 10), steps=3, duration=300.0, test=1000.0),
    "quick": Config(),
    "paper": Config(networks=100, steps=600, test=1_000_000.0),
}

_WORK = "Dold et al. (2019), abstract"
_OWN = "our own runs of another program, 20 networks"

CLAIMS = (
    Claim(
        "as_good_as_poisson",
        "Networks that are each other's noise learn to sample as well as under Poisson noise, "
        "within a factor of 2",
        "over_poisson",
        Certainty.PUBLISHED,
        _WORK,
        at_most=2.0,
    ),
    Claim(
        "trained",
        "After learning, the median divergence from the target is small",
        "trained",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.05,
        published=0.027,
    ),
    Claim(
        "untrained",
        "Before, with the parameters that would be right under Poisson noise, it is not",
        "untrained",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=0.5,
        published=1.2,
    ),
    Claim(
        "poisson",
        "Under private Poisson noise these parameters are good",
        "poisson",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.035,
        published=0.025,
    ),
    Claim(
        "deterministic",
        "The ensemble is deterministic: from the same potentials the same spikes follow, under "
        "another seed of the noise",
        "differences",
        Certainty.DERIVED,
        "no source of noise",
        at_most=0.0,
        published=0.0,
    ),
)

CITES = ("dold2019stochasticity", "petrovici2016stochastic")


def run(config: Config, seed: int, session) -> Outcome:
    """Measure with Poisson noise, without any, and after learning without any."""
    session.log("calibration")
    calibration = calibrate(config.preset, dt=config.dt, seed=seed)
    poisson = LIFSampler(calibration, interval=config.interval)
    noise = Ensemble(config.units, config.in_degree, wiring=seed)
    ensemble = LIFSampler(calibration, interval=config.interval, noise=noise, recalibrated=True)
    targets = [
        beta_ensemble(config.units, seed * config.networks + k, config.scale)
        for k in range(config.networks)
    ]
    moments = [target.moments() for target in targets]
    means, products = (np.array(part) for part in zip(*moments, strict=True))
    weights = np.array([target.weights for target in targets])
    biases = np.array([target.biases for target in targets])
    off = ~np.eye(config.units, dtype=bool)

    def sampled(sampler: LIFSampler, weights, biases, duration: float, trial: int, noise: int = 0):
        """States of all networks, (samples, networks, units)."""
        chains = sampler.start(_joined(weights, biases), 1, seed * 1000 + noise)
        threshold = float(calibration.preset.neuron.v_thresh)  # pyright: ignore[reportArgumentType]
        rng = np.random.default_rng([seed, trial])
        potentials = threshold - _BEFORE * rng.random(biases.size)
        chains.simulation.set(chains.neurons, "v", potentials)
        chains.run(_WARM_UP)
        z = chains.run(max(1, round(duration / config.interval)))[:, 0]
        return z.reshape(len(z), config.networks, config.units)

    def divergences(z) -> np.ndarray:
        found = [empirical(z[:, k]) for k in range(config.networks)]
        return np.array([kl(p, t.probabilities) for p, t in zip(found, targets, strict=True)])

    def learn(state, step: int):
        z = sampled(ensemble, state["weights"], state["biases"], config.duration, 10 + step)
        z = z.astype(np.float32)
        together = np.einsum("tki,tkj->kij", z, z) / len(z)
        eta = config.eta / (1 + step / config.decay)
        gap = eta * np.where(off, products - together, 0.0)
        state = {
            "weights": state["weights"] + (gap + gap.swapaxes(1, 2)) / 2,
            "biases": state["biases"] + eta * (means - z.mean(0)),
        }
        return state, {"divergence": divergences(z)}

    session.log("Poisson noise, and none before learning")
    before = session.stage(
        "before",
        lambda: {
            "poisson": divergences(sampled(poisson, weights, biases, config.test, 0)),
            "untrained": divergences(sampled(ensemble, weights, biases, config.test, 1)),
            "differences": np.sum(
                sampled(ensemble, weights, biases, 1000.0, 1)
                != sampled(ensemble, weights, biases, 1000.0, 1, noise=1)
            ),
        },
    )
    session.log("learning")
    learned, history = session.loop(
        "learning", learn, {"weights": weights, "biases": biases}, config.steps
    )
    session.log("test")
    final = sampled(ensemble, learned["weights"], learned["biases"], config.test, 2)
    trained = divergences(final)
    best = int(np.argsort(trained)[len(trained) // 2])
    metrics = {
        "poisson": np.median(before["poisson"]),
        "untrained": np.median(before["untrained"]),
        "trained": np.median(trained),
        "trained_worst": trained.max(),
        "over_poisson": np.median(trained) / np.median(before["poisson"]),
        "rate": final.mean() / calibration.tau_ref * 1000.0,  # Hz
        "differences": before["differences"],
    }
    recordings = {
        "poisson": before["poisson"],
        "untrained": before["untrained"],
        "trained": trained,
        "history": history["divergence"],
        "weights": np.stack([weights, learned["weights"]]),
        "biases": np.stack([biases, learned["biases"]]),
        "joint": np.stack([targets[best].probabilities, empirical(final[:, best])]),
    }
    return Outcome(metrics, recordings)


def _joined(weights: np.ndarray, biases: np.ndarray) -> Boltzmann:
    """All networks as one machine, without weights between them."""
    count, n = biases.shape
    joined = np.zeros((count, n, count, n))
    joined[np.arange(count), :, np.arange(count)] = weights
    return Boltzmann(joined.reshape(count * n, count * n), biases.ravel())


def figures(outcome: Outcome, config: Config):
    """Divergence while learning and at the end, a joint distribution, and what changed."""
    recordings = outcome.recordings
    learning, axes = subplots(1, 2, height=3.0, width_ratios=(2, 1))
    left, right = axes[0]
    low, middle, high = np.quantile(recordings["history"], (0.25, 0.5, 0.75), axis=1)
    steps = np.arange(1, len(middle) + 1)
    left.semilogy(steps, middle, color=COLOURS[0], label="each other's noise")
    left.fill_between(steps, low, high, color=COLOURS[0], alpha=0.2, lw=0)
    left.axhline(outcome.metrics["poisson"], color=INK, lw=1, ls="--", label="Poisson noise")
    floor = float(kl_floor(2**config.units, max(1.0, config.duration / 10.0)))
    left.axhline(floor, color=MUTED, lw=1, ls=":", label="a sample per 10 ms")
    left.set(xlabel="learning step", ylabel="D_KL(sampled || target) [nat]")
    left.legend()
    names = ("untrained", "trained", "poisson")
    right.boxplot([recordings[name] for name in names], widths=0.6, showfliers=True)
    right.set_xticks(range(1, 4), names, rotation=20)
    right.set(yscale="log", title=f"tested for {config.test / 1000:g} s")

    joint, axes = subplots(height=2.6)
    target, found = recordings["joint"]
    x = np.arange(len(target))
    axes[0, 0].bar(x - 0.2, target, 0.4, color=INK, label="target")
    axes[0, 0].bar(x + 0.2, found, 0.4, color=COLOURS[0], label="sampled")
    axes[0, 0].set(xlabel="state", ylabel="probability", title="the network of median divergence")
    axes[0, 0].legend()

    change, axes = subplots(1, 2, height=2.8)
    for axis, name in zip(axes[0], ("weights", "biases"), strict=True):
        before, after = recordings[name]
        used = before != 0
        axis.axline((0, 0), slope=1, color=MUTED, lw=0.8)
        axis.plot(before[used], after[used], ".", ms=2)
        axis.set(xlabel=f"{name} of the target", ylabel=f"learned {name}")
    return {"learning": learning, "joint": joint, "what_changed": change}
