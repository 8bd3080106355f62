"""Exactness: the adjoint that falls out of the action equals backpropagation through time

Demanding that the action of the prospective energy be extremal gives, for a weak teacher, the
adjoint equations of optimal control: each neuron's own filter, run backward in time. Here their
Euler form is compared with automatic differentiation, for layered and recurrent networks whose
neurons all have their own time constants; the discrete Euler-Lagrange equation is checked; and
students of the lagline experiment learn from exact gradients over windows.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from lapicque._checks import in_range, positive
from lapicque.experiments.generalized_latent_equilibrium import lagline
from lapicque.experiments.variational_latent_equilibrium._nets import relative_error, various
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, subplots
from lapicque.rate import SWEEPS, SYNCHRONOUS, Lesson, Network
from lapicque.rate.adjoint import adjoint_errors, adjoint_gradients, autodiff_gradients, free_run


@dataclass(frozen=True)
class Config:
    """Settings of the comparison; times in arbitrary units."""

    dts: tuple[float, ...] = (0.01, 0.05, 0.2)
    delay_dts: tuple[float, ...] = (0.04, 0.02, 0.01, 0.005)  # of the forgotten delays
    steps: int = 200
    batch: int = 4
    n_networks: int = 2
    duration: float = 2000.0  # of the chain's training
    window: float = 4.0  # of the chain's exact gradients
    n_students: int = 3

    def __post_init__(self):
        for dt in self.dts:
            positive("dts", dt)
        in_range("dts", list(self.dts), high=0.3, hint="The shortest membrane takes 0.3.")
        in_range("steps", self.steps, 2)
        in_range("n_networks", self.n_networks, 1)
        positive("duration", self.duration)
        positive("window", self.window)


PRESETS = {
    "smoke": Config(
        dts=(0.1,), delay_dts=(0.04, 0.02), steps=40, n_networks=1, duration=40.0, n_students=2
    ),
    "quick": Config(),
    "paper": Config(n_networks=10, duration=8000.0),
}

_DERIVED = "own derivation from the prospective energy; agrees with the abstract of Brandt et al."
CLAIMS = (
    Claim(
        "equals_autodiff",
        "The backward sweep equals automatic differentiation for all groups of parameters",
        "worst_relative_error",
        Certainty.DERIVED,
        _DERIVED + " (2026); independent run: 1.2e-15",
        at_most=1e-10,
        published=1.2e-15,
    ),
    Claim(
        "single_precision",
        "In single precision they agree to rounding, too",
        "worst_relative_error_single",
        Certainty.DERIVED,
        _DERIVED + " (2026)",
        at_most=1e-4,
    ),
    Claim(
        "extremal",
        "With these errors the discrete action is stationary in every potential",
        "euler_lagrange_residual",
        Certainty.DERIVED,
        _DERIVED + " (2026); independent run: 1e-14",
        at_most=1e-12,
        published=1e-14,
    ),
    Claim(
        "delays_matter",
        "Forgetting the layers' delays on the way back costs accuracy in proportion to dt",
        "order_without_delays",
        Certainty.DERIVED,
        "independent run: relative errors 4e-2, 2e-2, 1e-2, 5e-3 for dt = .04, .02, .01, .005",
        at_least=0.8,
        at_most=1.2,
        published=1.0,
    ),
    Claim(
        "chain_learns",
        "The median student of the lagline chain learns from exact gradients over windows",
        "chain_median_loss",
        Certainty.NOT_VERIFIED,
        "own expectation; no experiment of Brandt et al. (2026) is known here",
        at_most=1e-6,
    ),
)

CITES = ("brandt2026variational", "ellenberger2024backpropagation")

CASES = {
    "layers, no delays": ((2, 4, 4, 2), SWEEPS, False),
    "layers, delays": ((2, 4, 4, 2), SYNCHRONOUS, False),
    "recurrent": ((2, 8), SYNCHRONOUS, True),
}


@eqx.filter_jit
def both(network: Network, other: Network, series: Lesson, dt):
    """Gradients of `network` by the adjoint and of `other` by automatic differentiation."""
    batch = series.input.shape[1:2]
    exact = adjoint_gradients(network, network.init(batch), series, dt)[2]
    return exact, autodiff_gradients(other, other.init(batch), series, dt)[2]


def noise(seed: int, steps: int, batch: int, pre: int, post: int) -> Lesson:
    """White inputs and targets: every frequency counts."""
    rng = np.random.default_rng(seed)
    draw = (jnp.asarray(rng.standard_normal((steps, batch, n))) for n in (pre, post))
    return Lesson(*draw)


def compare(config: Config, seed: int, double: bool) -> dict[str, np.ndarray]:
    """Relative errors by case, shape (dt, network, group): W and b, recurrent, tau_m, tau_r."""
    found = {}
    with jax.enable_x64(double):
        for name, (sizes, schedule, recurrent) in CASES.items():
            rows = np.zeros((len(config.dts), config.n_networks, 4))
            for i, dt in enumerate(config.dts):
                for k in range(config.n_networks):
                    net = various(seed + k, sizes, schedule, recurrent=recurrent)
                    series = noise(seed + k, config.steps, config.batch, sizes[0], sizes[-1])
                    errors = relative_error(*both(net, net, series, jnp.asarray(dt, net.dtype)))
                    groups = ("synapses", "recurrent", "tau_m", "tau_r")
                    rows[i, k] = [errors.get(group, 0.0) for group in groups]
            found[name] = rows
    return found


def residual(seed: int, dt: float, steps: int) -> float:
    """The discrete Euler-Lagrange equation of one free population, largest violation."""
    with jax.enable_x64(True):
        net = various(seed, (2, 8), SWEEPS, recurrent=True)
        series = noise(seed, steps, 1, 2, 8)
        (layer,) = net.layers
        again = jax.tree.leaves(layer.recurrent)[0]
        end, trail = free_run(net, net.init((1,)), series, dt)
        (errors,) = adjoint_errors(net, end, trail, series, dt)
        tau_m, tau_r = layer.neurons.tau_m, layer.neurons.tau_r
        potentials = trail.layers[0].p - tau_r * trail.layers[0].du
        u = jnp.concatenate([potentials, end.layers[0].u[None]])

        def mismatch_and_cost(u):
            q = (u[1:] - u[:-1]) / dt
            r = layer.neurons.activation(u[:-1] + tau_r * q)
            before = jnp.concatenate([jnp.zeros_like(r[:1]), r[:-1]])
            current = layer.synapses(series.input) + before @ again.T
            cost = net.nudging.beta * net.nudging.cost(r, series.target).sum()
            return tau_m * q + u[:-1] - current, cost

        _, pull = jax.vjp(mismatch_and_cost, u)
        (slope,) = pull((errors.e, jnp.ones(())))
        return float(jnp.abs(slope[1:]).max())


def without_delays(seed: int, dts: tuple[float, ...], duration: float = 40.0) -> np.ndarray:
    """Error of the formula without delays for a net with delays; rows (dt, relative error)."""
    rows = []
    with jax.enable_x64(True):
        for dt in dts:
            net = various(seed, (2, 4, 4, 2), SYNCHRONOUS)
            time = dt * np.arange(round(duration / dt))[:, None, None]
            x = jnp.asarray(np.sin(time * np.array([0.7, 1.9])))
            y = jnp.asarray(np.cos(time * np.array([1.1, 0.4])))
            prompt = Network(net.layers, (2,), net.nudging, 0.0, SWEEPS)
            ours, exact = both(prompt, net, Lesson(x, y), dt)
            rows.append((dt, relative_error(ours[:1], exact[:1])["synapses"]))
    return np.array(rows)


def run(config: Config, seed: int, session) -> Outcome:
    """Compare, check, and let the chain learn."""
    double = session.stage("double", lambda: compare(config, seed, True))
    single = session.stage("single", lambda: compare(config, seed, False))
    stationary = session.stage(
        "residual", lambda: np.array(residual(seed, config.dts[-1], config.steps))
    )
    delays = session.stage("delays", lambda: without_delays(seed, config.delay_dts))
    chain = lagline.Config(
        n_students=config.n_students,
        duration=config.duration,
        windows=(config.window,),
        learning_rate=2e-4,
        batch=20,
    )
    history = lagline.learn_exactly(chain, seed, session)
    order = np.polyfit(np.log(delays[:, 0]), np.log(delays[:, 1]), 1)[0]
    return Outcome(
        metrics={
            "worst_relative_error": float(max(rows.max() for rows in double.values())),
            "worst_relative_error_single": float(max(rows.max() for rows in single.values())),
            "euler_lagrange_residual": float(stationary),
            "order_without_delays": float(order),
            "chain_median_loss": float(np.median(history["loss"][-1])),
            "chain_worst_loss": float(history["loss"][-1].max()),
        },
        recordings={
            **{f"double/{name}": rows for name, rows in double.items()},
            **{f"single/{name}": rows for name, rows in single.items()},
            "delays": delays,
            "chain/loss": history["loss"],
            "chain/parameters": history["parameters"],
        },
    )


def figures(outcome: Outcome, config: Config):
    """Errors near the precision of numbers, the price of forgotten delays, and the chain."""
    recordings = outcome.recordings
    figure, axes = subplots(1, 3, height=3.1)
    rounding, delays, chain = axes[0]
    for colour, name in zip(COLOURS, CASES, strict=False):
        for precision, marker in (("double", "o"), ("single", "s")):
            worst = recordings[f"{precision}/{name}"].max((1, 2))
            rounding.loglog(
                config.dts,
                worst,
                marker,
                ls="-",
                lw=0.8,
                color=colour,
                label=name if precision == "double" else None,
            )
    rounding.set(title="Adjoint against autodiff", xlabel="dt", ylabel="relative error")
    rounding.set(ylim=(1e-18, 1e2))
    rounding.legend(loc="upper left", handlelength=1)
    rounding.text(
        0.97,
        0.03,
        "below double, above single precision",
        ha="right",
        transform=rounding.transAxes,
        fontsize=8,
    )
    dt, error = recordings["delays"].T
    delays.loglog(dt, error, "o", color=COLOURS[1])
    delays.loglog(dt, error[0] * dt / dt[0], color="0.6", lw=1, label="proportional to dt")
    delays.set(title="Delays forgotten", xlabel="dt")
    delays.legend(loc="upper left")
    delays.minorticks_off()
    delays.set(xticks=dt, xticklabels=[f"{x:g}" for x in dt])
    loss = recordings["chain/loss"]
    time = 20.0 * np.arange(len(loss))
    chain.semilogy(time, loss, color=COLOURS[0])
    chain.set(title="Chain", xlabel="time", ylabel="loss of each student")
    return {"exactness": figure}
