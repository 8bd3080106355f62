"""Exact first-spike-time layers with weights and delays."""

from lapicque.spiketime.delays import (
    Clipped as Clipped,
    Delays as Delays,
    Shifted as Shifted,
    Sigmoid as Sigmoid,
    delays as delays,
)
from lapicque.spiketime.imperfections import (
    Imperfections as Imperfections,
    Pattern as Pattern,
    Substrate as Substrate,
    quantise as quantise,
)
from lapicque.spiketime.layers import (
    Layer as Layer,
    Measured as Measured,
    Network as Network,
    Parameters as Parameters,
    as_measured as as_measured,
    dense as dense,
)
from lapicque.spiketime.losses import (
    CrossEntropy as CrossEntropy,
    RelativeError as RelativeError,
    TargetTimes as TargetTimes,
    decide as decide,
)
from lapicque.spiketime.neuron import Mismatched as Mismatched, Neuron as Neuron
from lapicque.spiketime.silence import (
    Bumping as Bumping,
    BumpState as BumpState,
    peak_margin as peak_margin,
)
from lapicque.spiketime.solvers import (
    Lambert as Lambert,
    Newton as Newton,
    NonLeaky as NonLeaky,
    Quadratic as Quadratic,
    Solver as Solver,
)
from lapicque.spiketime.spikes import (
    crossing as crossing,
    first_spike as first_spike,
    from_events as from_events,
    highest_potential as highest_potential,
    potential as potential,
    spike_gradient as spike_gradient,
)
from lapicque.spiketime.training import (
    Decay as Decay,
    Trainer as Trainer,
    TrainingState as TrainingState,
    delay_size as delay_size,
    evaluate as evaluate,
    respond as respond,
)
