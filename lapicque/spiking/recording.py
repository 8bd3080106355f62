"""What a run gives back."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lapicque._checks import InputError
from lapicque.spiking.network import Population


class Spikes(NamedTuple):
    """Spikes in the order of time, and of units within a step."""

    time: NDArray[np.float64]  # ms
    id: NDArray[np.int64]  # unit within its population


@dataclass(frozen=True)
class Recording:
    """A stretch of a run: all spikes, and the state variables that were asked for."""

    start: float  # ms
    duration: float  # ms
    _dt: float
    _steps: dict[Population, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]
    _signals: dict[tuple[Population, str], tuple[NDArray[np.float64], NDArray[np.float64]]]

    def spikes(self, population: Population, chain: int = 0) -> Spikes:
        """Spikes of a population in one chain, by its place in the batch.

        Raises:
            InputError: The population is not of this network.
        """
        step, unit, chains = self._find(population)
        mine = chains == chain
        return Spikes((step[mine] * self._dt).astype(float), unit[mine])

    def all_spikes(
        self, population: Population
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Spikes of all chains: step of time, unit and chain, in the order of time."""
        return self._find(population)

    def signal(self, population: Population, variable: str = "v") -> NDArray[np.float64]:
        """A recorded variable, shape (time, chain, neuron).

        Raises:
            InputError: It was not recorded, see `Network.record`.
        """
        return self._recorded(population, variable)[1]

    def times(self, population: Population, variable: str = "v") -> NDArray[np.float64]:
        """When the samples of `signal` were taken [ms]."""
        return self._recorded(population, variable)[0]

    def _find(self, population: Population):
        if population not in self._steps:
            raise InputError(f"{population.label} is not a population of this network.")
        return self._steps[population]

    def _recorded(self, population: Population, variable: str):
        if (population, variable) not in self._signals:
            raise InputError(
                f"`{variable}` of {population.label} was not recorded; ask for it with "
                "`Network.record` before the simulation is built."
            )
        return self._signals[population, variable]
