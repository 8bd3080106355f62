"""Sampling from Boltzmann distributions with abstract and with spiking neurons."""

from lapicque.sampling.calibration import Calibration, calibrate, predict
from lapicque.sampling.lif import LIFSampler
from lapicque.sampling.samplers import Chains, Exact, Gibbs, Neural, Sampler
from lapicque.sampling.target import (
    Boltzmann,
    beta_ensemble,
    gauss_ensemble,
    index,
    layered,
    states,
)

__all__ = [
    "Boltzmann",
    "Calibration",
    "Chains",
    "Exact",
    "Gibbs",
    "LIFSampler",
    "Neural",
    "Sampler",
    "beta_ensemble",
    "calibrate",
    "gauss_ensemble",
    "index",
    "layered",
    "predict",
    "states",
]
