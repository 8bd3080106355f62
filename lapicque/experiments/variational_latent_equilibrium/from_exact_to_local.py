"""From exact to local: which errors keep the phase, which keep the gain, and what that costs

The exact error looks into the future. Replacing its look-back operators by leaky integrals of the
past gives the causal error of Generalized Latent Equilibrium (GLE): same phase, other gain. One
factor per neuron mends the gain at one frequency. Ignoring the time constants altogether loses the
phase. Here the gradients of each rule are compared with the exact ones, from slow to fast inputs.
For slow ones GLE agrees. For fast ones the right phase alone is not enough, since neurons that
remember count too much; with the gain mended at the input's frequency the local rule is exact in
linear nets. For broadband inputs to nonlinear nets nothing is guaranteed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lapicque._checks import InputError, in_range, positive
from lapicque.experiments.variational_latent_equilibrium._nets import layered
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, subplots
from lapicque.rate import Lesson, Network, identity, instantaneous, swapped
from lapicque.rate.adjoint import adjoint_errors, backward, free_run
from lapicque.rate.credit import causal_errors, causal_gradients, with_error_filter
from lapicque.rate.errors import ErrorFilter, gain_corrected


@dataclass(frozen=True)
class Config:
    """Settings of the comparison; times in units of tau_m."""

    tau_r: tuple[float, ...] = (1.0, 0.1, 0.5, 0.1)  # of the neurons of both hidden layers
    frequencies: tuple[float, ...] = (0.02, 0.08, 0.3, 0.6, 1.0)  # cycles
    n_networks: int = 5
    dt: float = 0.02
    duration: float = 50.0  # of the measurement, and of what is lived through before and after

    def __post_init__(self):
        for name in ("dt", "duration"):
            positive(name, getattr(self, name))
        in_range("tau_r", list(self.tau_r), self.dt, hint="It must not be shorter than `dt`.")
        in_range("n_networks", self.n_networks, 1)
        cycles = np.array(self.frequencies) * self.duration
        if np.abs(cycles - np.round(cycles)).max() > 1e-9 or cycles.min() < 1:
            raise InputError(f"`duration` is {self.duration:g}; it must be whole periods of all.")


PRESETS = {
    "smoke": Config(frequencies=(0.1, 0.3), n_networks=1, duration=10.0),
    "quick": Config(),
    "paper": Config(n_networks=50, frequencies=(0.02, 0.04, 0.08, 0.16, 0.3, 0.6, 1.0), dt=0.01),
}

CLAIMS = (
    Claim(
        "slow",
        "For slow inputs (omega tau_m = 0.13) GLE gradients point along the exact ones",
        "gle_slow_cosine",
        Certainty.REFERENCE_RUN,
        "independent run at 0.02 cycles: 0.9999, 1, 1 (layers 1, 2, 3); worst net and layer here",
        at_least=0.99,
        published=0.9999,
    ),
    Claim(
        "corrected",
        "In linear nets, at one frequency, the corrected gain makes the local rule exact",
        "corrected_linear_cosine",
        Certainty.DERIVED,
        "transfer functions; independent run: 1.0000; worst net, layer and frequency here",
        at_least=0.999,
        published=1.0,
    ),
    Claim(
        "uncorrected",
        "Uncorrected, the first layer's gradient is several times too large at 0.3 cycles",
        "gle_gain_error",
        Certainty.REFERENCE_RUN,
        "independent run, nonlinear net: gain error x 10 in layer 1",
        at_least=3.0,
        published=10.0,
    ),
    Claim(
        "no_guarantee",
        "In nonlinear nets and for fast inputs no local rule is sure to point downhill",
        "gle_fast_cosine",
        Certainty.REFERENCE_RUN,
        "independent run: GLE 0.06 in layer 1 at 1 cycle; the worst net here",
        at_most=0.9,
        published=0.06,
    ),
)

CITES = ("brandt2026variational", "ellenberger2024backpropagation")

RULES: dict[str, Callable[[float], ErrorFilter]] = {
    "gle": lambda omega: swapped,
    "corrected": gain_corrected,
    "instantaneous": lambda omega: instantaneous,
}


def waves(config: Config, frequency: float) -> Lesson:
    """Four phases of a sine and the shifted sines that are wanted."""
    time = config.dt * np.arange(round(config.duration / config.dt))
    phase = 2 * np.pi * (frequency * time[:, None] + np.arange(4) / 4)
    return Lesson(*(jnp.asarray(w)[..., None] for w in (np.sin(phase), np.cos(phase + 0.7))))


@eqx.filter_jit
@partial(eqx.filter_vmap, in_axes=(eqx.if_array(0), None, None))
def alignment(network: Network, lessons: Lesson, dt: float):
    """Cosine and ratio of norms of local and exact weight gradients, layer by layer.

    The signals are periodic: the local errors have lived through one presentation before, the
    exact ones know of one that follows, so that transients are left behind.
    """
    start, _, _ = causal_gradients(network, network.init((4,)), lessons, dt)
    _, _, local = causal_gradients(network, start, lessons, dt)
    middle, trail = free_run(network, start, lessons, dt)
    end, later = free_run(network, middle, lessons, dt)
    _, terminal = backward(network, end, later, lessons, dt)
    exact, _ = backward(network, middle, trail, lessons, dt, terminal)
    rows = []
    for a, b in zip(local, exact, strict=True):
        x, y = (jax.tree.leaves(slope.synapses)[0].ravel() for slope in (a, b))
        norms = jnp.linalg.norm(x), jnp.linalg.norm(y)
        rows.append(jnp.stack([x @ y / (norms[0] * norms[1]), norms[0] / norms[1]]))
    return jnp.stack(rows)


def compare(config: Config, seed: int, activation) -> dict[str, np.ndarray]:
    """For every rule, shape (frequency, network, layer, 2): cosines and ratios of norms."""
    with jax.enable_x64(True):
        nets = [layered(seed + k, config.tau_r, activation) for k in range(config.n_networks)]
        networks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *nets)
        return {
            name: np.stack(
                [
                    alignment(
                        with_error_filter(networks, rule(2 * np.pi * frequency)),
                        waves(config, frequency),
                        config.dt,
                    )
                    for frequency in config.frequencies
                ]
            )
            for name, rule in RULES.items()
        }


def traces(config: Config, seed: int, frequency: float) -> dict[str, np.ndarray]:
    """Errors of the first layer over two periods, shape (time, neuron), by rule."""
    with jax.enable_x64(True):
        network = layered(seed, config.tau_r)
        once = waves(config, frequency)
        lessons = jax.tree.map(lambda a: jnp.tile(a[:, :1], (3, 1, 1)), once)
        shown = slice(len(once.input), len(once.input) + round(2 / frequency / config.dt))
        end, trail = free_run(network, network.init((1,)), lessons, config.dt)
        found = {"exact": adjoint_errors(network, end, trail, lessons, config.dt)[0].e}
        for name, rule in RULES.items():
            prepared = with_error_filter(network, rule(2 * np.pi * frequency))
            found[name] = causal_errors(prepared, prepared.init((1,)), lessons, config.dt)[0]
        return {name: np.asarray(e)[shown, 0] for name, e in found.items()}


def run(config: Config, seed: int, session) -> Outcome:
    """Compare the rules in linear and nonlinear nets."""
    linear = session.stage("linear", lambda: compare(config, seed, identity))
    curved = session.stage("tanh", lambda: compare(config, seed, jnp.tanh))
    middle = int(np.argmin(np.abs(np.array(config.frequencies) - 0.3)))
    shown = session.stage("traces", lambda: traces(config, seed, config.frequencies[middle]))
    return Outcome(
        metrics={
            "gle_slow_cosine": float(curved["gle"][0, ..., 0].min()),
            "corrected_linear_cosine": float(linear["corrected"][..., 0].min()),
            "instantaneous_linear_cosine": float(linear["instantaneous"][..., 0].min()),
            "gle_gain_error": float(np.median(curved["gle"][middle, :, 0, 1])),
            "gle_fast_cosine": float(curved["gle"][-1, ..., 0].min()),
        },
        recordings={
            **{f"linear/{name}": rows for name, rows in linear.items()},
            **{f"tanh/{name}": rows for name, rows in curved.items()},
            **{f"trace/{name}": e for name, e in shown.items()},
        },
    )


def figures(outcome: Outcome, config: Config):
    """Errors in time, and alignment of the first layer's gradient against frequency."""
    labels = {
        "gle": "GLE",
        "corrected": "GLE, gain corrected",
        "instantaneous": "instantaneous",
    }
    recordings = outcome.recordings
    figure, axes = subplots(1, 3, height=3.2)
    time, *panels = axes[0]
    unit = int(np.argmin(config.tau_r))  # a slow neuron, whose errors have most to undo
    exact = recordings["trace/exact"][:, unit]
    cycles = np.linspace(0, 2, len(exact))
    time.plot(cycles, exact, color=COLOURS[-1], lw=3, alpha=0.4, label="exact")
    for colour, (name, label) in zip(COLOURS, labels.items(), strict=False):
        e = recordings[f"trace/{name}"][:, unit]
        scale = np.abs(exact).max() / np.abs(e).max()
        time.plot(cycles, scale * e, color=colour, label=label)
    time.set(title="Error, slow neuron", xlabel="cycles", ylabel="e, scaled to the exact peak")
    for axis, kind, title in zip(
        panels, ("linear", "tanh"), ("Linear nets, layer 1", "tanh nets, layer 1"), strict=True
    ):
        for colour, (name, label) in zip(COLOURS, labels.items(), strict=False):
            rows = recordings[f"{kind}/{name}"][:, :, 0, 0]
            axis.semilogx(config.frequencies, np.median(rows, 1), "o-", color=colour, label=label)
            axis.fill_between(
                config.frequencies, rows.min(1), rows.max(1), color=colour, alpha=0.12, lw=0
            )
        axis.set(title=title, xlabel="cycles per tau_m", ylim=(-1.1, 1.1))
    panels[0].set(ylabel="cosine with the exact gradient")
    panels[0].legend(loc="lower left")
    return {"alignment": figure}
