"""Projections: connectors draw them, the engine gets them as arrays."""
# pyright: reportMissingImports=false

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import common, errors
from pyNN.parameters import ParameterSpace
from pyNN.space import Space

from lapicque.interop.pynn import simulator
from lapicque.interop.pynn.synapses import PLASTICITY_PARAMETERS, EngineSynapse, StaticSynapse
from lapicque.interop.pynn.unsupported import SUPPORTED, unsupported
from lapicque.spiking.connectors import FromArrays
from lapicque.spiking.network import Network

MOST_RULES = 1000
"""Distinct sets of plasticity parameters in a projection; each costs time in every step."""

_TOGETHER = {"sum": (0.0, np.add), "min": (np.inf, np.minimum), "max": (-np.inf, np.maximum)}

Where = int | slice | NDArray[np.int64]


def _populations_of(cells) -> list[Any]:
    """The populations that a population, a view or an assembly is made of."""
    parts = cells.populations if isinstance(cells, common.Assembly) else [cells]
    return [p.grandparent if isinstance(p, common.PopulationView) else p for p in parts]


class Connection(common.Connection):
    """One synapse; its parameters are attributes that can be read and set."""

    projection: "Projection"
    index: int

    def __init__(self, projection: "Projection", index: int):
        object.__setattr__(self, "projection", projection)
        object.__setattr__(self, "index", index)

    def __getattr__(self, name: str) -> float:
        if name not in self.projection.attribute_names:
            raise AttributeError(f"{name!r}: a synapse has {self.projection.attribute_names}.")
        return self.projection.get_values(name)[self.index].item()

    def __setattr__(self, name: str, value: float) -> None:
        self.projection.set_values(name, self.index, value)

    def as_tuple(self, *attribute_names: str) -> tuple[float, ...]:
        """Several attributes at once; `presynaptic_index` and `postsynaptic_index` are two."""
        return tuple(getattr(self, name) for name in attribute_names)


class Projection(common.Projection):
    __doc__ = common.Projection.__doc__
    _simulator = simulator
    _static_synapse_class = StaticSynapse
    receptor_type: str

    def __init__(
        self,
        presynaptic_population,
        postsynaptic_population,
        connector,
        synapse_type=None,
        source=None,
        receptor_type=None,
        space=None,
        label=None,
    ):
        if source is not None:
            raise unsupported("`source` of a projection", "Cells are points; leave it out.")
        if getattr(postsynaptic_population, "receptor_types", True) in ((), []):
            raise errors.ConnectionError("Spike sources have no synapses; they cannot be targets.")
        super().__init__(
            presynaptic_population,
            postsynaptic_population,
            connector,
            synapse_type,
            source,
            receptor_type,
            Space() if space is None else space,
            label,
        )
        if not isinstance(self.synapse_type, EngineSynapse):
            kind = type(self.synapse_type)
            raise unsupported(
                f"{kind.__module__}.{kind.__name__}", f"Use {', '.join(SUPPORTED['synapse'])}."
            )
        for cells in (self.pre, self.post):
            if any(part not in simulator.state.populations for part in _populations_of(cells)):
                raise errors.ConnectionError(f"{cells.label} was made before the last `setup()`.")
        simulator.state.must_not_have_run("new projections")
        self._parts: list[tuple[Any, NDArray[np.int64]]] = []  # in the network, and which synapses
        self._drawn: list[tuple[NDArray[np.int64], int, dict[str, Any]]] = []
        connector.connect(self)
        self._gather()
        simulator.state.projections.append(self)

    # -- building ------------------------------------------------------------------------------

    def _convergent_connect(
        self, presynaptic_indices, postsynaptic_index, location_selector=None, **parameters
    ) -> None:
        if location_selector is not None:
            raise unsupported("synapses at locations of a cell", "Leave `location_selector` out.")
        self._drawn.append((np.asarray(presynaptic_indices), int(postsynaptic_index), parameters))

    def _gather(self) -> None:
        counts = [len(pre) for pre, _, _ in self._drawn]
        n = sum(counts)
        empty = [np.zeros(0, np.int64)]
        self._pre = np.concatenate([pre for pre, _, _ in self._drawn] or empty).astype(np.int64)
        self._post = np.repeat([post for _, post, _ in self._drawn], counts).astype(np.int64)
        self._values: dict[str, NDArray[Any]] = {}
        for name in self.synapse_type.get_native_names():
            drawn = [np.asarray(given[name], float) for _, _, given in self._drawn]
            if all(part.ndim == 0 and part == drawn[0] for part in drawn):
                value = drawn[0] if drawn else np.zeros(())
                self._values[name] = np.broadcast_to(value, (n,))  # one number in memory
            else:
                parts = [
                    np.broadcast_to(part, (count,))
                    for part, count in zip(drawn, counts, strict=True)
                ]
                self._values[name] = np.concatenate(parts)
        self._drawn = []
        for name, values in self._values.items():
            self._values[name] = self._checked(name, values)
        self._rules()

    def _checked(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        """Delays on the grid, weights of the right sign.

        Raises:
            ConnectionError: A delay is out of range, or a conductance negative.
        """
        if not np.isfinite(values).all():
            raise errors.ConnectionError(f"`{name}` of {self.label} must be finite.")
        if name == "weight" and self.post.conductance_based and (values < 0).any():
            raise errors.ConnectionError(
                f"`weight` of {self.label} is {values.min():g} uS; conductances must be at least 0."
            )
        if name != "delay" or not values.size:
            return values
        state = simulator.state
        low, high = state.delay_limits
        if values.min() < low - 1e-9 or values.max() > high + 1e-9:
            raise errors.ConnectionError(
                f"`delay` of {self.label} reaches from {values.min():g} to {values.max():g} ms; it "
                f"must lie between {low:g} and {high:g} ms, see `setup`."
            )
        rounded = np.rint(values / state.dt) * state.dt
        off = np.abs(rounded - values)
        if off.max() <= 1e-9:
            return values
        warnings.warn(
            f"Delays of {self.label} were rounded to multiples of the time step, {state.dt:g} ms, "
            f"by up to {off.max():g} ms.",
            errors.RoundingWarning,
            stacklevel=5,
        )
        return np.where(off > 1e-9, rounded, values)

    def _rules(self) -> tuple[list[Any], NDArray[np.int64] | None]:
        """Distinct kinds of plasticity, and which of them each synapse has if there are several.

        Raises:
            InputError: A parameter is out of range.
            UnsupportedError: There are too many.
        """
        names = [name for name in self._values if name in PLASTICITY_PARAMETERS]
        columns = [self._values[name] for name in names]
        if not columns or not len(self):
            return [None], None
        if all((column == column[0]).all() for column in columns):
            distinct, which = [[column[0] for column in columns]], None
        else:
            distinct, which = np.unique(np.stack(columns, 1), axis=0, return_inverse=True)
            which = which.reshape(-1)
        if len(distinct) > MOST_RULES:
            raise unsupported(
                f"{len(distinct)} different sets of plasticity parameters in one projection",
                f"At most {MOST_RULES} may differ from synapse to synapse.",
            )
        rules = [
            self.synapse_type.plasticity(dict(zip(names, map(float, row), strict=True)))
            for row in distinct
        ]
        if self.synapse_type.plastic_weight and (self._values["weight"] < 0).any():
            raise unsupported("STDP of negative weights", "Project to the excitatory receptor.")
        return rules, which

    def describe_to(self, network: Network) -> None:
        """Add the synapses to a network that is about to be simulated."""
        self._parts = []
        if not len(self):
            return
        state = simulator.state
        pre_owner, pre_unit = state.locate(self.pre.all_cells)
        post_owner, post_unit = state.locate(self.post.all_cells)
        rules, which = self._rules()
        keys = pre_owner[self._pre] * len(state.populations) + post_owner[self._post]
        if which is not None:
            keys = keys * len(rules) + which
        for key in np.unique(keys):
            chosen = np.flatnonzero(keys == key)
            i, j = self._pre[chosen], self._post[chosen]
            part = network.project(
                state.populations[pre_owner[i[0]]].engine,
                state.populations[post_owner[j[0]]].engine,
                FromArrays(pre_unit[i], post_unit[j]),
                self._values["weight"][chosen],
                self._values["delay"][chosen],
                receptor=self.receptor_type,
                plasticity=rules[0 if which is None else which[chosen[0]]],
                label=self.label,
            )
            self._parts.append((part, chosen))

    # -- access --------------------------------------------------------------------------------

    @property
    def attribute_names(self) -> list[str]:
        """What a synapse has."""
        return ["presynaptic_index", "postsynaptic_index", *self._values]

    def get_values(self, name: str) -> NDArray[Any]:
        """An attribute of all synapses in the order in which they were drawn.

        On a chip weights are those that it realises, 0 for synapses that are lost.
        """
        if name == "presynaptic_index":
            return self._pre
        if name == "postsynaptic_index":
            return self._post
        simulation = simulator.state.simulation
        theirs = self.synapse_type.plastic_weight or simulator.state.substrate is not None
        if name == "weight" and simulation is not None and theirs:
            weights = np.array(self._values["weight"])
            for part, chosen in self._parts:
                weights[chosen] = simulation.weights(part).reshape(-1)
            return weights
        return self._values[name]

    def set_values(self, name: str, where: Where, values: Any) -> None:
        """Change an attribute of some synapses.

        Raises:
            ConnectionError: A delay is out of range, or a conductance negative.
            InputError: A parameter of plasticity is out of range.
            UnsupportedError: Anything but weights once the simulation has begun.
        """
        if name not in self._values:
            known = list(self._values)
            kind = type(self.synapse_type).__name__
            raise errors.NonExistentParameterError(name, kind, known)
        simulation = simulator.state.simulation
        if name != "weight":
            simulator.state.must_not_have_run(f"a new `{name}` of synapses")
        plastic = name == "weight" and self.synapse_type.plastic_weight
        changed = np.array(self.get_values(name) if plastic else self._values[name])
        changed[where] = values
        before, self._values[name] = self._values[name], self._checked(name, changed)
        try:
            self._rules()
        except ValueError:
            self._values[name] = before
            raise
        if simulation is not None:
            for part, chosen in self._parts:
                simulation.set_weights(part, changed[chosen])

    def __len__(self) -> int:
        return len(self._pre)

    def __getitem__(self, i: int | slice) -> Connection | list[Connection]:
        """Synapse number `i`.

        Raises:
            IndexError: There are not as many.
        """
        if isinstance(i, slice):
            return [Connection(self, k) for k in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(f"{self.label} has {len(self)} synapses; there is no number {i}.")
        return Connection(self, i % len(self))

    @property
    def connections(self) -> Iterator[Connection]:
        """All synapses, one after the other."""
        return (Connection(self, k) for k in range(len(self)))

    def _set_attributes(self, parameter_space: ParameterSpace) -> None:
        parameter_space.evaluate(simplify=True)
        for name, value in parameter_space.items():
            if np.ndim(value) == 2:
                value = value[self._pre, self._post]
            self.set_values(name, slice(None), value)

    def _set_initial_value_array(self, variable: str, value) -> None:
        if variable == "u" and not value.evaluate(simplify=False).any():
            return  # what a synapse starts with: the first spike finds `U`
        raise unsupported(
            f"`{variable}` of synapses at the start",
            "Short-term plasticity starts with full resources and nothing facilitated.",
        )

    def _get_attributes_as_list(self, names) -> list[tuple[float, ...]]:
        columns = [self.get_values(name).tolist() for name in names]
        return list(zip(*columns, strict=True))

    def _get_attributes_as_arrays(self, names, multiple_synapses="sum"):
        pairs = self._pre * self.shape[1] + self._post
        backwards = pairs[::-1]
        found = []
        for name in names:
            values = np.asarray(self.get_values(name), float)
            matrix = np.full(self.shape[0] * self.shape[1], np.nan)
            if multiple_synapses == "first":
                there, first = np.unique(pairs, return_index=True)
                matrix[there] = values[first]
            elif multiple_synapses == "last":
                there, last = np.unique(backwards, return_index=True)
                matrix[there] = values[::-1][last]
            else:
                start, together = _TOGETHER[multiple_synapses]
                matrix[pairs] = start
                together.at(matrix, pairs, values)
            found.append(matrix.reshape(self.shape))
        return found
