"""PyNN's interface to the spiking engine; scripts say `import lapicque.pynn as sim`."""
# pyright: reportMissingImports=false
# ruff: noqa: E402

from lapicque._checks import extra as _extra

_extra("pyNN", "pynn")

from pyNN import errors as errors, random as random, space as space
from pyNN.connectors import (
    AllToAllConnector as AllToAllConnector,
    ArrayConnector as ArrayConnector,
    CloneConnector as CloneConnector,
    CSAConnector as CSAConnector,
    DisplacementDependentProbabilityConnector as DisplacementDependentProbabilityConnector,
    DistanceDependentProbabilityConnector as DistanceDependentProbabilityConnector,
    FixedNumberPostConnector as FixedNumberPostConnector,
    FixedNumberPreConnector as FixedNumberPreConnector,
    FixedProbabilityConnector as FixedProbabilityConnector,
    FixedTotalNumberConnector as FixedTotalNumberConnector,
    FromFileConnector as FromFileConnector,
    FromListConnector as FromListConnector,
    IndexBasedProbabilityConnector as IndexBasedProbabilityConnector,
)
from pyNN.network import Network as Network
from pyNN.random import (
    GSLRNG as GSLRNG,
    NumpyRNG as NumpyRNG,
    RandomDistribution as RandomDistribution,
)
from pyNN.space import Space as Space

from lapicque.interop.pynn import simulator as simulator
from lapicque.interop.pynn.cells import (
    EIF_cond_alpha_isfa_ista as EIF_cond_alpha_isfa_ista,
    EIF_cond_exp_isfa_ista as EIF_cond_exp_isfa_ista,
    IF_cond_alpha as IF_cond_alpha,
    IF_cond_exp as IF_cond_exp,
    IF_curr_alpha as IF_curr_alpha,
    IF_curr_delta as IF_curr_delta,
    IF_curr_exp as IF_curr_exp,
    SpikeSourceArray as SpikeSourceArray,
    SpikeSourcePoisson as SpikeSourcePoisson,
)
from lapicque.interop.pynn.connectors import OneToOneConnector as OneToOneConnector
from lapicque.interop.pynn.control import (
    end as end,
    get_current_time as get_current_time,
    get_mapping_report as get_mapping_report,
    get_max_delay as get_max_delay,
    get_min_delay as get_min_delay,
    get_time_step as get_time_step,
    initialize as initialize,
    num_processes as num_processes,
    rank as rank,
    reset as reset,
    run as run,
    run_for as run_for,
    run_until as run_until,
    setup as setup,
)
from lapicque.interop.pynn.electrodes import (
    ACSource as ACSource,
    DCSource as DCSource,
    NoisyCurrentSource as NoisyCurrentSource,
    StepCurrentSource as StepCurrentSource,
)
from lapicque.interop.pynn.populations import (
    Assembly as Assembly,
    Population as Population,
    PopulationView as PopulationView,
)
from lapicque.interop.pynn.procedural import (
    connect as connect,
    create as create,
    record as record,
    record_gsyn as record_gsyn,
    record_v as record_v,
    set as set,
)
from lapicque.interop.pynn.projections import Connection as Connection, Projection as Projection
from lapicque.interop.pynn.synapses import (
    AdditivePotentiationMultiplicativeDepression as AdditivePotentiationMultiplicativeDepression,
    AdditiveWeightDependence as AdditiveWeightDependence,
    GutigWeightDependence as GutigWeightDependence,
    MultiplicativeWeightDependence as MultiplicativeWeightDependence,
    SpikePairRule as SpikePairRule,
    StaticSynapse as StaticSynapse,
    STDPMechanism as STDPMechanism,
    TsodyksMarkramSynapse as TsodyksMarkramSynapse,
)
from lapicque.interop.pynn.unsupported import (
    SUPPORTED as _SUPPORTED,
    UnsupportedError as UnsupportedError,
    unavailable as _unavailable,
)


def list_standard_models() -> list[str]:
    """Names of the cell types there are."""
    return list(_SUPPORTED["cell"])


def __getattr__(name: str) -> type:
    return _unavailable(name)
