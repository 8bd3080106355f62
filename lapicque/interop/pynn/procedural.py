"""The procedural interface, for single cells and quick scripts."""
# pyright: reportMissingImports=false

from pyNN import common
from pyNN.connectors import FixedProbabilityConnector

from lapicque.interop.pynn import simulator
from lapicque.interop.pynn.populations import Population
from lapicque.interop.pynn.projections import Projection
from lapicque.interop.pynn.synapses import StaticSynapse

create = common.build_create(Population)
connect = common.build_connect(Projection, FixedProbabilityConnector, StaticSynapse)
record = common.build_record(simulator)
set = common.set


def record_v(source, filename) -> None:
    """Write membrane potentials to a file when the simulation ends."""
    record(["v"], source, filename)


def record_gsyn(source, filename) -> None:
    """Write synaptic conductances to a file when the simulation ends."""
    record(["gsyn_exc", "gsyn_inh"], source, filename)
