"""A deterministic network as the noise of many sampling machines

Boltzmann machines of threshold units need noise. Drawn from a small pool of random sources, the
noise of different units is correlated, and the machines sample the wrong distribution. A recurrent
network of the same size that inhibits itself is fully deterministic, and yet a better pool: its
feedback takes most of the common part away.
"""

from dataclasses import dataclass

import numpy as np

from lapicque._checks import in_range, one_of, positive
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, MUTED, subplots
from lapicque.sampling.binary import (
    MATCHING,
    Intrinsic,
    Machines,
    Noise,
    Private,
    Recurrent,
    Shared,
    threshold_law,
)
from lapicque.sampling.observables import kl, kl_floor
from lapicque.sampling.target import Boltzmann

_SCALES = (0.3, 0.6, 1.2, 2.0)  # of weights, for the exact comparison of the two matchings


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    machines: int = 10
    units: int = 6  # per machine
    scale: float = 0.6  # standard deviation of weights
    spread: float = 0.3  # standard deviation of biases around an activity of one half
    size: int = 200  # of the pool that is judged
    sizes: tuple[int, ...] = (100, 200, 400, 800, 1600)
    in_degree: int = 100  # of all units, at most half of the pool
    updates: int = 30_000  # per unit
    warm_up: int = 100  # updates per unit
    trials: int = 2  # pools
    matching: str = "slope"  # or "integral"

    def __post_init__(self):
        in_range("machines", self.machines, 1)
        in_range("units", self.units, 2, 10)
        positive("scale", self.scale)
        in_range("spread", self.spread, 0)
        in_range("size", self.size, 4)
        in_range("sizes", self.sizes, 4)
        in_range("in_degree", self.in_degree, 1)
        in_range("updates", self.updates, 100)
        in_range("warm_up", self.warm_up, 1)
        in_range("trials", self.trials, 1)
        one_of("matching", self.matching, MATCHING)


PRESETS = {
    "smoke": Config(machines=3, units=4, sizes=(100,), updates=200, trials=1),
    "quick": Config(),
    "paper": Config(machines=170, updates=100_000, trials=10),
}

_WORK = "Jordan et al. (2019), abstract"
_OWN = "our own runs of another program, 10 machines"

CLAIMS = (
    Claim(
        "better_than_sources",
        "A deterministic network is a better pool than as many random sources, at least thrice",
        "ratio",
        Certainty.PUBLISHED,
        _WORK,
        at_least=3.0,
    ),
    Claim(
        "shared",
        "200 random sources, 100 per unit, spoil the distribution",
        "shared",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=0.09,
        at_most=0.17,
        published=0.128,
    ),
    Claim(
        "network",
        "A network of 200 inhibitory units does not",
        "network",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.04,
        published=0.026,
    ),
    Claim(
        "correlation_shared",
        "Units that draw half of the random sources receive noise correlated by one half",
        "shared_correlation",
        Certainty.DERIVED,
        "share of common inputs",
        at_least=0.47,
        at_most=0.53,
        published=0.5,
    ),
    Claim(
        "correlation_network",
        "Drawn from the network, the noise is hardly correlated",
        "network_correlation",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.1,
        published=0.045,
    ),
    Claim(
        "mean_field",
        "Mean-field theory predicts that correlation within a factor of 2, from above",
        "theory_over_measured",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=1.0,
        at_most=2.1,
        published=1.8,
    ),
    Claim(
        "activity",
        "The network keeps the activity it was set to, within 0.01",
        "activity_error",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_most=0.01,
    ),
    Claim(
        "private",
        "Private random sources are not perfect either, since they are as slow as the units",
        "private_over_intrinsic",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=4.0,
        published=11.0,
    ),
    Claim(
        "slope_for_weak",
        "To match slopes is better for weak weights: ratio of divergences at a scale of 0.3",
        "slope_over_integral_weak",
        Certainty.REFERENCE_RUN,
        "exact enumeration by another program",
        at_most=0.1,
        published=0.017,
    ),
    Claim(
        "integral_for_strong",
        "To match integrals is better for strong ones: the same ratio at a scale of 2",
        "slope_over_integral_strong",
        Certainty.REFERENCE_RUN,
        "exact enumeration by another program",
        at_least=2.0,
        published=11.0,
    ),
)

CITES = ("jordan2019deterministic", "helias2014correlation")


def run(config: Config, seed: int, session) -> Outcome:
    """Sample with each kind of noise, over the size of the pool and in time."""
    metrics, recordings = {}, {}
    times = np.unique(np.geomspace(100, config.updates, 13).astype(int))
    recordings["times"] = times

    kinds = {
        "intrinsic": Intrinsic(),
        "private": Private(config.in_degree),
        "shared": _pool(Shared, config, config.size),
        "network": _pool(Recurrent, config, config.size),
    }
    for name, noise in kinds.items():
        session.log(name)
        found = session.stage(name, lambda noise=noise: _sampled(config, noise, times, seed))
        metrics[name] = float(np.median(found["divergence"][:, -1]))
        recordings |= {f"{name}/{key}": value for key, value in found.items()}
    for name in ("shared", "network"):
        metrics[f"{name}_correlation"] = float(recordings[f"{name}/correlation"].mean())
    pool = kinds["network"]
    assert isinstance(pool, Recurrent)
    metrics |= {
        "ratio": metrics["shared"] / metrics["network"],
        "private_over_intrinsic": metrics["private"] / metrics["intrinsic"],
        "activity_error": abs(float(recordings["network/activity"].mean()) - 0.5),
        "theory_over_measured": pool.predict().correlation / metrics["network_correlation"],
    }
    for name, kind in (("shared", Shared), ("network", Recurrent)):
        rows, correlations = [], []
        for size in config.sizes:
            session.log(f"{name}, {size} units in the pool")
            noise = _pool(kind, config, size)
            found = session.stage(
                f"{name} of {size}", lambda noise=noise: _sampled(config, noise, times[-1:], seed)
            )
            rows.append(np.quantile(found["divergence"][:, -1], (0.25, 0.5, 0.75)))
            correlations.append(found["correlation"].mean())
        recordings[f"{name}/over_size"] = np.array(rows)
        recordings[f"{name}/correlation_over_size"] = np.array(correlations)

    rng = np.random.default_rng([seed, 1])
    exact = np.array([_exact(config, scale, rng) for scale in _SCALES])
    recordings["matching"] = exact
    metrics["slope_over_integral_weak"] = exact[0, 0] / exact[0, 1]
    metrics["slope_over_integral_strong"] = exact[-1, 0] / exact[-1, 1]
    return Outcome(metrics, recordings)


def _pool(kind: type[Shared | Recurrent], config: Config, size: int) -> Shared | Recurrent:
    in_degree = min(config.in_degree, size // 2)
    return Shared(size, in_degree) if kind is Shared else Recurrent(size, in_degree, in_degree)


def _targets(config: Config, scale: float, rng: np.random.Generator) -> list[Boltzmann]:
    """Machines with normal weights, whose biases balance them."""
    n, found = config.units, []
    for _ in range(config.machines):
        weights = np.triu(rng.normal(0, scale, (n, n)), 1)
        weights = weights + weights.T
        found.append(Boltzmann(weights, rng.normal(0, config.spread, n) - weights.sum(1) / 2))
    return found


def _sampled(config: Config, noise: Noise, times: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Divergence of each machine in time, (trials * machines, times), and what units receive."""
    divergence, correlation, activity = [], [], []
    targets = _targets(config, config.scale, np.random.default_rng([seed, 0]))
    for trial in range(config.trials):
        machines = Machines(targets, noise, matching=config.matching, seed=seed * 1000 + trial)
        machines.run(config.warm_up)
        total, rows = np.zeros((len(targets), 2**config.units)), []
        for part in np.diff(times, prepend=0):
            total += part * machines.run(int(part))
            rows.append(
                [kl(t / t.sum(), b.probabilities) for t, b in zip(total, targets, strict=True)]
            )
        divergence.append(np.array(rows).T)
        if isinstance(noise, Shared | Recurrent):
            correlation.append(machines.measure().correlation)
            activity.append(machines.pool(500).mean())
    return {
        "divergence": np.concatenate(divergence),
        "correlation": np.array(correlation),
        "activity": np.array(activity),
    }


def _exact(config: Config, scale: float, rng: np.random.Generator) -> list[float]:
    """Median divergence of threshold units with white noise, for each matching."""
    targets = _targets(config, scale, rng)
    return [
        float(np.median([kl(threshold_law(t, name), t.probabilities) for t in targets]))
        for name in MATCHING
    ]


def figures(outcome: Outcome, config: Config):
    """Divergence in time and over the size of the pool; correlations; the two matchings."""
    recordings = outcome.recordings
    times, names = recordings["times"], ("intrinsic", "private", "shared", "network")
    colours = dict(zip(names, (INK, *COLOURS), strict=False))
    course, axes = subplots(height=3.4)
    axis = axes[0, 0]
    for name in names:
        low, middle, high = np.quantile(recordings[f"{name}/divergence"], (0.25, 0.5, 0.75), axis=0)
        axis.loglog(times, middle, color=colours[name], label=name)
        axis.fill_between(times, low, high, color=colours[name], alpha=0.2, lw=0)
    floor = kl_floor(2**config.units, times)
    axis.loglog(times, floor, color=MUTED, lw=1, ls=":", label="one sample per update")
    axis.set(
        xlabel="updates per unit",
        ylabel="D_KL(sampled || target) [nat]",
        title=f"noise from {config.size} units, or private",
    )
    axis.legend()

    size, axes = subplots(1, 2, height=3.0)
    for name in ("shared", "network"):
        low, middle, high = recordings[f"{name}/over_size"].T
        error = np.stack([middle - low, high - middle])
        axes[0, 0].errorbar(
            config.sizes, middle, error, color=colours[name], marker="o", capsize=2, label=name
        )
        axes[0, 1].plot(
            config.sizes,
            recordings[f"{name}/correlation_over_size"],
            "o-",
            color=colours[name],
            label=name,
        )
    for name in ("private", "intrinsic"):
        axes[0, 0].axhline(outcome.metrics[name], color=colours[name], lw=1, ls="--", label=name)
    axes[0, 0].set(xscale="log", yscale="log", ylabel="D_KL(sampled || target) [nat]")
    axes[0, 0].legend()
    axes[0, 1].set(xscale="log", ylabel="correlation of noise")
    for axis in axes[0]:
        axis.set_xlabel("units in the pool")

    matching, axes = subplots(height=2.8)
    for column, name in enumerate(MATCHING):
        axes[0, 0].loglog(_SCALES, recordings["matching"][:, column], "o-", label=name)
    axes[0, 0].set(
        xlabel="standard deviation of weights",
        ylabel="D_KL [nat]",
        title="threshold units with white noise, exact",
    )
    axes[0, 0].legend()
    return {"in_time": course, "over_size": size, "matching": matching}
