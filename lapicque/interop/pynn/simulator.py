"""What the front end keeps between calls: the network, the time, and the simulation that runs it.

PyNN's `common` functions find what they need in the singleton `state`.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pyNN import common

from lapicque._checks import InputError, positive
from lapicque.interop.pynn.unsupported import unsupported
from lapicque.spiking.network import Network
from lapicque.spiking.simulation import Simulation

if TYPE_CHECKING:  # loaded when a script asks for a chip
    from lapicque.substrate import Chip, Emulation

name = "lapicque"  # in the annotations of data

NEVER = 1 << 62  # a time step that does not come


class ID(int, common.IDMixin):
    """Number of a cell, with its parameters as attributes."""


class State(common.control.BaseState):
    """The network as described so far, and from the first run on its simulation.

    The simulation is built at the first `run` after `setup` or `reset`. Whatever changes from time
    to time (injected currents, onset of Poisson sources) cuts a run into stretches of constant
    input.
    """

    num_processes = 1
    mpi_rank = 0

    def __init__(self):
        super().__init__()
        self.configure(0.1, "auto", "auto", 0, 1)

    def configure(
        self,
        timestep: float,
        min_delay: float | str,
        max_delay: float | str,
        seed: int,
        threads: int,
        substrate: Chip | None = None,
        mapping: dict | None = None,
    ) -> None:
        """Forget everything and begin anew.

        Args:
            timestep: In ms.
            min_delay: Lower limit of delays [ms], or `auto`.
            max_delay: Upper limit of delays [ms], or `auto`.
            seed: Of the noise in the simulation; connectors have generators of their own.
            threads: How many share the work.
            substrate: A chip on which the network is to run, or `None`.
            mapping: Options of `lapicque.substrate.map_network`.

        Raises:
            InputError: A value is not positive, or `substrate` is not a chip.
        """
        positive("timestep", timestep, "ms")
        for label, value in (("min_delay", min_delay), ("max_delay", max_delay)):
            if value != "auto":
                positive(label, float(value), "ms")
        if substrate is not None:
            _check_chip(substrate)
        self.dt = float(timestep)
        self.delay_limits = (
            self.dt if min_delay == "auto" else float(min_delay),
            np.inf if max_delay == "auto" else float(max_delay),
        )
        self._auto = (min_delay == "auto", max_delay == "auto")
        self.seed = int(seed)
        self.threads = int(threads)
        self.substrate, self.mapping = substrate, mapping or {}
        self.populations = []
        self.projections = []
        self.current_sources = []
        self.recorders = set()
        self.write_on_end = []
        self.id_counter = 1
        self.segment_counter = -1
        self.reset()

    def reset(self) -> None:
        """Back to t = 0 and the network as described; a new segment of data begins."""
        for recorder in self.recorders:
            recorder.forget()
        for source in self.current_sources:
            source.forget()
        self.simulation: Simulation | Emulation | None = None
        self.running = False
        self.step = 0
        self.t_start = 0.0
        self.segment_counter += 1

    @property
    def t(self) -> float:
        """Time [ms]."""
        return self.time_of(self.step)

    def time_of(self, step: int) -> float:
        """When a step begins [ms]."""
        return round(step * self.dt, 9)

    def step_of(self, time: float) -> int:
        """The step that begins nearest to a time [ms]."""
        return int(np.rint(min(time / self.dt, NEVER)))

    @property
    def min_delay(self) -> float:
        """The limit given to `setup`, or the smallest delay there is [ms]."""
        return self._extreme(np.min, 0)

    @property
    def max_delay(self) -> float:
        """The limit given to `setup`, or the largest delay there is [ms]."""
        return self._extreme(np.max, 1)

    def _extreme(self, pick, which: int) -> float:
        delays = [p.get_values("delay") for p in self.projections if len(p)]
        if not self._auto[which]:
            return self.delay_limits[which]
        return float(pick([pick(d) for d in delays])) if delays else self.dt

    @property
    def trial_seed(self) -> int:
        """The seed; after a `reset` another one, so that trials have noise of their own."""
        if self.segment_counter == 0:
            return self.seed
        return int(np.random.SeedSequence([self.seed, self.segment_counter]).generate_state(1)[0])

    def locate(self, ids) -> tuple[np.ndarray, np.ndarray]:
        """For each cell the index of its population in `populations`, and its index therein."""
        ids = np.asarray(ids, dtype=np.int64)
        first = np.array([p.first_id for p in self.populations], dtype=np.int64)
        owner = np.searchsorted(first, ids, side="right") - 1
        return owner, ids - first[owner]

    def must_not_have_run(self, what: str) -> None:
        """Refuse changes that a running simulation cannot take.

        Raises:
            UnsupportedError: It has begun.
        """
        if self.simulation is not None:
            raise unsupported(f"{what} once the simulation has begun", "Call `reset()` first.")

    def run(self, simtime: float) -> None:
        """Advance by so many ms."""
        self.run_until(self.t + simtime)

    def run_until(self, tstop: float) -> None:
        """Advance to a time [ms]."""
        if self.simulation is None:
            self.simulation = self._build()
        self.running = True
        end = self.step_of(tstop)
        while self.step < end:
            stop = end
            for part in (*self.current_sources, *self.populations):
                part.update(self.step)
                stop = min(stop, part.next_change(self.step))
            recording = self.simulation.run((stop - self.step) * self.dt)
            self.step = stop
            for population in self.populations:
                population.recorder.collect(recording)

    def _build(self) -> Simulation | Emulation:
        network = Network()
        for population in self.populations:
            population.describe_to(network)
        for projection in self.projections:
            projection.describe_to(network)
        for population in self.populations:
            population.recorder.describe_to(network)
        common = {"dt": self.dt, "seed": self.trial_seed, "threads": self.threads}
        if self.substrate is None:
            simulation = Simulation(network, **common)
        else:
            from lapicque.substrate import Emulation

            trial = self.segment_counter
            simulation = Emulation(network, self.substrate, trial=trial, **common, **self.mapping)
        for population in self.populations:
            population.begin(simulation)
        return simulation


def _check_chip(substrate: object) -> None:
    from lapicque.substrate import Chip

    if not isinstance(substrate, Chip):
        raise InputError(
            f"`substrate` is {type(substrate).__name__}; it must be a `Chip`, as in "
            "`Chip(brainscales1(), seed=1)`."
        )


state = State()
