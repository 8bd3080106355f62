"""The samplers that these experiments compare, and what they find."""

from dataclasses import replace

import numpy as np

from lapicque.sampling.calibration import calibrate
from lapicque.sampling.factors import Compiled, Evidence, clamped
from lapicque.sampling.lif import LIFSampler
from lapicque.sampling.relays import RelaySampler
from lapicque.sampling.samplers import Gibbs, Neural, Sampler
from lapicque.spiking.models import BOMBARDED

NEURAL_TAU = 20
NAMES = ("Gibbs", "abstract neurons", "LIF, renewing", "LIF, relays", "LIF, rectangle")
SPIKING = NAMES[2:]


def samplers(preset: str, v_reset: float, relays: int, dt: float, seed: int) -> dict[str, Sampler]:
    """By name; a spiking sample is read every ms.

    `v_reset` [mV] replaces that of the preset: a neuron that is reset far below its threshold needs
    a while to return, and a response that ends in time leaves a gap before the next spike.
    """
    base = BOMBARDED[preset]
    preset_here = base._replace(neuron=replace(base.neuron, v_reset=v_reset))
    calibration = calibrate(preset_here, dt=dt, seed=seed)
    steps = round(calibration.tau_ref / dt) + 1
    return {
        "Gibbs": Gibbs(),
        "abstract neurons": Neural(NEURAL_TAU),
        "LIF, renewing": LIFSampler(calibration, interval=1.0),
        "LIF, relays": RelaySampler(calibration, relays),
        "LIF, rectangle": RelaySampler(calibration, steps),
    }


def sampled(
    name: str,
    sampler: Sampler,
    machine: Compiled,
    evidence: Evidence,
    chains: int,
    duration: float,
    seed: int,
) -> np.ndarray:
    """States of the variables, (samples, chains, n), after a tenth of the time.

    Args:
        name: Of the sampler, see `NAMES`.
        sampler: Which one.
        machine: What it samples.
        evidence: What is clamped.
        chains: How many.
        duration: Of a chain, in refractory times: sweeps of `Gibbs`.
        seed: Of the chains.
    """
    per = {"Gibbs": 1, "abstract neurons": NEURAL_TAU}.get(name, 10)
    samples = max(10, round(duration * per))
    started = sampler.start(machine.target, chains, seed)
    if evidence:
        started.clamp(*clamped(evidence, machine.graph.n))
    started.run(samples // 10)
    return machine.variables(started.run(samples))
