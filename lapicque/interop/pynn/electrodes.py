"""Injected currents: pieces of a run have constant input, see `simulator.State.run_until`."""
# pyright: reportMissingImports=false

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN.errors import InvalidParameterValueError
from pyNN.parameters import ParameterSpace, Sequence
from pyNN.standardmodels import StandardCurrentSource, electrodes

from lapicque.interop.pynn.cells import same_names
from lapicque.interop.pynn.simulator import NEVER, state
from lapicque.interop.pynn.unsupported import unsupported


class CurrentSource(StandardCurrentSource):
    """A current that goes into cells from the time step at which it changes."""

    def __init__(self, **parameters):
        super().__init__(**parameters)
        self._number = len(state.current_sources)
        self._given: dict[str, Any] = {}
        self.parameter_space.shape = (1,)
        self.set_native_parameters(self.translate(self.parameter_space))
        self.forget()
        state.current_sources.append(self)

    def set_native_parameters(self, parameters: ParameterSpace) -> None:
        """Take new values, from the present time on.

        Raises:
            InvalidParameterValueError: They do not pass the checks.
        """
        parameters.evaluate(simplify=True)
        given = dict(self._given)
        for name, value in parameters.items():
            given[name] = np.array(value.value, float) if isinstance(value, Sequence) else value
        self._given = self._checked(given)

    def get_parameters(self) -> dict[str, Any]:
        """All parameters, as numbers and arrays."""
        return dict(self._given)

    def _checked(self, given: dict[str, Any]) -> dict[str, Any]:
        return given

    def inject_into(self, cells) -> None:
        """Let the current flow into a population, a view, an assembly or a list of cells.

        Raises:
            TypeError: One of them is a spike source.
            UnsupportedError: The network runs on a chip, which has no such currents.
        """
        if state.substrate is not None:
            raise unsupported("currents on a chip", "Drive the cells with spike sources.")
        targets: dict[Any, list[int]] = {}
        for cell in cells:
            if not cell.celltype.injectable:
                raise TypeError("Can't inject current into a spike source.")
            targets.setdefault(cell.parent, []).append(cell.parent.id_to_index(cell))
        for population, where in targets.items():
            population.injections.append((self, np.array(where)))

    def amplitude_at(self, step: int) -> float:
        """The current from a time step on [nA]."""
        raise NotImplementedError

    def next_change(self, step: int) -> int:
        """The next time step at which the current changes."""
        raise NotImplementedError

    def update(self, step: int) -> None:
        """Remember the current from this time step on."""
        self._history.append((step, self.amplitude_at(step)))

    def forget(self) -> None:
        """Drop what was remembered."""
        self._history: list[tuple[int, float]] = []

    def record(self) -> None:
        """Keep the current; it is always kept."""

    def _get_data(self) -> tuple[NDArray[Any], NDArray[Any]]:
        steps = np.arange(state.step + 1)
        changes = np.array([*self._history, (state.step, self.amplitude_at(state.step))])
        last = np.searchsorted(changes[:, 0], steps, side="right") - 1
        current = np.where(last >= 0, changes[last, 1], 0.0)  # none before the source was made
        return np.round(steps * state.dt, 9), current


class _Pulse(CurrentSource):
    """One that flows between `start` and `stop`."""

    def _limits(self) -> tuple[int, int]:
        return state.step_of(self._given["start"]), state.step_of(self._given["stop"])

    def _flows(self, step: int) -> bool:
        start, stop = self._limits()
        return start <= step < stop

    def next_change(self, step: int) -> int:
        start, stop = self._limits()
        if self._flows(step):
            return min(stop, self._next_within(step))
        return start if step < start else NEVER

    def _next_within(self, step: int) -> int:
        return NEVER


class DCSource(_Pulse, electrodes.DCSource):
    __doc__ = electrodes.DCSource.__doc__
    translations = same_names(electrodes.DCSource)

    def amplitude_at(self, step: int) -> float:
        return float(self._given["amplitude"]) if self._flows(step) else 0.0


class ACSource(_Pulse, electrodes.ACSource):
    __doc__ = electrodes.ACSource.__doc__
    translations = same_names(electrodes.ACSource)

    def amplitude_at(self, step: int) -> float:
        if not self._flows(step):
            return 0.0
        given = self._given
        cycles = given["frequency"] * (state.time_of(step) - given["start"]) * 1e-3
        phase = 2 * np.pi * cycles + np.deg2rad(given["phase"])
        return float(given["offset"] + given["amplitude"] * np.sin(phase))

    def _next_within(self, step: int) -> int:
        return step + 1


class NoisyCurrentSource(_Pulse, electrodes.NoisyCurrentSource):
    __doc__ = electrodes.NoisyCurrentSource.__doc__
    translations = same_names(electrodes.NoisyCurrentSource)

    def _checked(self, given: dict[str, Any]) -> dict[str, Any]:
        if state.step_of(given["dt"]) < 1:
            raise InvalidParameterValueError(
                f"`dt` is {given['dt']:g} ms; it must be at least the time step, {state.dt:g} ms."
            )
        return given

    def _place(self, step: int) -> tuple[int, int]:
        """Which draw this time step has, and how many steps one lasts."""
        every = state.step_of(self._given["dt"])
        return (step - self._limits()[0]) // every, every

    def amplitude_at(self, step: int) -> float:
        if not self._flows(step):
            return 0.0
        place, _ = self._place(step)
        draw = np.random.default_rng([state.trial_seed, self._number, place]).standard_normal()
        return float(self._given["mean"] + self._given["stdev"] * draw)

    def _next_within(self, step: int) -> int:
        place, every = self._place(step)
        return self._limits()[0] + (place + 1) * every


class StepCurrentSource(CurrentSource, electrodes.StepCurrentSource):
    __doc__ = electrodes.StepCurrentSource.__doc__
    translations = same_names(electrodes.StepCurrentSource)

    def _checked(self, given: dict[str, Any]) -> dict[str, Any]:
        times, amplitudes = given["times"], given["amplitudes"]
        if len(times) != len(amplitudes):
            raise InvalidParameterValueError(
                f"`times` has {len(times)} entries and `amplitudes` {len(amplitudes)}; they must "
                "have as many."
            )
        if (times < 0).any() or (np.diff(times) <= 0).any():
            raise InvalidParameterValueError("`times` must be at least 0 ms and rise.")
        steps = np.rint(times / state.dt).astype(np.int64)
        last = np.append(np.diff(steps) > 0, True)[: len(steps)]  # of several in one step
        self._steps = steps[last]
        return {"times": np.round(self._steps * state.dt, 9), "amplitudes": amplitudes[last]}

    def amplitude_at(self, step: int) -> float:
        place = int(np.searchsorted(self._steps, step, side="right")) - 1
        return float(self._given["amplitudes"][place]) if place >= 0 else 0.0

    def next_change(self, step: int) -> int:
        place = int(np.searchsorted(self._steps, step, side="right"))
        return int(self._steps[place]) if place < len(self._steps) else NEVER
