"""The spiking sampler as one JAX program, for many chains at once on a GPU.

The same neuron, calibration and parameters as `lapicque.sampling.lif`, in float32: potentials are
kept relative to the threshold and in units of the free spread, so that presets on a scale of
microvolts lose nothing. Random numbers are a hash of seed, chain, unit and step, so a chain does
not depend on the others.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, in_range
from lapicque.sampling.lif import CLAMP, LIFSampler
from lapicque.sampling.samplers import clamped
from lapicque.sampling.target import Boltzmann
from lapicque.spiking import ConductanceExp, CurrentExp
from lapicque.spiking._kernel import A12, A21
from lapicque.spiking.coefficients import coefficients, kind_of, parameters
from lapicque.spiking.models import noise_driven
from lapicque.spiking.random import poisson_thresholds
from lapicque.spiking.streams import most_thresholds


@dataclass(frozen=True)
class AcceleratedLIFSampler(LIFSampler):
    """`LIFSampler` on JAX: private Poisson noise, any short-term plasticity.

    Raises:
        InputError: A value is out of range, or another noise is asked for.
    """

    def __post_init__(self):
        super().__post_init__()
        if self.noise is not None:
            raise InputError("The accelerated sampler knows private Poisson noise only.")

    def start(self, target: Boltzmann, chains: int = 1, seed: int = 0) -> "AcceleratedChains":
        """See `lapicque.sampling.samplers.Sampler`.

        Raises:
            InputError: A bias cannot be reached.
        """
        return AcceleratedChains(self, target, chains, seed)


class _State(NamedTuple):
    v: Float[Array, "chains n"]  # over the threshold, in units of the free spread
    e: Float[Array, "chains n"]
    i: Float[Array, "chains n"]
    age: Int[Array, "chains n"]  # steps since the last spike
    resources: Float[Array, "chains n"]
    facilitation: Float[Array, "chains n"]
    pending: Float[Array, "delay chains n"]  # what synapses deliver, the next step first
    step: Int[Array, ""]


class _Model(NamedTuple):
    """Numbers of the program; times in steps."""

    c: Float[Array, " coefficients"]
    excitation: Float[Array, "n n"]
    inhibition: Float[Array, "n n"]
    drive: Float[Array, "chains n"]
    noise: Float[Array, " 2"]  # weights
    thresholds: tuple[Array, Array]
    reversal: Float[Array, " 2"]
    plasticity: Float[Array, " 3"]  # U, decays per step of depletion and of facilitation
    base: Int[Array, "chains n"]  # hash of seed, chain and unit


class AcceleratedChains:
    """Chains on JAX, see `AcceleratedLIFSampler`."""

    def __init__(self, sampler: AcceleratedLIFSampler, target: Boltzmann, chains: int, seed: int):
        in_range("chains", chains, 1)
        in_range("seed", seed, 0)
        self.sampler, self.target, self._chains = sampler, target, chains
        calibration = sampler.calibration
        self._dt = calibration.dt
        self._conductance = isinstance(calibration.preset.receptors, ConductanceExp)
        assert isinstance(calibration.preset.receptors, ConductanceExp | CurrentExp)
        self._held = np.full((chains, target.n), np.nan)
        self._every = round(sampler.interval / self._dt)
        self._delay = max(1, round(sampler.delay / self._dt))
        self._refractory = round(calibration.tau_ref / self._dt)
        self._base = _streams(seed, chains, target.n)
        self._model = self._parameters()
        v = np.broadcast_to(self._relative(calibration.free.mean), (chains, target.n))
        zeros = jnp.zeros((chains, target.n), jnp.float32)
        self._state = _State(
            v=jnp.asarray(v, jnp.float32),
            e=zeros,
            i=zeros,
            age=jnp.full((chains, target.n), 1 << 30, jnp.int32),
            resources=zeros + 1,
            facilitation=zeros,
            pending=jnp.zeros((self._delay, chains, target.n), jnp.float32),
            step=jnp.asarray(0, jnp.uint32),
        )

    def run(self, samples: int) -> NDArray[np.uint8]:
        """See `lapicque.sampling.samplers.Chains`."""
        in_range("samples", samples, 0)
        self._state, states = _run(
            self._model,
            self._state,
            samples,
            self._every,
            self._refractory,
            self._conductance,
            self._dt,
        )
        return np.asarray(states)

    def update(self, target: Boltzmann) -> None:
        """See `lapicque.sampling.samplers.Chains`.

        Raises:
            InputError: The sizes differ.
        """
        if target.n != self.target.n:
            raise InputError(f"The target has {target.n} units; these chains have {self.target.n}.")
        self.target = target
        self._model = self._parameters()

    def clamp(self, units: ArrayLike, values: ArrayLike) -> None:
        """See `lapicque.sampling.samplers.Chains`."""
        units, values = clamped(units, values, *self._held.shape)
        self._held[:] = np.nan
        self._held[:, units] = np.where(values > 0, CLAMP, -CLAMP)
        self._model = self._parameters()

    # -- inside --------------------------------------------------------------------------------

    def _relative(self, potential: ArrayLike) -> NDArray[np.float64]:
        calibration = self.sampler.calibration
        threshold = np.asarray(calibration.preset.neuron.v_thresh, float)
        return (np.asarray(potential, float) - threshold) / calibration.free.sd

    def _parameters(self) -> _Model:
        sampler, calibration = self.sampler, self.sampler.calibration
        preset, sd, h = calibration.preset, calibration.free.sd, self._dt
        _, neurons = noise_driven(1, preset)
        p = parameters(neurons)
        c = coefficients(kind_of(neurons), p, h)[0]
        c[0] = self._relative(c[0])  # reset
        rest = np.broadcast_to(calibration.rest(self.target.biases), self._held.shape).copy()
        held = ~np.isnan(self._held)
        shift = calibration.width * calibration.leak_factor
        rest[held] = calibration.rest(np.zeros(1))[0] + shift * self._held[held]
        drive = self._relative(rest)
        weights = calibration.synapses(self.target.weights, self.target.biases) * sampler.scale
        plasticity = sampler.plasticity
        law = (1.0, 0.0, 0.0)
        if plasticity is not None:
            weights = weights / plasticity.U
            facil = plasticity.tau_facil
            law = (
                plasticity.U,
                np.exp(-h / plasticity.tau_rec),
                np.exp(-h / facil) if facil > 0 else 0.0,
            )
        noise = np.asarray(preset.weights, float)
        if self._conductance:
            receptors = preset.receptors
            jump = c[5]
            reversal = self._relative([receptors.e_rev_E, receptors.e_rev_I])  # pyright: ignore
            excitation, inhibition = np.maximum(weights, 0) * jump, np.maximum(-weights, 0) * jump
            noise, drive = noise * jump, drive * c[3]
        else:
            reversal = np.zeros(2)
            excitation, inhibition = weights / sd, np.zeros_like(weights)
            noise, drive = noise / sd, drive * -np.expm1(-h / p["tau_m"][0])
        means = np.asarray(preset.rates, float) * h * 1e-3

        def single(x):
            return jnp.asarray(x, jnp.float32)

        return _Model(
            single(c),
            single(excitation),
            single(inhibition),
            single(drive),
            single(noise),
            (_thresholds(means[0]), _thresholds(means[1])),
            single(reversal),
            single(law) if plasticity is not None else single((1.0, -1.0, 0.0)),
            jnp.asarray(self._base),
        )


@partial(jax.jit, static_argnums=(2, 3, 4, 5, 6))
def _run(model: _Model, state: _State, samples, every, refractory, conductance, dt):
    def step(state: _State, _):
        new = _step(model, state, refractory, conductance, dt)
        return new, None

    def sample(state: _State, _):
        state, _ = jax.lax.scan(step, state, None, every)
        on = (state.age >= 1) & (state.age <= refractory)
        return state, on.astype(jnp.uint8)

    return jax.lax.scan(sample, state, None, samples)


def _step(model: _Model, s: _State, refractory: int, conductance: bool, h: float) -> _State:
    """Potential with the old synaptic state, then arrivals, then the threshold."""
    c = model.c
    new = _gauss(model, s, h) if conductance else _linear(model, s)
    active = s.age >= refractory
    v = jnp.where(active, new, s.v)
    first = _mix(model.base ^ _mix(s.step + jnp.uint32(0x9E3779B9)))
    second = _mix(first ^ jnp.uint32(0x85EBCA6B) + model.base)
    counts = [
        (word[..., None] >= edges).sum(-1).astype(jnp.float32)
        for word, edges in zip((first, second), model.thresholds, strict=True)
    ]
    arriving = s.pending[0]
    e = s.e * c[6] + model.noise[0] * counts[0] + arriving @ model.excitation.T
    i = s.i * c[7] + model.noise[1] * counts[1]
    if conductance:  # weights of both signs excite where synapses are currents
        i = i + arriving @ model.inhibition.T
    fires = active & (v >= 0)
    use, recovery, forgetting = model.plasticity
    static = recovery < 0
    resources = 1 + (s.resources - 1) * jnp.abs(recovery)
    facilitation = s.facilitation * forgetting
    u = use + facilitation * (1 - use)
    sent = jnp.where(fires, jnp.where(static, 1.0, resources * u), 0.0)
    return _State(
        v=jnp.where(fires, c[0], v),
        e=e,
        i=i,
        age=jnp.where(fires, 0, jnp.minimum(s.age, 1 << 30) + 1),
        resources=jnp.where(fires, resources * (1 - u), resources),
        facilitation=jnp.where(fires, u, facilitation),
        pending=jnp.concatenate([s.pending[1:], sent[None]]),
        step=s.step + jnp.uint32(1),
    )


def _linear(model: _Model, s: _State) -> Array:
    """The exact propagator of currents."""
    return s.v * model.c[3] + s.e * model.c[4] + s.i * model.c[5] + model.drive


def _gauss(model: _Model, s: _State, h: float) -> Array:
    """See `lapicque.spiking._kernel`: two-stage Gauss method in closed form."""
    c, (over_e, over_i) = model.c, model.reversal
    early_e, early_i, late_e, late_i = s.e * c[10], s.i * c[11], s.e * c[12], s.i * c[13]
    a1, a2 = h * (c[3] + early_e + early_i), h * (c[3] + late_e + late_i)
    p1 = h * (model.drive + early_e * over_e + early_i * over_i) - a1 * s.v
    p2 = h * (model.drive + late_e * over_e + late_i * over_i) - a2 * s.v
    m1, m2 = 1 + 0.25 * a1, 1 + 0.25 * a2
    n1, n2 = a1 * A12, a2 * A21
    return s.v + 0.5 * ((p1 * (m2 - n2) + p2 * (m1 - n1)) / (m1 * m2 - n1 * n2))


def _mix(x: Array) -> Array:
    """A bijection of 32-bit words that scatters neighbours (the finaliser of MurmurHash3)."""
    x = x ^ (x >> 16)
    x = x * jnp.uint32(0x85EBCA6B)
    x = x ^ (x >> 13)
    x = x * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def _streams(seed: int, chains: int, n: int) -> NDArray[np.uint32]:
    """A word per chain and unit; a chain's words do not depend on how many there are."""
    start = np.random.SeedSequence(seed).generate_state(1)[0]
    chain, unit = np.arange(chains, dtype=np.uint32), np.arange(n, dtype=np.uint32)
    mixed = _mix(jnp.asarray(chain[:, None]) * jnp.uint32(0x9E3779B1) ^ jnp.uint32(start))
    return np.asarray(_mix(mixed + jnp.asarray(unit[None]) * jnp.uint32(0xC2B2AE3D)))


def _thresholds(mean: float) -> Array:
    """See `lapicque.spiking.random.poisson_thresholds`."""
    edges = np.zeros(most_thresholds(mean), np.uint32)
    return jnp.asarray(edges[: poisson_thresholds(mean, edges)])
