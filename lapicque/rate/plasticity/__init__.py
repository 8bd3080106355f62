"""Learning rules as pure functions: what a synapse computes from what it can see."""

from lapicque.rate.plasticity.error_times_trace import error_times_trace as error_times_trace
from lapicque.rate.plasticity.low_passed import low_passed as low_passed
from lapicque.rate.plasticity.rule import PlasticityRule as PlasticityRule
