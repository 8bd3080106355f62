"""Running a network: in pieces, chains and threads, always with the same result."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lapicque._checks import InputError, StorageError, finite, in_range, one_of, positive, shape
from lapicque.spiking import _kernel as kernel
from lapicque.spiking.build import (
    SWEEP,
    Block,
    Synapses,
    given,
    layout_of,
    shard_of,
    synapses,
)
from lapicque.spiking.coefficients import coefficients, drives, kind_of, neuron_parameters
from lapicque.spiking.memory import check_memory
from lapicque.spiking.network import Network, Population, Projection, check_weight
from lapicque.spiking.random import often_reached, poisson_thresholds
from lapicque.spiking.recording import Recording
from lapicque.spiking.rules import rule_of
from lapicque.spiking.sources import Poisson, SpikeArray
from lapicque.spiking.streams import highest_mean, most_thresholds, rate_row, streams_of

_STATE = {"v": "v", "w": "w", "syn_E": "e", "syn_I": "i"}  # names here and in a shard
_PIECE = 1 << 21  # spikes for which there is room in a piece of a run, about
_CONSTANT = (
    "alike", "begin", "coefficient", "drive", "each", "each_at", "first", "size", "start",
    "start_at", "target", "target_at", "weight_at", "delay", "delay_at", "sample_every",
    "sample_at", "sample_what", "stream_step", "stream_id", "stream_key", "word", "count",
    "threshold", "thresholds", "common", "table", "stream_weight", "stream_at", "noise",
    "noise_at", "pair", "n", "post_at", "post_size", "post_begin", "post_count_at", "pre_at",
    "tm_at", "rules_of", "rules_at", "eligibility_at", "fired", "fired_by_eight", "given_step",
    "given_unit",
)  # fmt: skip


class Simulation:
    """A network with its synapses drawn, at some point of time.

    Randomness comes from the seed alone: connections from `seed`, noise from the seed, the chain,
    the unit and the step. Neither the number of threads nor the pieces in which a run is made
    change a result, and chain `k` of a batch is the same as chain `k` alone.

    Args:
        network: What to run; later additions to it are not seen.
        dt: Time step [ms].
        seed: Of connections and noise.
        chains: How many copies run with the same synapses and other noise, or their numbers.
        threads: Several chains are shared out among threads, a single one by neurons.

    Raises:
        InputError: A value is out of range, a delay is shorter than `dt`, or the network does not
            fit into the memory that is available.
    """

    def __init__(
        self,
        network: Network,
        dt: float = 0.1,
        *,
        seed: int = 0,
        chains: int | Sequence[int] = 1,
        threads: int = 1,
    ):
        positive("dt", dt, "ms")
        in_range("seed", seed, 0)
        in_range("threads", threads, 1)
        numbers = np.arange(chains) if isinstance(chains, int | np.integer) else np.array(chains)
        in_range("chains", len(numbers), 1)
        in_range("chains", numbers, 0, 2**31 - 1)
        if not network.populations:
            raise InputError("The network has no populations.")
        self.network, self.dt, self.seed = network, float(dt), int(seed)
        self.chains = numbers.astype(np.int64)
        self._populations = {p: k for k, p in enumerate(network.populations)}
        self._projections = {p: k for k, p in enumerate(network.projections)}
        constant = [p.delay for p in network.projections if not callable(p.delay)]
        longest = max((float(np.max(d, initial=0)) for d in constant), default=0.0) / dt
        check_memory(network, len(self.chains), longest)
        self._synapses: list[Synapses] = [
            synapses(p, np.random.default_rng([self.seed, k]), self.dt)
            for k, p in enumerate(network.projections)
        ]
        self._streams = streams_of(network)
        self._values = {p: neuron_parameters(p) for p in network.populations if not p.is_source}
        self._step = 0
        self._split(threads)

    # -- time ----------------------------------------------------------------------------------

    @property
    def time(self) -> float:
        """Where the simulation is [ms]."""
        return self._step * self.dt

    def run(self, duration: float) -> Recording:
        """Go on for a while; what happens is recorded and forgotten here.

        Args:
            duration: How long [ms]; rounded to whole steps.

        Raises:
            InputError: It is negative or not finite.
        """
        in_range("duration", duration, 0, unit="ms")
        begin, stop = self._step, self._step + round(duration / self.dt)
        samples = [self._room_for_samples(shard, begin, stop) for shard in self._shards]
        spikes: list[list[tuple[NDArray, ...]]] = [[] for _ in self._shards]
        plastic = [k for k, p in enumerate(self.network.projections) if rule_of(p) is not None]
        while self._step < stop:
            end = min(stop, self._step + self._piece)
            if plastic:
                end = min(end, (self._step // SWEEP + 1) * SWEEP)
            for kept, piece in zip(spikes, self._advance(end, samples), strict=True):
                kept.append(piece)
            self._step = end
            if end % SWEEP == 0:
                for projection in plastic:
                    self._catch_up(projection)
        return self._recording(begin, stop, spikes, samples)

    def _advance(self, end: int, samples) -> list[tuple[NDArray, ...]]:
        # before any thread starts: one that failed alone would leave the others waiting
        rooms = []
        for k in range(len(self._shards)):
            room = self._most[k] * (end - self._step)
            rooms.append([np.empty(room, kind) for kind in (np.int64, np.int64, np.int32)])

        def one(k: int):
            n = kernel.advance(
                self._layout, self._shards[k], self._boards[k], self._step, end, *rooms[k],
                *samples[k],
            )  # fmt: skip
            return tuple(column[:n].copy() for column in rooms[k])

        if len(self._shards) == 1:
            return [one(0)]
        with ThreadPoolExecutor(len(self._shards)) as pool:
            return list(pool.map(one, range(len(self._shards))))

    # -- parameters ----------------------------------------------------------------------------

    def get(self, population: Population, name: str) -> NDArray[np.float64]:
        """A parameter of the neurons, shape (size,) or (chains, size), or a state variable.

        State variables are `v` [mV], `w` [nA], `syn_E` and `syn_I` [nA or uS], shape
        (chains, size).

        Raises:
            InputError: There is no such parameter.
        """
        values = self._neurons(population)
        if name in _STATE:
            arrays = [
                getattr(shard, _STATE[name])[self._here(shard, population)].reshape(-1, len(chains))
                for shard, chains in zip(self._shards, self._chains_of, strict=True)
            ]
            joined = np.concatenate(arrays, 1 if self._by_chains else 0).T
            return joined * self._scale(population, name)
        one_of("name", name, [*values, *_STATE])
        return values[name]

    def set(self, population: Population, name: str, value) -> None:
        """Change something between two runs.

        Args:
            population: Whose.
            name: A parameter of the neurons or their receptors, a state variable (see `get`), the
                `rate` of `Poisson` sources, or of a `SpikeArray` its `times`; those before the
                present are left out.
            value: One number, or shape (size,); for `v`, `v_rest` and `i_offset` also
                (chains, size). Times are a sequence per unit.

        Raises:
            InputError: There is no such parameter, or the value is not allowed.
        """
        if isinstance(population.model, SpikeArray) and name == "times":
            self._set_times(population, value)
            return
        if isinstance(population.model, Poisson) and name == "rate":
            self._set_rate(population, value)
            return
        values = self._neurons(population)
        one_of("name", name, [*values, *_STATE])
        value = np.asarray(value, float)
        per_chain = value.ndim == 2
        if per_chain:
            own = (*_STATE, "v_rest", "i_offset")
            one_of("name", name, own, hint="Others are the same in chains.")
            shape("value", value, (len(self.chains), population.size))
        elif value.size != 1:
            shape("value", value, (population.size,))
        finite(name, value)
        full = np.broadcast_to(value, (len(self.chains) if per_chain else 1, population.size))
        if name in _STATE:
            full = full / self._scale(population, name)
            for shard, where in self._parts(population):
                here = np.broadcast_to(full, (len(self.chains), population.size))[where]
                state = getattr(shard, _STATE[name])
                state[self._here(shard, population)] = here.T.reshape(-1)
            return
        changed = values | {name: full.copy() if per_chain else full[0].copy()}
        if not per_chain:
            own = {k: v for k, v in changed.items() if k != "rises" and v.ndim == 1}
            for part in (population.model, population.receptors):
                replace(part, **{f.name: own[f.name] for f in fields(part) if f.name in own})  # pyright: ignore
        self._values[population] = changed
        self._configure(population)

    def weights(self, projection: Projection) -> NDArray[np.float64]:
        """Present weights in the connector's order, (synapses,) or, if plastic, (chains, synapses).

        Raises:
            InputError: The projection is not of this network.
        """
        k = self._index(projection)
        drawn = self._synapses[k]
        if rule_of(projection) is None:
            return self._unsorted(k, np.broadcast_to(drawn.weight, drawn.target.shape))
        self._catch_up(k)
        weights = np.empty((len(self.chains), drawn.target.size))
        for s, (shard, (where, mine)) in enumerate(
            zip(self._shards, self._synapses_of(k), strict=True)
        ):
            here = slice(shard.weight_at[k], shard.weight_at[k + 1])
            chains = len(self._chains_of[s])
            weights[where[:, None], mine] = shard.weight[here].reshape(-1, chains).T
        return self._unsorted(k, weights)

    def set_weights(self, projection: Projection, weights: ArrayLike) -> None:
        """Replace all weights.

        Args:
            projection: Whose.
            weights: One number, one per synapse in the connector's order, or (chains, synapses)
                where they are plastic.

        Raises:
            InputError: A weight is not allowed, or the shape does not fit.
        """
        k = self._index(projection)
        drawn, weights = self._synapses[k], np.asarray(weights, float)
        n = drawn.target.size
        plastic = rule_of(projection) is not None
        check_weight(weights, projection.post, projection.receptor, projection.label)
        if weights.ndim == 2 and plastic:
            shape("weights", weights, (len(self.chains), n))
        elif weights.size != 1:
            shape("weights", weights, (n,))
        if drawn.order is not None and weights.size > 1:
            weights = weights[..., drawn.order]
        if plastic:
            self._catch_up(k)
            full = np.broadcast_to(weights, (len(self.chains), n))
            for shard, (where, mine) in zip(self._shards, self._synapses_of(k), strict=True):
                here = slice(shard.weight_at[k], shard.weight_at[k + 1])
                shard.weight[here] = full[where[:, None], mine].T.reshape(-1)
            return
        if self._layout.weight_mode[k] == kernel.SCALAR and weights.size > 1:
            weights = np.broadcast_to(weights, (n,))
            self._grow_weights(k)
        drawn = self._synapses[k]
        if drawn.weight.size > 1:
            drawn.weight[:] = weights
        else:
            drawn.weight[:] = weights.reshape(-1)[:1]
        for shard, (_, mine) in zip(self._shards, self._synapses_of(k), strict=True):
            here = slice(shard.weight_at[k], shard.weight_at[k + 1])
            shard.weight[here] = drawn.weight[mine] if drawn.weight.size > 1 else drawn.weight

    def connections(
        self, projection: Projection
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Presynaptic unit, postsynaptic unit and delay [ms] of each synapse.

        In the order of the connector, or, where all weights and delays are equal, sorted.
        """
        k = self._index(projection)
        drawn = self._synapses[k]
        pre = np.repeat(np.arange(projection.pre.size), np.diff(drawn.start))
        delay = np.broadcast_to(drawn.delay * self.dt, drawn.target.shape)
        return (
            self._unsorted(k, pre),
            self._unsorted(k, drawn.target.astype(np.int64)),
            self._unsorted(k, delay),
        )

    def reward(self, projection: Projection, amount: ArrayLike) -> None:
        """Turn eligibility into weight: each weight grows by `amount` times its trace.

        Args:
            projection: One whose rule has `tau_eligibility`.
            amount: One number, or one per chain.

        Raises:
            InputError: The rule has no eligibility trace, or a value is not finite.
        """
        k = self._index(projection)
        rule = rule_of(projection)
        if rule is None or rule.tau_eligibility is None:
            raise InputError(
                f"{projection.label} has no eligibility; give its rule a `tau_eligibility`."
            )
        finite("amount", amount)
        if np.size(amount) != 1:
            shape("amount", amount, (len(self.chains),))
        amounts = np.broadcast_to(np.asarray(amount, float).reshape(-1), (len(self.chains),))
        trace = self.eligibility(projection)
        order = self._synapses[k].order
        weights = self.weights(projection) + amounts[:, None] * trace
        assert order is not None
        self.set_weights(projection, np.clip(weights, rule.w_min, rule.w_max))

    def eligibility(self, projection: Projection) -> NDArray[np.float64]:
        """Eligibility traces at present, (chains, synapses), in the connector's order.

        Raises:
            InputError: The rule has none.
        """
        k = self._index(projection)
        rule = rule_of(projection)
        if rule is None or rule.tau_eligibility is None:
            raise InputError(f"{projection.label} has no eligibility traces.")
        self._catch_up(k)
        traces = np.empty((len(self.chains), self._synapses[k].target.size))
        r = self._layout.rule[k]
        for s, (shard, (where, mine)) in enumerate(
            zip(self._shards, self._synapses_of(k), strict=True)
        ):
            here = slice(shard.eligibility_at[r], shard.eligibility_at[r + 1])
            passed = (self._step - shard.eligibility_last[here]) * self.dt
            decayed = shard.eligibility[here] * np.exp(-passed / rule.tau_eligibility)
            traces[where[:, None], mine] = decayed.reshape(-1, len(self._chains_of[s])).T
        return self._unsorted(k, traces)

    # -- state ---------------------------------------------------------------------------------

    def state(self) -> dict[str, NDArray]:
        """All that changes in a run, by name; with `restore` a run goes on bit by bit the same."""
        found: dict[str, NDArray] = {"step": np.array(self._step)}
        for s, shard in enumerate(self._shards):
            for name in shard._fields:
                if name not in _CONSTANT:
                    found[f"{s}/{name}"] = getattr(shard, name).copy()
        return found

    def restore(self, state: dict[str, NDArray]) -> None:
        """Go back to a state of the same network with the same chains and threads.

        Raises:
            InputError: The state is of another network, or of other threads.
        """
        mine = self.state()
        if set(mine) != set(state) or any(np.shape(state[k]) != v.shape for k, v in mine.items()):
            raise InputError(
                "The state does not fit; it must come from the same network, with the same number "
                "of chains and threads."
            )
        self._step = int(state["step"])
        for s, shard in enumerate(self._shards):
            for name in shard._fields:
                if name not in _CONSTANT:
                    getattr(shard, name)[:] = state[f"{s}/{name}"]
        for k, projection in enumerate(self.network.projections):
            if rule_of(projection) is None:
                self._read_weights(k)

    def save(self, path: str | Path) -> None:
        """Write the state to a file of NumPy arrays (.npz), at once or not at all.

        Raises:
            StorageError: The file cannot be written.
        """
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        try:
            with partial.open("wb") as file:
                np.savez(file, **self.state())  # pyright: ignore[reportArgumentType]
            os.replace(partial, path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StorageError(f"{path} cannot be written: {error}") from error

    def load(self, path: str | Path) -> None:
        """Go back to a saved state.

        Raises:
            StorageError: The file cannot be read.
            InputError: It is of another network, or of other threads.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                state = dict(file)
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise StorageError(f"{path} cannot be read as a saved state: {error}") from error
        self.restore(state)

    # -- inside --------------------------------------------------------------------------------

    def _split(self, threads: int) -> None:
        """Share the network out: by chains if there are several, by neurons otherwise."""
        populations = self.network.populations
        count = len(self.chains)
        self._by_chains = count > 1
        everyone = [p.size for p in populations]
        if self._by_chains:
            parts = np.array_split(self.chains, min(threads, count))
            blocks = [Block([0] * len(everyone), everyone, part, 0) for part in parts]
        else:
            n = max(1, min(threads, max(everyone)))
            edges = [[size * k // n for size in everyone] for k in range(n + 1)]
            blocks = [Block(edges[k], edges[k + 1], self.chains, k) for k in range(n)]
        shared = 1 if self._by_chains else len(blocks)
        self._blocks = blocks
        self._chains_of = [block.chains for block in blocks]
        self._layout = layout_of(
            self.network, self._synapses, self._streams, self.dt, shared, len(blocks[0].chains)
        )
        self._shards = [
            shard_of(
                self.network, self._synapses, self._streams, self._layout, block, self.seed, self.dt
            )
            for block in blocks
        ]
        for population in self._values:
            self._configure(population)
        self._most = [self._most_spikes(k) for k in range(len(blocks))]
        self._boards = []
        room = max(self._most) * int(self._layout.n[1])
        for k in range(len(blocks)):
            if k == 0 or self._by_chains:
                board = kernel.Board(
                    unit=np.zeros((shared, 2, room), np.int32),
                    chain=np.zeros((shared, 2, room), np.int32),
                    first=np.zeros(
                        (shared, 2, int(self._layout.n[1]) * len(populations) + 1), np.int64
                    ),
                    arrived=np.zeros(1, np.int64),
                )
            self._boards.append(board)
        self._piece = max(int(self._layout.n[1]), _PIECE // max(self._most))

    def _most_spikes(self, k: int) -> int:
        """How many spikes the units of a shard can send in a step."""
        block, total = self._blocks[k], 1
        for q, population in enumerate(self.network.populations):
            units = (block.stop[q] - block.first[q]) * len(block.chains)
            times = 1
            if kind_of(population) == kernel.POISSON:
                stream = next(s for s in self._streams if s.population == q)
                first, rows = self._shards[k].table[self._streams.index(stream), :2]
                most = self._shards[k].thresholds[first : first + rows].max(initial=0)
                times = most_thresholds(0) + int(most)
            elif isinstance(population.model, SpikeArray):
                at = self._shards[k].given_at[q]
                times = _most_at_once(self._shards[k], at[0], at[1])
            total += units * times
        return total

    def _room_for_samples(self, shard, begin: int, stop: int):
        written = np.zeros((shard.sample_every.size, 2), np.int64)
        total = 0
        for g, every in enumerate(shard.sample_every):
            written[g, 0] = total
            width = shard.sample_at[g + 1] - shard.sample_at[g]
            total += (stop // every - begin // every) * width
        return np.empty(total), written

    def _recording(self, begin: int, stop: int, spikes, samples) -> Recording:
        found = {}
        joined = []
        for s, pieces in enumerate(spikes):
            columns = [np.concatenate(column) for column in zip(*pieces, strict=True)] or [
                np.zeros(0, np.int64)
            ] * 3
            offset = sum(len(c) for c in self._chains_of[:s]) if self._by_chains else 0
            joined.append((columns[0], columns[1], columns[2] + offset))
        step, unit, chain = (np.concatenate(c) for c in zip(*joined, strict=True))
        if len(spikes) > 1:
            order = np.lexsort((unit, step))
            step, unit, chain = step[order], unit[order], chain[order]
        owner = unit >> 32
        for population, k in self._populations.items():
            mine = owner == k
            found[population] = step[mine], unit[mine] & 0xFFFFFFFF, chain[mine].astype(np.int64)
        return Recording(
            begin * self.dt,
            (stop - begin) * self.dt,
            self.dt,
            found,
            self._signals(begin, stop, samples),
        )

    def _signals(self, begin: int, stop: int, samples):
        found = {}
        for g, recorder in enumerate(self.network.recorders):
            parts = []
            for shard, chains, (values, written) in zip(
                self._shards, self._chains_of, samples, strict=True
            ):
                width = shard.sample_at[g + 1] - shard.sample_at[g]
                rows = written[g, 1]
                part = values[written[g, 0] : written[g, 0] + rows * width]
                parts.append(part.reshape(rows, len(chains), width // len(chains)))
            signal = np.concatenate(parts, 1 if self._by_chains else 2)
            every = int(self._shards[0].sample_every[g])
            times = np.arange(begin // every + 1, stop // every + 1) * every * self.dt
            if not self._by_chains and len(parts) > 1:  # shards hold their neurons in order
                asked = np.argsort(np.argsort(recorder.neurons, kind="stable"), kind="stable")
                held = np.concatenate(
                    [
                        recorder.neurons[
                            (recorder.neurons >= b.first[self._populations[recorder.population]])
                            & (recorder.neurons < b.stop[self._populations[recorder.population]])
                        ]
                        for b in self._blocks
                    ]
                )
                signal = signal[:, :, np.argsort(held, kind="stable")][:, :, asked]
            scale = self._scale(recorder.population, recorder.variable)[recorder.neurons]
            found[recorder.population, recorder.variable] = (times, signal * scale)
        return found

    def _scale(self, population: Population, variable: str) -> NDArray[np.float64]:
        """State of conductances and of AdEx is kept over the capacitance."""
        kind = kind_of(population)
        conductance = kind in (kernel.CONDUCTANCE_EXP, kernel.CONDUCTANCE_ALPHA)
        if variable != "v" and (kind == kernel.ADEX or conductance):
            return self._values[population]["cm"]
        return np.ones(population.size)

    def _configure(self, population: Population) -> None:
        """Write the coefficients and drives of a population into all shards."""
        values, kind = self._values[population], kind_of(population)
        k = self._populations[population]
        shared = {name: v[0] if v.ndim == 2 else v for name, v in values.items()}
        rows = coefficients(kind, shared, self.dt)
        drive = np.broadcast_to(drives(kind, values, self.dt), (len(self.chains), population.size))
        for shard, where in self._parts(population):
            at = slice(shard.begin[k], shard.begin[k + 1])
            mine = rows[where[1]]
            shard.coefficient[at] = mine
            if shard.each.size and len(mine):
                blocks = -(-len(mine) // kernel.ABREAST)
                padded = np.zeros((blocks * kernel.ABREAST, kernel.EACH))
                padded[: len(mine)] = mine[:, : kernel.EACH]
                first = int(shard.each_at[k]) * kernel.EACH
                abreast = padded.reshape(blocks, kernel.ABREAST, kernel.EACH).transpose(0, 2, 1)
                shard.each[first : first + padded.size] = abreast.ravel()
            shard.alike[k] = bool(len(mine) == 0 or (mine == mine[0]).all())
            shard.drive[self._here(shard, population)] = drive[where].T.reshape(-1)

    def _parts(self, population: Population):
        """Each shard with the chains and units of a population that it holds."""
        k = self._populations[population]
        begin = 0
        for shard, block in zip(self._shards, self._blocks, strict=True):
            end = begin + len(block.chains)
            chains = slice(begin, end) if self._by_chains else slice(None)
            begin = end
            yield shard, (chains, slice(block.first[k], block.stop[k]))

    def _here(self, shard, population: Population) -> slice:
        k, chains = self._populations[population], int(shard.n[0])
        return slice(int(shard.begin[k]) * chains, int(shard.begin[k + 1]) * chains)

    def _neurons(self, population: Population) -> dict[str, NDArray[np.float64]]:
        if population not in self._values:
            raise InputError(f"{population.label} is not a population of neurons of this network.")
        return self._values[population]

    def _index(self, projection: Projection) -> int:
        if projection not in self._projections:
            raise InputError(f"{projection.label} is not a projection of this network.")
        return self._projections[projection]

    def _synapses_of(self, k: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """For each shard the chains and the places of the synapses that it holds."""
        projection, target = self.network.projections[k], self._synapses[k].target
        q = self._populations[projection.post]
        begin = 0
        for block in self._blocks:
            end = begin + len(block.chains)
            if self._by_chains:
                yield np.arange(begin, end), np.arange(target.size)
            else:
                mine = (target >= block.first[q]) & (target < block.stop[q])
                yield np.arange(len(self.chains)), np.flatnonzero(mine)
            begin = end

    def _unsorted(self, k: int, values: NDArray) -> NDArray:
        """From the order in which synapses are kept to that of the connector."""
        order = self._synapses[k].order
        if order is None:
            return np.array(values)
        result = np.empty_like(values)
        result[..., order] = values
        return result

    def _catch_up(self, k: int) -> None:
        for shard in self._shards:
            kernel.catch_up(self._layout, shard, k, self._step)

    def _read_weights(self, k: int) -> None:
        """Static weights as the shards have them."""
        drawn = self._synapses[k]
        for shard, (_, mine) in zip(self._shards, self._synapses_of(k), strict=True):
            here = shard.weight[shard.weight_at[k] : shard.weight_at[k + 1]]
            if drawn.weight.size > 1:
                drawn.weight[mine] = here
            else:
                drawn.weight[:] = here

    def _grow_weights(self, k: int) -> None:
        """Give every synapse of a projection a weight of its own."""
        drawn = self._synapses[k]
        full = np.full(drawn.target.size, drawn.weight[0])
        self._synapses[k] = Synapses(drawn.start, drawn.target, full, drawn.delay, drawn.order)
        self._layout.weight_mode[k] = kernel.PER_SYNAPSE
        for s, (shard, (_, mine)) in enumerate(
            zip(self._shards, list(self._synapses_of(k)), strict=True)
        ):
            low, high = shard.weight_at[k], shard.weight_at[k + 1]
            weight = np.concatenate([shard.weight[:low], full[mine], shard.weight[high:]])
            at = shard.weight_at.copy()
            at[k + 1 :] += len(mine) - (high - low)
            self._shards[s] = shard._replace(weight=weight, weight_at=at)

    def _set_times(self, population: Population, times) -> None:
        if len(times) != population.size:
            raise InputError(
                f"`times` has {len(times)} entries; it needs {population.size}, one per unit."
            )
        k = self._populations[population]
        model = SpikeArray(tuple(np.atleast_1d(np.asarray(t, float)) for t in times))
        changed = Population(population.size, model, None, None, None, population.label)
        for s, (shard, block) in enumerate(zip(self._shards, self._blocks, strict=True)):
            when, who = given(changed, range(block.first[k], block.stop[k]), self.dt)
            low, high = shard.given_at[k, 0], shard.given_at[k, 1]
            steps = np.concatenate([shard.given_step[:low], when, shard.given_step[high:]])
            units = np.concatenate([shard.given_unit[:low], who, shard.given_unit[high:]])
            at = shard.given_at.copy()
            shift = len(when) - (high - low)
            at[k, 1] += shift
            at[k + 1 :] += shift
            at[k, 2] = low + np.searchsorted(when, self._step, side="right")
            self._shards[s] = shard._replace(given_step=steps, given_unit=units, given_at=at)
        self._grow_boards()

    def _set_rate(self, population: Population, rate) -> None:
        if np.size(rate) != 1:
            shape("rate", rate, (population.size,))
        source = Poisson(rate)  # checks
        mean = highest_mean(source, self.dt)
        rate_row(source, self.dt)
        k = self._populations[population]
        s = next(s for s, stream in enumerate(self._streams) if stream.population == k)
        means = np.broadcast_to(np.asarray(rate, float).reshape(-1), (population.size,))
        means = means * self.dt * 1e-3
        alike = bool((means == means[0]).all())
        self._layout.rate_values[s, 0] = mean
        for q, (shard, block) in enumerate(zip(self._shards, self._blocks, strict=True)):
            mine = means[block.first[k] : block.stop[k]]
            if alike:
                mine = means[:1]
            first, rows = (int(x) for x in shard.table[s, :2])
            threshold, thresholds = shard.threshold, shard.thresholds
            if len(mine) > rows:  # new rows at the end; the old ones lie idle
                first = len(thresholds)
                new = np.zeros((len(mine), threshold.shape[1]), np.uint32)
                threshold = np.concatenate([threshold, new])
                thresholds = np.concatenate([thresholds, np.zeros(len(mine), np.int64)])
            wider = most_thresholds(mean) - threshold.shape[1]
            if wider > 0:
                threshold = np.pad(threshold, ((0, 0), (0, wider)))
            for u, m in enumerate(mine):
                thresholds[first + u] = poisson_thresholds(m, threshold[first + u])
            shard.table[s, :2] = first, len(mine)
            common = often_reached(threshold, thresholds)
            self._shards[q] = shard._replace(
                threshold=threshold, thresholds=thresholds, common=common
            )
        self._grow_boards()

    def _grow_boards(self) -> None:
        self._most = [self._most_spikes(k) for k in range(len(self._shards))]
        room = max(self._most) * int(self._layout.n[1])
        if room > self._boards[0].unit.shape[2]:
            boards: dict[int, kernel.Board] = {}
            for k, board in enumerate(self._boards):
                if id(board) not in boards:
                    wider = (*board.unit.shape[:2], room)
                    boards[id(board)] = board._replace(
                        unit=np.zeros(wider, np.int32), chain=np.zeros(wider, np.int32)
                    )
                self._boards[k] = boards[id(board)]


def _most_at_once(shard, begin: int, end: int) -> int:
    """The largest number of given spikes of one unit at a grid point, at least 1."""
    if end == begin:
        return 1
    units = shard.given_unit[begin:end]
    pairs = shard.given_step[begin:end] * (units.max() + 1) + units
    return int(np.unique(pairs, return_counts=True)[1].max())
