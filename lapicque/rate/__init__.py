"""Graded-output neurons that learn in continuous time."""

from lapicque.rate.activations import hard_sigmoid as hard_sigmoid, identity as identity
from lapicque.rate.adjoint import (
    adjoint_errors as adjoint_errors,
    adjoint_gradients as adjoint_gradients,
    autodiff_gradients as autodiff_gradients,
    free_run as free_run,
)
from lapicque.rate.calibration import calibrate_tau_m as calibrate_tau_m
from lapicque.rate.compartment import (
    Compartment as Compartment,
    Opinion as Opinion,
    Soma as Soma,
    SomaStep as SomaStep,
    pool as pool,
    prospective as prospective,
    retarded as retarded,
)
from lapicque.rate.credit import (
    CREDITS as CREDITS,
    Credit as Credit,
    WindowLearner as WindowLearner,
    causal as causal,
    windowed as windowed,
    windows as windows,
    with_error_filter as with_error_filter,
)
from lapicque.rate.energy import energy as energy
from lapicque.rate.errors import (
    ErrorFilter as ErrorFilter,
    gain_corrected as gain_corrected,
    instantaneous as instantaneous,
    swapped as swapped,
)
from lapicque.rate.filters import LeadLag as LeadLag, lead_lag as lead_lag
from lapicque.rate.learning import (
    Learner as Learner,
    LearnerState as LearnerState,
    Lesson as Lesson,
    hold as hold,
    keep_above as keep_above,
    labelled as labelled,
    local_sgd as local_sgd,
    per_layer as per_layer,
    present as present,
)
from lapicque.rate.microcircuit import (
    Conductances as Conductances,
    Microcircuit as Microcircuit,
    MicrocircuitState as MicrocircuitState,
    MicrocircuitWeights as MicrocircuitWeights,
    Stimulus as Stimulus,
    Voltages as Voltages,
    present_patterns as present_patterns,
    record_patterns as record_patterns,
)
from lapicque.rate.models import (
    Feedback as Feedback,
    dense as dense,
    lenet as lenet,
    map_layers as map_layers,
    mismatched as mismatched,
    stack as stack,
    with_mismatch as with_mismatch,
    with_time_constants as with_time_constants,
)
from lapicque.rate.network import (
    FULL_FORWARD as FULL_FORWARD,
    SWEEPS as SWEEPS,
    SYNCHRONOUS as SYNCHRONOUS,
    Layer as Layer,
    LayerState as LayerState,
    Network as Network,
    NetworkState as NetworkState,
    Parameters as Parameters,
    Schedule as Schedule,
)
from lapicque.rate.neurons import Neurons as Neurons, NeuronState as NeuronState
from lapicque.rate.nudging import (
    Nudging as Nudging,
    cross_entropy as cross_entropy,
    squared_error as squared_error,
)
from lapicque.rate.part import AbstractPart as AbstractPart, simulate as simulate
from lapicque.rate.plasticity import (
    PlasticityRule as PlasticityRule,
    error_times_trace as error_times_trace,
    low_passed as low_passed,
)
from lapicque.rate.stability import (
    LoopGain as LoopGain,
    UnstableErrorsWarning as UnstableErrorsWarning,
    loop_gain as loop_gain,
)
from lapicque.rate.streaming import Stream as Stream
from lapicque.rate.synapses import (
    Conv2d as Conv2d,
    Dense as Dense,
    Flatten as Flatten,
    MaxPool2d as MaxPool2d,
    Series as Series,
    Synapses as Synapses,
)
from lapicque.rate.training import classify as classify, epoch as epoch
from lapicque.rate.transmission import Transmission as Transmission
