"""Populations, views of them, and assemblies."""
# pyright: reportMissingImports=false

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import common, errors
from pyNN.parameters import LazyArray, ParameterSpace, simplify

from lapicque._checks import InputError
from lapicque.interop.pynn import simulator
from lapicque.interop.pynn.cells import NeuronCell, SourceCell, SpikeSourceArray, SpikeSourcePoisson
from lapicque.interop.pynn.recording import Recorder
from lapicque.interop.pynn.simulator import ID, NEVER
from lapicque.interop.pynn.unsupported import SUPPORTED, unsupported
from lapicque.spiking.network import Network


class Assembly(common.Assembly):
    __doc__ = common.Assembly.__doc__
    _simulator = simulator

    @property
    def receptor_types(self) -> list[str]:
        """Receptors that all cells have, in the order of the first population's.

        The first two are the default ones; PyNN's own order changes from process to process.
        """
        first, *others = (p.celltype.receptor_types for p in self.populations)
        return [name for name in first if all(name in types for types in others)]


class _Cells:
    """What populations and views have in common: cells whose values live in a population."""

    size: int
    celltype: Any

    def _home(self) -> tuple["Population", NDArray[np.int64]]:
        """The population, and the indices of these cells in it."""
        raise NotImplementedError

    def _get_view(self, selector, label=None) -> "PopulationView":
        return PopulationView(self, selector, label)  # pyright: ignore[reportCallIssue]

    def _get_parameters(self, *names: str) -> ParameterSpace:
        home, where = self._home()
        known = self.celltype.get_parameter_names()
        for name in names:
            if name not in known:
                raise errors.NonExistentParameterError(name, type(self.celltype).__name__, known)
        values = {name: simplify(home.parameters[name][where]) for name in names or known}
        return ParameterSpace(values, self.celltype.get_schema(), (self.size,))

    def _set_parameters(self, parameter_space: ParameterSpace) -> None:
        home, where = self._home()
        changed = {}
        for name, value in parameter_space.evaluate(simplify=False).items():
            changed[name] = home.parameters[name].copy()
            changed[name][where] = value
        home.change(changed)

    def initialize(self, **initial_values) -> None:
        """Set state variables of the cells: now, and for the start after a `reset`.

        Args:
            initial_values: Numbers, arrays, random distributions or functions of the index, for
                `v` [mV], `w` [nA], `gsyn_exc`, `gsyn_inh` [uS], `isyn_exc`, `isyn_inh` [nA].

        Raises:
            NonExistentParameterError: The cells have no such variable.
            InvalidParameterValueError: A value is not finite.
        """
        for variable, value in initial_values.items():
            drawn = LazyArray(value, shape=(self.size,), dtype=float)
            self._set_initial_value_array(variable, drawn)

    def _set_initial_value_array(self, variable: str, value: LazyArray) -> None:
        home, where = self._home()
        home.start_from(variable, where, value.evaluate(simplify=False))


class PopulationView(_Cells, common.PopulationView):
    __doc__ = common.PopulationView.__doc__
    _simulator = simulator
    _assembly_class = Assembly

    def _home(self):
        return self.grandparent, self.index_in_grandparent(np.arange(self.size))

    @property
    def initial_values(self) -> dict[str, LazyArray]:
        """State variables at the start."""
        home, where = self._home()
        return {
            name: LazyArray(simplify(values[where]), shape=(self.size,), dtype=float)
            for name, values in home.start.items()
        }


class Population(_Cells, common.Population):
    __doc__ = common.Population.__doc__
    _simulator = simulator
    _recorder_class = Recorder
    _assembly_class = Assembly

    def _home(self):
        return self, np.arange(self.size)

    def _create_cells(self) -> None:
        kind = type(self.celltype)
        if not issubclass(kind, NeuronCell | SourceCell):
            raise errors.InvalidModelError(
                f"{kind.__module__}.{kind.__name__} is not a cell type of lapicque.pynn; it has "
                f"{', '.join(SUPPORTED['cell'])}."
            )
        state = simulator.state
        state.recorders.discard(self.recorder)  # until these are cells indeed
        state.must_not_have_run("new populations")
        space = self.celltype.native_parameters
        space.shape = (self.size,)
        space.evaluate(simplify=False)
        self.parameters: dict[str, NDArray[Any]] = {}
        self.start: dict[str, NDArray[np.float64]] = {}  # state variables at t = 0
        self.injections: list[tuple[Any, NDArray[np.int64]]] = []
        self.engine: Any = None  # in the network that the simulation was built from
        self._stale: set[str] = set()  # parameters that the simulation does not know yet
        self._together = True  # whether Poisson sources need no help to start and stop
        self._rates: Any = None  # those that need help have these rates
        self.change({n: np.broadcast_to(value, (self.size,)).copy() for n, value in space.items()})
        ids = range(state.id_counter, state.id_counter + self.size)
        self.all_cells = np.empty(self.size, dtype=object)
        self.all_cells[:] = [ID(i) for i in ids]
        for cell in self.all_cells:
            cell.parent = self
        self._mask_local = np.ones(self.size, dtype=bool)
        self.first_id, self.last_id = self.all_cells[0], self.all_cells[-1]
        state.id_counter += self.size
        state.populations.append(self)
        state.recorders.add(self.recorder)

    def change(self, values: dict[str, NDArray[Any]]) -> None:
        """Take new parameters, one value per cell, from the present time on.

        Raises:
            InvalidParameterValueError: They do not pass the checks of the cell's parts.
        """
        if isinstance(self.celltype, SpikeSourcePoisson) and values.keys() & {"start", "duration"}:
            simulator.state.must_not_have_run("a new `start` or `duration` of sources")
        if simulator.state.substrate is not None and self.celltype.injectable:
            simulator.state.must_not_have_run("new parameters of neurons on a chip")
        parameters = {**self.parameters, **values}
        self.celltype.parts(parameters, 0.0)
        self.parameters = parameters
        self._stale.update(values)

    def start_from(self, variable: str, where: NDArray[np.int64], values: Any) -> None:
        """Set a state variable of some cells: now, and for the start after a `reset`.

        Raises:
            NonExistentParameterError: The cells have no such variable.
            InvalidParameterValueError: A value is not finite.
        """
        known = self.celltype.default_initial_values
        if variable not in known:
            raise errors.NonExistentParameterError(variable, type(self.celltype).__name__, known)
        if not np.isfinite(values).all():
            raise errors.InvalidParameterValueError(f"Values of `{variable}` must be finite.")
        start = self.start.get(variable, np.full(self.size, float(known[variable]))).copy()
        start[where] = values
        self.start[variable] = start
        self.initial_values[variable] = LazyArray(simplify(start), shape=(self.size,), dtype=float)
        simulation = simulator.state.simulation
        if simulation is not None:
            name = self.celltype.variables[variable]
            now = np.array(simulation.get(self.engine, name), dtype=float).reshape(self.size)
            now[where] = values
            self._tell(simulation, name, now)

    def describe_to(self, network: Network) -> None:
        """Add the cells to a network that is about to be simulated."""
        model, receptors = self.celltype.parts(self.parameters, simulator.state.t)
        self.engine = network.population(
            self.size,
            model,
            receptors,
            v=self.start.get("v"),
            label=self.label,
        )
        if isinstance(self.celltype, SpikeSourcePoisson):
            self._together = self.celltype.together(self.parameters)
            self._rates = model.rate
        self._stale.clear()

    def begin(self, simulation: Any) -> None:
        """Set what a network does not describe: state variables other than the potential."""
        for variable, values in self.start.items():
            if variable != "v" and values.any():
                self._tell(simulation, self.celltype.variables[variable], values)

    def _tell(self, simulation: Any, name: str, values: Any) -> None:
        try:
            simulation.set(self.engine, name, values)
        except InputError as error:
            raise unsupported(f"setting `{name}` of {self.label} now", str(error)) from error

    def update(self, step: int) -> None:
        """Tell the simulation what changed until this time step."""
        simulation, time = simulator.state.simulation, simulator.state.time_of(step)
        assert simulation is not None
        changed = {name: self.parameters[name] for name in self._stale}
        if isinstance(self.celltype, SpikeSourceArray) and changed:
            changed = {"times": self.celltype.parts(self.parameters, time)[0].times}
        elif isinstance(self.celltype, SpikeSourcePoisson) and not self._together:
            rates = self.celltype.rate_at(self.parameters, time)
            changed = {} if np.array_equal(rates, self._rates) else {"rate": rates}
            self._rates = rates
        elif self.injections:
            current = self.parameters["i_offset"].copy()
            for source, where in self.injections:
                np.add.at(current, where, source.amplitude_at(step))
            changed["i_offset"] = current
        for name, values in changed.items():
            self._tell(simulation, name, values)
        self._stale.clear()

    def next_change(self, step: int) -> int:
        """The next time step at which input changes by itself; injected currents not counted."""
        if not isinstance(self.celltype, SpikeSourcePoisson) or self._together:
            return NEVER
        changes = np.unique(self.celltype.changes(self.parameters))
        steps = [simulator.state.step_of(time) for time in changes]
        return min((s for s in steps if s > step), default=NEVER)
