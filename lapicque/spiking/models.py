"""Networks that others compare their simulators with, and closed forms for what they do."""

from collections.abc import Callable
from dataclasses import replace
from math import pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import erfcx

from lapicque._checks import InputError, in_range, one_of, positive, shape
from lapicque.spiking.connectors import (
    Connector,
    DistanceInDegree,
    FixedInDegree,
    FixedProbability,
    FromArrays,
)
from lapicque.spiking.network import Draw, Network, Population
from lapicque.spiking.neurons import (
    LIF,
    AdEx,
    ConductanceAlpha,
    ConductanceExp,
    CurrentAlpha,
    CurrentDelta,
    CurrentExp,
    Receptors,
    per_neuron,
)
from lapicque.spiking.plasticity import Plasticity
from lapicque.spiking.sources import Poisson, Rate


class Balanced(NamedTuple):
    """A network of an excitatory and an inhibitory population."""

    network: Network
    excitatory: Population
    inhibitory: Population


class NoiseDriven(NamedTuple):
    """Neurons with noise of their own, connected or not."""

    network: Network
    neurons: Population


class Bombarded(NamedTuple):
    """A neuron and the Poisson noise that drives it, excitatory before inhibitory."""

    neuron: LIF
    receptors: Receptors
    rates: tuple[float, float]  # Hz
    weights: tuple[float, float]  # nA or uS, as the receptors say

    def drive(
        self, network: Network, neurons: Population, sources: tuple[Rate, Rate] | None = None
    ) -> None:
        """Give each neuron the two sources of its own; others than constant ones if given."""
        excitation, inhibition = sources or tuple(Poisson(rate) for rate in self.rates)
        network.noise(neurons, excitation, self.weights[0], receptor="excitatory")
        network.noise(neurons, inhibition, self.weights[1], receptor="inhibitory")


class FreePotential(NamedTuple):
    """The potential of noisy neurons without a threshold, one entry per neuron."""

    mean: NDArray[np.float64]  # mV
    sd: NDArray[np.float64]  # mV
    tau_eff: NDArray[np.float64]  # ms; membrane time constant under the mean conductance


_TAU, _REFRACTORY, _THRESHOLD, _RESET = 20.0, 2.0, 20.0, 10.0  # of `brunel` [ms, ms, mV, mV]


def brunel(
    order: int = 2500,
    g: float = 5.0,
    eta: float = 2.0,
    J: float = 0.1,
    epsilon: float = 0.1,
    delay: float = 1.5,
) -> Balanced:
    """A sparse random network of LIF neurons whose synapses are jumps of the potential.

    It holds `4 order` excitatory and `order` inhibitory neurons with threshold 20 mV, reset 10 mV,
    membrane time constant 20 ms and refractory period 2 ms. Each draws `4 order epsilon`
    excitatory and `order epsilon` inhibitory inputs, and has Poisson noise of its own, `eta` times
    as strong as what alone would bring its mean potential to threshold.

    Args:
        order: Number of inhibitory neurons.
        g: Strength of inhibition relative to excitation.
        eta: External rate relative to that at threshold.
        J: Jump of the potential by an excitatory spike [mV].
        epsilon: Inputs as a share of the population they come from.
        delay: Of all recurrent synapses [ms].

    Raises:
        InputError: A value is out of range.

    Source:
        Model A of Brunel (2000). Figure 8 there shows (g, eta) of (3, 2), (5, 2), (6, 4) and
        (4.5, 0.9). Parameters as in the example `brunel_delta_nest` of NEST; the values of the
        paper itself were not verified.
    """
    in_range("order", order, 1)
    in_range("g", g, 0)
    in_range("eta", eta, 0)
    in_range("epsilon", epsilon, 0, 1)
    network = Network()
    neuron = LIF(
        v_rest=0.0, v_reset=_RESET, v_thresh=_THRESHOLD, tau_m=_TAU, tau_refrac=_REFRACTORY
    )
    cells = Balanced(
        network,
        network.population(4 * order, neuron, CurrentDelta(), label="excitatory"),
        network.population(order, neuron, CurrentDelta(), label="inhibitory"),
    )
    _wire(
        cells,
        FixedInDegree(round(4 * order * epsilon)),
        FixedInDegree(round(order * epsilon)),
        (J, -g * J),
        delay,
    )
    for population in cells[1:]:
        network.noise(population, Poisson(eta * _rate_at_threshold(J)), J)
    return cells


def brunel_rate(
    order: int = 2500, g: float = 5.0, eta: float = 2.0, J: float = 0.1, epsilon: float = 0.1
) -> float:
    """The rate [Hz] of the asynchronous state of `brunel`, in the limit of many small jumps.

    The noise that the network gives itself is taken for white: the rate `nu` solves
    ``nu = siegert(mu(nu), sigma(nu))`` with the mean and the variance that Poisson inputs of this
    rate make. Where several rates do, it is one of them.

    Raises:
        InputError: A value is out of range.

    Source:
        Brunel (2000), mean-field theory.
    """
    in_range("order", order, 1)
    external = eta * _rate_at_threshold(J) / 1000.0
    inputs = 4 * order * epsilon

    def excess(rate: float) -> float:
        mean = J * _TAU * (external + inputs * rate / 1000.0 * (1 - g / 4))
        sigma = J * sqrt(_TAU * (external + inputs * rate / 1000.0 * (1 + g**2 / 4)))
        return siegert(mean, sigma, _TAU, _REFRACTORY, _THRESHOLD, _RESET) - rate

    return brentq(excess, 0.0, 1000.0 / _REFRACTORY)  # type: ignore[return-value]


def siegert(
    mean: float, sigma: float, tau_m: float, tau_refrac: float, v_thresh: float, v_reset: float
) -> float:
    """The rate [Hz] of a LIF neuron in white noise.

        1 / nu = tau_refrac + tau_m sqrt(pi) int exp(x^2) (1 + erf x) dx

    from ``(v_reset - mean) / sigma`` to ``(v_thresh - mean) / sigma``.

    Args:
        mean: Of the potential without a threshold [mV].
        sigma: Its standard deviation times sqrt(2) [mV], above 0.
        tau_m: Membrane time constant [ms].
        tau_refrac: Refractory period [ms].
        v_thresh: Threshold [mV].
        v_reset: Reset [mV].

    Raises:
        InputError: `sigma` or a time constant is not positive.

    Source:
        Siegert (1951), in the form of Brunel (2000).
    """
    positive("sigma", sigma, "mV")
    positive("tau_m", tau_m, "ms")
    low, high = (v_reset - mean) / sigma, (v_thresh - mean) / sigma
    if high > 25:  # exp(x^2) is beyond what a number holds
        return 0.0
    area, _ = quad(lambda x: erfcx(-x), low, high)
    return 1000.0 / (tau_refrac + tau_m * sqrt(pi) * area)


def vogels_abbott(size: int = 4000, synapses: str = "conductance", seed: int = 0) -> Balanced:
    """A network that keeps itself active without input.

    A fifth of its LIF neurons inhibits; each pair of different neurons is connected with
    probability 2 %. With conductances, Poisson noise of 300 Hz and 6 nS kicks each neuron for the
    first 50 ms. With currents the resting potential lies above threshold, and the potentials start
    at random.

    Args:
        size: Number of neurons.
        synapses: `conductance` (6 and 67 nS) or `current` (16.2 and -90 pA).
        seed: For the potentials at the start, where synapses are currents.

    Raises:
        InputError: `size` is below 5, or `synapses` unknown.

    Source:
        Vogels and Abbott (2005), as benchmarks 1 and 2 of Brette et al. (2007). Neurons and
        currents as in PyNN's example `VAbenchmarks`, whose conductances are 4 and 51 nS; the
        conductances here are those of Brette et al. (not verified), and the kick is our own.
    """
    in_range("size", size, 5)
    one_of("synapses", synapses, ("conductance", "current"))
    network = Network()
    neuron = LIF(v_rest=-60.0, v_reset=-60.0, v_thresh=-50.0, cm=0.2, tau_m=20.0, tau_refrac=5.0)
    taus = {"tau_syn_E": 5.0, "tau_syn_I": 10.0}
    if synapses == "conductance":
        receptors, weights = ConductanceExp(**taus, e_rev_E=0.0, e_rev_I=-80.0), (0.006, 0.067)
    else:
        receptors, weights = CurrentExp(**taus), (0.0162, -0.09)
        neuron = replace(neuron, v_rest=-49.0)
    rng = np.random.default_rng(seed)
    populations = []
    for label, number in (("excitatory", size - size // 5), ("inhibitory", size // 5)):
        v = None if synapses == "conductance" else rng.uniform(-60.0, -50.0, number)
        populations.append(network.population(number, neuron, receptors, v=v, label=label))
        if synapses == "conductance":
            network.noise(populations[-1], Poisson(300.0, duration=50.0), 0.006)
    cells = Balanced(network, *populations)
    connector = FixedProbability(0.02, self_connections=False)
    _wire(cells, connector, connector, weights, 0.2)
    return cells


def self_sustained(
    size: int = 3920,
    weights: tuple[float, float] = (0.009, 0.09),
    delay: float | None = None,
    seed: int = 0,
) -> Balanced:
    """Self-sustained asynchronous irregular activity of AdEx neurons on a torus.

    A fifth of the neurons inhibits, and does not adapt. They lie at random on a torus of edge
    1 mm. Each draws 200 excitatory and 50 inhibitory inputs with probability
    ``exp(-d^2 / (2 sigma^2))``, `sigma` 0.2 mm, none of them itself or twice. Spikes travel
    0.2 mm/ms and lose another 0.3 ms; delays are multiples of 0.1 ms. Poisson noise of 100 Hz and
    100 nS kicks a fiftieth of the neurons for the first 100 ms.

    Args:
        size: Number of neurons, at least 255.
        weights: Excitatory and inhibitory conductance per spike [uS].
        delay: One for all synapses [ms]; by default it grows with the distance.
        seed: For the places of neurons and the choice of those that are kicked.

    Raises:
        InputError: There are too few neurons for their inputs, or a value is out of range.

    Source:
        Muller and Destexhe, as network 3 of Petrovici et al. (2014). The parameters were not
        verified; with them rates are 12 Hz and the CV 1.0, and the mean delay 1.53 ms.
    """
    in_range("size", size, 255)
    rng = np.random.default_rng(seed)
    network = Network()
    neuron = AdEx(
        v_rest=-70.0,
        v_reset=-70.0,
        v_thresh=-50.0,
        cm=0.25,
        tau_m=15.0,
        tau_refrac=5.0,
        v_spike=-40.0,
        delta_T=2.5,
        a=1.0,
        b=0.005,
        tau_w=600.0,
    )
    receptors = ConductanceExp(tau_syn_E=5.0, tau_syn_I=5.0, e_rev_E=0.0, e_rev_I=-80.0)
    kicked = np.zeros(size)
    kicked[rng.choice(size, round(0.02 * size), replace=False)] = 100.0
    populations = []
    for label, first, stop, model in (
        ("excitatory", 0, size - size // 5, neuron),
        ("inhibitory", size - size // 5, size, replace(neuron, b=0.0)),
    ):
        places = rng.random((stop - first, 2))
        populations.append(
            network.population(stop - first, model, receptors, positions=places, label=label)
        )
        network.noise(populations[-1], Poisson(kicked[first:stop], duration=100.0), 0.1)
    cells = Balanced(network, *populations)
    excitation, inhibition = (
        DistanceInDegree(n, lambda d: np.exp(-(d**2) / (2 * 0.2**2)), box=1.0) for n in (200, 50)
    )
    _wire(cells, excitation, inhibition, weights, _travel if delay is None else delay)
    return cells


def _travel(rng: np.random.Generator, distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.round(0.3 + distance / 0.2, 1)


_TIGHT = LIF(v_rest=-50.0, cm=0.2, tau_m=1.0, tau_refrac=10.0, v_thresh=-50.0, v_reset=-50.001)
_SLOW = {"tau_syn_E": 10.0, "tau_syn_I": 10.0}
_THESIS = replace(_TIGHT, cm=0.1, tau_m=20.0, v_thresh=-52.0, v_reset=-53.0)
_MIXING = replace(_TIGHT, tau_m=0.1, v_reset=-50.01)
_WIDE, _NARROW = (ConductanceExp(**_SLOW, e_rev_E=0.0, e_rev_I=e) for e in (-100.0, -90.0))
_CURRENT = CurrentExp(**_SLOW)

BOMBARDED = {
    "tutorial_coba": Bombarded(
        replace(_TIGHT, v_rest=-50.614), _WIDE, (3000.0, 3000.0), (0.001, 0.001)
    ),
    "tutorial_cuba": Bombarded(
        replace(_TIGHT, v_rest=-50.0056), _CURRENT, (1000.0, 1000.0), (0.001, -0.001)
    ),
    "mixing_coba": Bombarded(
        replace(_MIXING, v_rest=-50.0283), _WIDE, (400.0, 400.0), (0.001, 0.001)
    ),
    "mixing_cuba": Bombarded(
        replace(_MIXING, v_rest=-50.00053), _CURRENT, (400.0, 400.0), (0.001, -0.001)
    ),
    "thesis_coba": Bombarded(
        replace(_THESIS, v_rest=63.8), _NARROW, (5000.0, 5000.0), (0.0035, 0.0055)
    ),
    "dold_coba": Bombarded(
        replace(_THESIS, tau_m=1.0, v_rest=-37.78), _NARROW, (2000.0, 2000.0), (0.001, 0.0035)
    ),
}
"""Neurons under strong noise, as they sample from Boltzmann machines; `v_rest` puts them near an
activity of one half. Sources: the tutorial of the library spike-based-sampling (`tutorial`); as
transcribed in the code base lif_pong (`mixing`, `thesis`, `dold`). See `noise_driven`."""


def noise_driven(
    n: int,
    preset: str | Bombarded = "tutorial_cuba",
    *,
    v_rest: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    delay: float = 0.1,
    plasticity: Plasticity | None = None,
) -> NoiseDriven:
    """LIF neurons, each with excitatory and inhibitory Poisson noise of its own.

    Args:
        n: Number of neurons.
        preset: A name of `BOMBARDED`, or one of your own.
        v_rest: Resting potential [mV], one number or one per neuron; that of the preset by default.
        weights: Matrix of shape (post, pre) [nA or uS]: entries above 0 excite, those below 0
            inhibit, those of 0 are no synapses. None by default.
        delay: Of all synapses [ms].
        plasticity: Of all synapses; `TsodyksMarkram(U=1, tau_rec=tau_syn)` lets their effects renew
            each other.

    Raises:
        InputError: The preset is unknown, or an array does not fit.

    Source:
        Petrovici et al. (2016); see `BOMBARDED` for the parameters.
    """
    if isinstance(preset, str):
        one_of("preset", preset, BOMBARDED)
        preset = BOMBARDED[preset]
    network = Network()
    neuron = preset.neuron if v_rest is None else replace(preset.neuron, v_rest=v_rest)
    neurons = network.population(n, neuron, preset.receptors, label="noise-driven")
    preset.drive(network, neurons)
    if weights is not None:
        matrix = np.asarray(weights, float)
        shape("weights", matrix, (n, n))
        sign = -1.0 if isinstance(preset.receptors, ConductanceExp) else 1.0
        for receptor, chosen, factor in (
            ("excitatory", matrix > 0, 1.0),
            ("inhibitory", matrix < 0, sign),
        ):
            if chosen.any():
                post, pre = np.nonzero(chosen)
                network.project(
                    neurons,
                    neurons,
                    FromArrays(pre, post),
                    factor * matrix[chosen],
                    delay,
                    receptor=receptor,
                    plasticity=plasticity,
                )
    return NoiseDriven(network, neurons)


def free_potential(network: Network, population: Population) -> FreePotential:
    """Mean and spread of the potential that the private noise of neurons would make.

    Threshold and recurrent synapses are left out, and conductances act around their mean: with
    rates `nu`, weights `w` and time constants `tau` of the noise,

        g = g_leak + sum w nu tau,    tau_eff = cm / g,    s = w (e_rev - mean)
        mean = (g_leak v_rest + i_offset + sum w nu tau e_rev) / g
        sd^2 = sum nu s^2 tau^2 / (2 (tau + tau_eff) g^2)

    for conductances; currents have ``g = g_leak`` and ``s = w``. A jump of the potential is what
    remains of a current as `tau` vanishes and ``w tau`` stays.

    Raises:
        InputError: The neurons are no LIF neurons, their synapses are shaped like an alpha
            function, or the rate of a noise changes in time.

    Source:
        Campbell's theorem.
    """
    size, receptors = population.size, population.receptors
    if not isinstance(population.model, LIF) or receptors is None:
        raise InputError(f"{population.label} holds no LIF neurons.")
    if isinstance(receptors, CurrentAlpha | ConductanceAlpha):
        raise InputError(f"{population.label} has receptors shaped like an alpha function.")
    neuron = per_neuron(population.model, size, population.label)
    synapse = per_neuron(receptors, size, population.label)
    leak = neuron["cm"] / neuron["tau_m"]
    g, current, inputs = leak.copy(), leak * neuron["v_rest"] + neuron["i_offset"], []
    for noise in network.noises:
        if noise.population is not population:
            continue
        source = noise.source
        if not isinstance(source, Poisson) or source.start > 0 or source.duration < np.inf:
            raise InputError(f"The rate of a noise of {population.label} changes in time.")
        side = "E" if noise.receptor == "excitatory" else "I"
        rate = np.asarray(source.rate, float) / 1000.0
        if isinstance(receptors, CurrentDelta):
            tau, charge = np.zeros(size), np.asarray(noise.weight) * neuron["cm"]
        else:
            tau = synapse[f"tau_syn_{side}"]
            charge = np.asarray(noise.weight) * tau
        if isinstance(receptors, ConductanceExp):
            reversal = synapse[f"e_rev_{side}"]
            g = g + charge * rate
            current = current + charge * rate * reversal
        else:
            reversal = None
            current = current + charge * rate
        inputs.append((rate, charge, tau, reversal))
    mean, tau_eff = current / g, neuron["cm"] / g
    variance = np.zeros(size)
    for rate, charge, tau, reversal in inputs:
        drive = charge if reversal is None else charge * (reversal - mean)
        variance = variance + rate * drive**2 / (2 * (tau + tau_eff) * g**2)
    return FreePotential(mean, np.sqrt(variance), tau_eff)


def _rate_at_threshold(J: float) -> float:
    """Rate [Hz] of jumps by `J` [mV] that bring the mean potential of `brunel` to its threshold."""
    positive("J", J, "mV")
    return 1000.0 * _THRESHOLD / (J * _TAU)


def _wire(
    cells: Balanced,
    excitation: Connector,
    inhibition: Connector,
    weights: tuple[float, float],
    delay: Draw | Callable,
) -> None:
    """Project each population to both."""
    network, excitatory, inhibitory = cells
    for post in (excitatory, inhibitory):
        network.project(excitatory, post, excitation, weights[0], delay)
        network.project(inhibitory, post, inhibition, weights[1], delay, receptor="inhibitory")
