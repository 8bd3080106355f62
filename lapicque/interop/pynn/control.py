"""Set-up and control of a simulation."""
# pyright: reportMissingImports=false

import logging
import os
import warnings

from pyNN import common
from pyNN.common.control import DEFAULT_MAX_DELAY, DEFAULT_MIN_DELAY, DEFAULT_TIMESTEP
from pyNN.recording import get_io

from lapicque._checks import InputError
from lapicque.interop.pynn import simulator

_log = logging.getLogger("PyNN")
_MAPPING = (
    "calibrated",
    "size",
    "spread",
    "merge",
    "max_synapse_loss",
    "max_neuron_loss",
    "ignore_ranges",
)
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE", "MPI_LOCALNRANKS")


def setup(timestep=DEFAULT_TIMESTEP, min_delay=DEFAULT_MIN_DELAY, **extra_params) -> int:
    """Forget any earlier network and begin a new one.

    Args:
        timestep: In ms.
        min_delay: Lower limit of delays [ms]; `auto` is the time step.
        extra_params: `max_delay` [ms]; `rng_seed` or `seed` of the noise in the simulation;
            `threads`; `substrate`, a chip on which the network is to run (see
            `lapicque.substrate.Chip`), and with it `calibrated`, `size`, `spread`,
            `merge`, `max_synapse_loss`, `max_neuron_loss` and `ignore_ranges`, see
            `lapicque.substrate.map_network`. What other simulators alone understand is ignored.

    Returns:
        0, the rank of the only process.

    Raises:
        InputError: A value is not positive, or `substrate` is not a chip.
        Exception: PyNN's own, where limits of delays contradict each other.
    """
    common.setup(timestep, min_delay, **extra_params)
    extra = dict(extra_params)
    max_delay = extra.pop("max_delay", DEFAULT_MAX_DELAY)
    seeds = [extra.pop(key, None) for key in ("seed", "rng_seed")]
    seed = next((value for value in seeds if value is not None), 0)
    threads = extra.pop("threads", None) or 1
    substrate = extra.pop("substrate", None)
    mapping = {name: extra.pop(name) for name in _MAPPING if name in extra}
    if extra.get("spike_precision") == "off_grid":
        warnings.warn("lapicque places all spikes on the grid of the time step.", stacklevel=2)
    if extra:
        _log.info("lapicque ignores these arguments of setup(): %s", ", ".join(sorted(extra)))
    if any(int(os.environ.get(size, "1")) > 1 for size in _SIZES):
        warnings.warn(
            "lapicque runs in one process: every MPI rank now simulates the whole network. Use "
            "`threads`, or NEST for several processes.",
            stacklevel=2,
        )
    simulator.state.configure(timestep, min_delay, max_delay, seed, threads, substrate, mapping)
    return rank()


def get_mapping_report():
    """What the chip made of the network, see `lapicque.substrate.report.Report`.

    Raises:
        InputError: The network does not run on a chip, or has not begun to run.
    """
    simulation = simulator.state.simulation
    report = getattr(simulation, "report", None)
    if report is None:
        raise InputError("There is no report: give `setup` a `substrate`, and call `run` before.")
    return report


def end(compatible_output=True) -> None:
    """Write what was recorded `to_file`. Data stays available until the next `setup`."""
    for population, variables, filename in simulator.state.write_on_end:
        population.write_data(get_io(filename), variables)
    simulator.state.write_on_end = []


run, run_until = common.build_run(simulator)
run_for = run
reset = common.build_reset(simulator)
initialize = common.initialize
(
    get_current_time,
    get_time_step,
    get_min_delay,
    get_max_delay,
    num_processes,
    rank,
) = common.build_state_queries(simulator)
