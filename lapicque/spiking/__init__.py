"""Networks of spiking neurons: description, compiled engine, plasticity, noise, recording."""

from lapicque.spiking.build import DelayWarning
from lapicque.spiking.connectors import (
    AllToAll,
    DistanceDependent,
    DistanceInDegree,
    FixedInDegree,
    FixedOutDegree,
    FixedProbability,
    FromArrays,
    OneToOne,
)
from lapicque.spiking.network import Network, Noise, Population, Projection
from lapicque.spiking.neurons import (
    LIF,
    AdEx,
    ConductanceAlpha,
    ConductanceExp,
    CurrentAlpha,
    CurrentDelta,
    CurrentExp,
)
from lapicque.spiking.plasticity import STDP, Rule, TsodyksMarkram
from lapicque.spiking.recording import Recording, Spikes
from lapicque.spiking.rules import RULE
from lapicque.spiking.simulation import Simulation
from lapicque.spiking.sources import PiecewisePoisson, Poisson, SinusoidalPoisson, SpikeArray

__all__ = [
    "LIF",
    "RULE",
    "STDP",
    "AdEx",
    "AllToAll",
    "ConductanceAlpha",
    "ConductanceExp",
    "CurrentAlpha",
    "CurrentDelta",
    "CurrentExp",
    "DelayWarning",
    "DistanceDependent",
    "DistanceInDegree",
    "FixedInDegree",
    "FixedOutDegree",
    "FixedProbability",
    "FromArrays",
    "Network",
    "Noise",
    "OneToOne",
    "PiecewisePoisson",
    "Poisson",
    "Population",
    "Projection",
    "Recording",
    "Rule",
    "Simulation",
    "SinusoidalPoisson",
    "SpikeArray",
    "Spikes",
    "TsodyksMarkram",
]
