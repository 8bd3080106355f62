"""Phase and gain: what a slow neuron does to a wave, and what its errors must undo

A neuron with membrane time constant tau_m and prospective time constant tau_r delays slow waves
(tau_m > tau_r), passes them (equal) or runs ahead of them (tau_m < tau_r). The exact error of
backpropagation through time has the opposite phase and the *same* gain. The causal error of
Generalized Latent Equilibrium (GLE), the neuron's own filter with its constants swapped, has
exactly that phase at every frequency, but the *inverse* gain. Both laws hold for the Euler steps of
a simulation as they do in continuous time.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from lapicque._checks import in_range, positive
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, subplots
from lapicque.rate import LeadLag, simulate


@dataclass(frozen=True)
class Config:
    """Settings of the measurement; times in units of tau_m."""

    tau_m: float = 1.0
    tau_r: tuple[float, ...] = (0.1, 0.3, 1.0, 2.0)
    low: float = 0.1  # angular frequency
    high: float = 10.0  # angular frequency
    n_frequencies: int = 25
    dt: float = 0.01
    transient: float = 40.0  # before and after the window of measurement

    def __post_init__(self):
        for name in ("tau_m", "low", "high", "dt", "transient"):
            positive(name, getattr(self, name))
        in_range("tau_r", list(self.tau_r), self.dt, hint="It must not be shorter than `dt`.")
        in_range("n_frequencies", self.n_frequencies, 2)


PRESETS = {
    "smoke": Config(n_frequencies=3, tau_r=(0.3,), low=1.0),
    "quick": Config(),
    "paper": Config(n_frequencies=60, dt=0.001),
}

CLAIMS = (
    Claim(
        "same_phase",
        "GLE errors and exact ones have the same phase at every frequency and time constant",
        "phase_difference",
        Certainty.DERIVED,
        "Ellenberger et al. (2024): arg 1/H = arg conj(H); holds for Euler steps too [rad]",
        at_most=1e-6,
        published=0.0,
    ),
    Claim(
        "inverse_gain",
        "Their gains differ by (1 + omega^2 tau_m^2) / (1 + omega^2 tau_r^2), in discrete form",
        "gain_law_error",
        Certainty.DERIVED,
        "Ellenberger et al. (2024), transfer functions of neuron and error; relative deviation",
        at_most=1e-6,
        published=0.0,
    ),
    Claim(
        "instantaneous_phase",
        "Errors that ignore the neuron's delay are wrong by up to its whole phase lag",
        "instantaneous_phase_difference",
        Certainty.DERIVED,
        "atan(omega tau_m) - atan(omega tau_r), at its largest [rad]",
        at_least=0.5,
    ),
)

CITES = ("ellenberger2024backpropagation", "brandt2026variational")


def responses(config: Config, tau_r: float, omega: float) -> dict[str, complex]:
    """Complex gains of neuron, GLE error and exact error, measured with one long sine."""
    steps = max(8, round(2 * np.pi / omega / config.dt))  # whole steps per period
    period = 2 * np.pi / (omega * steps)
    margin = steps * int(np.ceil(config.transient / (steps * period)))
    phase = omega * period * np.arange(2 * margin + steps)
    x, window = jnp.asarray(np.sin(phase)), slice(margin, margin + steps)
    kernel = np.exp(-1j * phase[window])

    def gain(lead: float, lag: float, backward: bool) -> complex:
        part, signal = LeadLag(lead, lag), x[::-1] if backward else x
        _, y = _filter(part, signal, period)
        y = np.asarray(y)[::-1] if backward else np.asarray(y)
        return complex(kernel @ y[window] / (kernel @ np.asarray(x)[window]))

    return {
        "rate": gain(tau_r, config.tau_m, backward=False),
        "gle": gain(config.tau_m, tau_r, backward=False),
        "exact": gain(tau_r, config.tau_m, backward=True),
    }


@jax.jit
def _filter(part: LeadLag, x, dt):
    return simulate(part, jnp.zeros((), x.dtype), x, dt)


def run(config: Config, seed: int, session) -> Outcome:
    """Measure in double precision; nothing is random."""
    omegas = np.geomspace(config.low, config.high, config.n_frequencies)
    names = ("rate", "gle", "exact")

    def measure():
        with jax.enable_x64(True):
            rows = [[responses(config, t, w) for w in omegas] for t in config.tau_r]
        return {
            name: np.array([[[z[name].real, z[name].imag] for z in row] for row in rows])
            for name in names
        }

    parts = session.stage("responses", measure)
    gains = {name: parts[name][..., 0] + 1j * parts[name][..., 1] for name in names}
    ratio = np.abs(gains["gle"] / gains["exact"])
    return Outcome(
        metrics={
            "phase_difference": float(np.abs(np.angle(gains["gle"] / gains["exact"])).max()),
            "gain_law_error": float(np.abs(ratio * np.abs(gains["rate"]) ** 2 - 1).max()),
            "instantaneous_phase_difference": float(np.abs(np.angle(gains["exact"])).max()),
            "largest_gain_ratio": float(ratio.max()),
        },
        recordings={"omega": omegas, **{f"gain/{name}": parts[name] for name in names}},
    )


def figures(outcome: Outcome, config: Config):
    """Measured phases and gains against the laws of continuous time."""
    omega = outcome.recordings["omega"]
    fine = np.geomspace(omega[0], omega[-1], 200)
    figure, axes = subplots(2, 3, height=4.6, sharex=True, sharey="row")
    titles = {"rate": "Rate of the neuron", "gle": "GLE error", "exact": "Exact error"}
    for column, (name, title) in enumerate(titles.items()):
        parts = outcome.recordings[f"gain/{name}"]
        measured = parts[..., 0] + 1j * parts[..., 1]
        for colour, tau, z in zip(COLOURS, config.tau_r, measured, strict=False):
            forward = (1 + 1j * fine * tau) / (1 + 1j * fine * config.tau_m)
            law = {"rate": forward, "gle": 1 / forward, "exact": np.conj(forward)}[name]
            axes[0, column].semilogx(fine, np.angle(law), color=colour, lw=1)
            axes[0, column].semilogx(omega, np.angle(z), "o", color=colour)
            axes[1, column].loglog(fine, np.abs(law), color=colour, lw=1)
            axes[1, column].loglog(omega, np.abs(z), "o", color=colour, label=f"tau_r = {tau:g}")
        axes[0, column].set(title=title)
        axes[1, column].set(xlabel="angular frequency x tau_m")
    axes[0, 0].set(ylabel="phase [rad]")
    axes[1, 0].set(ylabel="gain")
    axes[1, 0].legend(loc="lower left", handletextpad=0.2)
    return {"laws": figure}
