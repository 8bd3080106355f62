"""What was recorded, as PyNN hands it on to Neo."""
# pyright: reportMissingImports=false

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import recording
from pyNN.errors import InvalidParameterValueError

from lapicque.interop.pynn import simulator
from lapicque.interop.pynn.unsupported import unsupported
from lapicque.spiking.network import Network
from lapicque.spiking.recording import Recording


class Recorder(recording.Recorder):
    """Keeps the spikes and samples of one population."""

    _simulator = simulator
    population: Any

    def __init__(self, population, file=None):
        super().__init__(population, file)
        self._spikes: list[tuple[NDArray[Any], NDArray[np.int64]]] = []
        self._columns: dict[str, NDArray[np.int64]] = {}  # neurons whose samples arrive
        self._samples: dict[str, list[NDArray[Any]]] = {}  # each (time, column)

    def record(self, variables, ids, sampling_interval=None, locations=None) -> None:
        """Keep variables of some cells.

        Args:
            variables: One name or several; for others than spikes this must come before the
                first run.
            ids: The cells.
            sampling_interval: Time between samples [ms], a multiple of the time step; the same
                for all cells and variables of a population.
            locations: None; cells are points.

        Raises:
            RecordingError: The cells have no such variable.
            UnsupportedError: A location, or a new state variable after the first run.
            InvalidParameterValueError: The interval is no multiple of the time step.
        """
        if locations is not None:
            raise unsupported("recording at locations of a cell", "Leave `locations` out.")
        super().record(variables, ids, sampling_interval)

    def _record(self, variable, new_ids, sampling_interval=None) -> None:
        state = simulator.state
        if variable.name != "spikes" and new_ids and state.simulation is not None:
            self.recorded[variable] -= new_ids
            state.must_not_have_run(f"recording `{variable.name}`")
        if sampling_interval is not None:
            steps = state.step_of(sampling_interval)
            if steps < 1 or abs(steps * state.dt - sampling_interval) > 1e-9 * sampling_interval:
                raise InvalidParameterValueError(
                    f"`sampling_interval` is {sampling_interval:g} ms; it must be a multiple of "
                    f"the time step, {state.dt:g} ms."
                )
            self.sampling_interval = sampling_interval

    def describe_to(self, network: Network) -> None:
        """Ask a network that is about to be simulated for what is to be recorded."""
        self.forget()
        for variable, ids in self.recorded.items():
            if variable.name == "spikes" or not ids:
                continue
            name = self.population.celltype.variables[variable.name]
            columns = np.sort(self.population.id_to_index(list(ids)))
            network.record(
                self.population.engine, name, neurons=columns, interval=self.sampling_interval
            )
            self._columns[variable.name] = columns
            self._samples[variable.name] = [self.population.start[variable.name][columns][None]]

    def collect(self, stretch: Recording) -> None:
        """Take what a stretch of a run has brought."""
        engine, state = self.population.engine, simulator.state
        for variable, ids in self.recorded.items():
            if variable.name in self._columns:
                name = self.population.celltype.variables[variable.name]
                self._samples[variable.name].append(stretch.signal(engine, name)[:, 0])
            elif variable.name == "spikes" and ids:
                steps, units, _ = stretch.all_spikes(engine)
                if len(ids) < self.population.size:
                    kept = np.isin(units, self.population.id_to_index(list(ids)))
                    steps, units = steps[kept], units[kept]
                if len(steps):
                    self._spikes.append((np.round(steps * state.dt, 9), units))

    def forget(self) -> None:
        """Drop all data."""
        self._spikes, self._columns, self._samples = [], {}, {}

    def _reset(self) -> None:
        self.forget()

    def _clear_simulator(self) -> None:
        self._spikes = []
        self._samples = {name: [parts[-1][-1:]] for name, parts in self._joined().items()}

    def _joined(self) -> dict[str, list[NDArray[Any]]]:
        self._samples = {name: [np.concatenate(parts)] for name, parts in self._samples.items()}
        return self._samples

    def _all_spikes(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        if not self._spikes:
            return np.zeros(0), np.zeros(0, np.int64)
        times, units = (np.concatenate(column) for column in zip(*self._spikes, strict=True))
        self._spikes = [(times, units)]
        return times, units

    def _get_spiketimes(self, id, clear=False) -> tuple[NDArray[np.int64], NDArray[Any]]:
        times, units = self._all_spikes()
        senders = units + int(self.population.first_id)
        asked = np.isin(senders, np.asarray(id, dtype=np.int64))
        return senders[asked], times[asked]

    def _get_all_signals(self, variable, ids, clear=False):
        if variable.name not in self._columns or not len(ids):
            return np.zeros((0, 0)), None
        where = np.searchsorted(self._columns[variable.name], self.population.id_to_index(ids))
        return self._joined()[variable.name][0][:, where], None

    def _local_count(self, variable, filter_ids=None) -> dict[int, int]:
        _, units = self._all_spikes()
        counts = defaultdict(int, zip(*np.unique(units, return_counts=True), strict=True))
        first = int(self.population.first_id)
        asked = self.filter_recorded(variable, filter_ids)
        return {int(cell): int(counts[int(cell) - first]) for cell in sorted(asked)}
