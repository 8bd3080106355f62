"""Entangled states of qubits, from spikes

A measurement with four outcomes per qubit turns a quantum state into a distribution over two
binary units per qubit, which a restricted machine learns from its own samples: each is rewarded by
the ratio of the wanted and the observed frequency of what it shows. From samples of the learned
machine, fidelities and Bell correlations follow as means.

States are the maximally entangled ones of two and more qubits, and mixtures of the Bell state with
noise, in which w is the share of the Bell state.
"""

from dataclasses import dataclass

import numpy as np

from lapicque._checks import in_range, one_of, positive
from lapicque.experiments._learned_states import TITLES, WAYS, Schooling, learned
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, INK, MUTED, subplots
from lapicque.sampling.learning import Reweighted
from lapicque.sampling.observables import empirical, kl
from lapicque.sampling.quantum.povm import (
    Tetrahedron,
    chsh,
    chsh_best,
    fidelity,
    ghz,
    werner,
)

_ANGLES = np.linspace(0, np.pi, 61)
_FIXED = np.pi / 4


@dataclass(frozen=True)
class Config(Schooling):
    """Settings of the experiment."""

    qubits: tuple[int, ...] = (2,)  # of maximally entangled states
    shares: tuple[float, ...] = (0.0, 0.5, 0.8)  # of the Bell state, in noise
    ways: tuple[str, ...] = WAYS
    largest: float = 20.0  # bound of the ratio of frequencies

    def __post_init__(self):
        super().__post_init__()
        in_range("qubits", self.qubits, 2, 4)
        in_range("shares", self.shares, 0, 1)
        positive("largest", self.largest)
        for way in self.ways:
            one_of("ways", way, WAYS)


PRESETS = {
    "smoke": Config(
        shares=(0.5,),
        hidden=4,
        epochs=4,
        exact_epochs=4,
        rounds=2,
        samples=640,
        evaluation=1280,
        chains=32,
    ),
    "quick": Config(),
    "paper": Config(
        qubits=(2, 3, 4),
        shares=(0.0, 0.2, 1 / 3, 0.5, 0.6, 0.7, 0.8, 0.9),
        hidden=40,
        epochs=1000,
        exact_epochs=3000,
        samples=102_400,
        chains=256,
        evaluation=1_024_000,
        first_rate=0.1,
        rounds=20,
    ),
}

_OWN = "our own runs of another program, 1000 epochs of Adam"
_ABSTRACT = "Czischek et al. (2022), abstract; no number known"

CLAIMS = (
    Claim(
        "exact",
        "With the exact gradient, the squared fidelity of the Bell state is above 0.999",
        "exact_2_F2",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=0.999,
        at_most=1.005,
        published=1.0,
        presets=("quick",),
    ),
    Claim(
        "gibbs",
        "With Gibbs samples, it is above 0.97",
        "gibbs_2_F2",
        Certainty.REFERENCE_RUN,
        _OWN,
        at_least=0.97,
        published=0.996,
    ),
    Claim(
        "spiking",
        "With spiking neurons, it is above 0.9",
        "lif_2_F2",
        Certainty.NOT_VERIFIED,
        _ABSTRACT,
        at_least=0.9,
    ),
    Claim(
        "nonlocal",
        "Spins of the state from spikes correlate more than without entanglement: S > 2",
        "lif_2_S",
        Certainty.PUBLISHED,
        _ABSTRACT,
        at_least=2.0,
    ),
    Claim(
        "noise",
        "In noise, S is w 2 sqrt(2), within 0.15",
        "lif_S_error",
        Certainty.DERIVED,
        "S is linear in the state",
        at_most=0.15,
    ),
    Claim(
        "genuine",
        "States of 3 and 4 qubits are entangled as a whole: their squared fidelities exceed 1/2",
        "lif_worst_F2",
        Certainty.PUBLISHED,
        "Czischek et al. (2022), abstract of a preprint; no number known",
        at_least=0.5,
        presets=("paper",),
    ),
)

CITES = ("czischek2022spiking", "petrovici2016stochastic")


def run(config: Config, seed: int, session) -> Outcome:
    """Learn each state in each way, and work out fidelities and correlations."""
    metrics, recordings = {}, {"angles": _ANGLES}
    states = {str(n): np.outer(ghz(n), ghz(n)) for n in config.qubits}
    states |= {f"w{w:.3g}": werner(w) for w in config.shares}
    shares = {name: float(name[1:]) for name in states if name.startswith("w")}
    for name, rho in states.items():
        n = len(rho).bit_length() - 1
        povm = Tetrahedron(n)
        goal = povm.probs(rho)
        pure = np.outer(ghz(n), ghz(n))
        shots = povm.shots(pure)
        recordings[f"{name}/goal"] = goal
        for way in config.ways:
            session.log(f"{name}: {TITLES[way]}")
            _, draw, history = learned(
                way,
                Reweighted(goal, config.largest),
                2 * n,
                config,
                lambda p, goal=goal, shots=shots: {"kl": kl(p, goal), "F2": shots @ p},
                seed,
                session,
                f"{name}, {way}",
            )
            p, key = draw.histogram(2 * n), f"{way}_{name}"
            metrics |= {
                f"{key}_F2": float(shots @ p),
                f"{key}_kl": kl(p, goal),
                f"{key}_fidelity": fidelity(rho, povm.reconstruct(p)),
                f"{key}_lowest_eigenvalue": np.linalg.eigvalsh(povm.reconstruct(p))[0],
            }
            if way != "exact":
                shown = draw.states[..., : 2 * n]
                metrics[f"{key}_F2_se"] = float(povm.expect_samples(pure, shown).error)
            if n == 2:
                metrics |= {
                    f"{key}_S": float(chsh(_FIXED, p)),
                    f"{key}_S_best": chsh_best(p),
                }
                recordings[f"{name}/{way}/S"] = chsh(_ANGLES, p)
                if way != "exact":
                    spread = _over_chains(lambda q: chsh(_ANGLES, q), shown)
                    recordings[f"{name}/{way}/S_se"] = spread
                    metrics[f"{key}_S_se"] = float(np.interp(_FIXED, _ANGLES, spread))
            recordings |= {
                f"{name}/{way}/p": p,
                f"{name}/{way}/kl": history["kl"],
                f"{name}/{way}/F2": history["F2"],
            }
    for way in config.ways:
        metrics[f"{way}_worst_F2"] = min(metrics[f"{way}_{n}_F2"] for n in config.qubits)
        metrics[f"{way}_S_error"] = max(
            (
                abs(metrics[f"{way}_{name}_S"] - w * 2 * np.sqrt(2))
                for name, w in ({"2": 1.0} | shares).items()
                if name in states
            ),
            default=0.0,
        )
    return Outcome(metrics, recordings)


def _over_chains(value, states: np.ndarray) -> np.ndarray:
    """Standard error of a linear function of the distribution, from its spread over chains."""
    each = [value(empirical(states[:, k])) for k in range(states.shape[1])]
    return np.std(each, axis=0, ddof=1) / np.sqrt(len(each))


def figures(outcome: Outcome, config: Config):
    """Bell correlations over the angle and over noise, distributions, and learning."""
    recordings, metrics = outcome.recordings, outcome.metrics
    colour = dict(zip(WAYS, COLOURS, strict=False))
    first = str(config.qubits[0])
    drawn = {}

    if 2 in config.qubits:
        angle, axes = subplots(height=3.4)
        axis = axes[0, 0]
        for way in config.ways:
            s = recordings[f"2/{way}/S"]
            axis.plot(_ANGLES, s, color=colour[way], label=TITLES[way])
            if way != "exact":
                error = 2 * recordings[f"2/{way}/S_se"]
                axis.fill_between(_ANGLES, s - error, s + error, color=colour[way], alpha=0.25)
        axis.plot(
            _ANGLES,
            3 * np.cos(_ANGLES) - np.cos(3 * _ANGLES),
            "--",
            color=INK,
            lw=0.8,
            label="ideal",
        )
        for bound in (-2, 2):
            axis.axhline(bound, color=MUTED, lw=0.8, ls=":")
        axis.set(
            xlabel="angle t [rad]", ylabel="S", title="Bell state; without entanglement |S| < 2"
        )
        axis.legend()
        drawn["angle"] = angle

        noise, axes = subplots(height=3.0)
        axis = axes[0, 0]
        names = {w: f"w{w:.3g}" for w in sorted(config.shares)} | {1.0: "2"}
        for way in config.ways:
            s = [metrics[f"{way}_{name}_S"] for name in names.values()]
            se = [2 * metrics.get(f"{way}_{name}_S_se", 0.0) for name in names.values()]
            axis.errorbar(list(names), s, se, fmt="o", color=colour[way], label=TITLES[way])
        axis.plot([0, 1], [0, 2 * np.sqrt(2)], color=INK, lw=0.8, label="ideal")
        axis.axhline(2, color=MUTED, lw=0.8, ls=":")
        axis.set(xlabel="share of the Bell state w", ylabel="S at t = pi / 4")
        axis.legend()
        drawn["noise"] = noise

    distribution, axes = subplots(height=3.0)
    axis, goal = axes[0, 0], recordings[f"{first}/goal"]
    axis.bar(np.arange(len(goal)), goal, color="#d1d5db", label="goal")
    for k, way in enumerate(config.ways):
        place = np.arange(len(goal)) + 0.2 * (k - 1)
        axis.plot(
            place, recordings[f"{first}/{way}/p"], "o", ms=3, color=colour[way], label=TITLES[way]
        )
    axis.set(xlabel="outcome", ylabel="probability", title=f"{first} qubits")
    axis.legend()
    drawn["distribution"] = distribution

    learning, axes = subplots(1, 2, height=2.8)
    for way in config.ways:
        axes[0, 0].semilogy(
            np.maximum(recordings[f"{first}/{way}/kl"], 1e-9), color=colour[way], label=TITLES[way]
        )
        axes[0, 1].plot(recordings[f"{first}/{way}/F2"], color=colour[way], label=TITLES[way])
    axes[0, 0].set(xlabel="epoch", ylabel="D_KL(samples || goal)", xlim=(0, config.epochs))
    axes[0, 1].set(xlabel="epoch", ylabel="squared fidelity", xlim=(0, config.epochs))
    axes[0, 0].legend()
    drawn["learning"] = learning
    return drawn
