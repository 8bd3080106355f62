"""Networks 1 to 3 of the characterization: wiring, measures, and that no distortion is none."""

import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.experiments.characterization_compensation import (
    ai_states,
    attractor_memory as memory_experiment,
    synfire_chain as chain_experiment,
)
from lapicque.experiments.characterization_compensation._networks import (
    Chain,
    Memory,
    activity,
    attractor_memory,
    dwells,
    packets,
    pattern_rates,
    synfire_chain,
    volley,
    winners,
)
from lapicque.experiments.characterization_compensation._verdicts import Measure, judged
from lapicque.spiking import Simulation, Spikes
from lapicque.spiking.drawn import synapses
from lapicque.spiking.models import self_sustained
from lapicque.substrate.transforms import (
    fix_delays,
    lose_synapses,
    restore_fan_in,
    restore_rates,
    scale_weights,
    scatter_weights,
)


def test_patterns_excite_themselves_and_inhibit_their_rivals():
    config = Memory()
    cells = attractor_memory(config)
    local, distant, to_rsnp, from_rsnp, to_basket, from_basket = synapses(cells.network, 1)
    m, per = config.minicolumns, config.pyramidal

    def column(ids, each):
        return np.divmod(ids // each, m)

    for found, each, rule in (
        (local, (per, per), lambda h, k, g, n: (h == g) & (k == n)),
        (distant, (per, per), lambda h, k, g, n: (h != g) & (k == n)),
        (to_rsnp, (per, 2), lambda h, k, g, n: (h != g) & (k != n)),
        (from_rsnp, (2, per), lambda h, k, g, n: (h == g) & (k == n)),
        (to_basket, (per, 1), lambda h, k, g, n: h == g),
        (from_basket, (1, per), lambda h, k, g, n: h == g),
    ):
        h, k = column(found.pre, each[0])
        g, n = column(found.post, each[1])
        assert rule(h, k, g, n).all()
        pairs = found.pre * 10_000 + found.post
        assert len(np.unique(pairs)) == len(pairs)
    assert not (local.pre == local.post).any()
    # inputs of a cell: probability times candidates, each mean with its standard error
    for found, size, p, candidates in (
        (local, 2430, 0.25, 29),
        (distant, 2430, 0.30, 8 * 30),
        (to_rsnp, 162, 0.17, 64 * 30),
        (to_basket, 81, 0.70, 8 * 30),
        (from_basket, 2430, 0.70, 9),
    ):
        error = np.sqrt(p * (1 - p) * candidates / size)
        assert abs(len(found) / size - p * candidates) < 4 * error


def test_a_pattern_dwells_from_its_first_to_its_last_window():
    config = Memory(2, 3, 5)
    burst = []
    for start, stop, pattern in ((100, 400, 0), (600, 800, 2), (1000, 1030, 1)):
        times = np.arange(start + 0.5, stop, 10.0)
        cells = [hyper * 15 + pattern * 5 + k for hyper in range(2) for k in range(5)]
        burst += [(t, c) for t in times for c in cells]
    time, unit = map(np.array, zip(*sorted(burst), strict=True))
    at, rate = pattern_rates(Spikes(time, unit), config, 0.0, 1200.0)
    assert rate.max() == pytest.approx(100.0)
    found = dwells(at, winners(rate))
    assert found.pattern.tolist() == [0, 2, 1]
    # half a window before the first spike to half a window after the last, within two steps
    assert found.duration == pytest.approx([350.0, 250.0, 80.0], abs=15.0)
    assert found.start[0] == pytest.approx(75.0, abs=10.0)
    # as strong a rival leaves no winner
    assert (winners(np.array([[30.0, 20.0, 0.0], [30.0, 14.0, 0.0]])) == [-1, 0]).all()
    assert winners(np.array([[4.9, 0.0, 0.0]])) == [-1]


def test_packets_count_spikes_and_measure_their_width():
    train = Spikes(np.array([1.0, 3.0, 12.0]), np.array([0, 1, 0]))
    found = packets([train], 4, np.array([0.0, 10.0, 20.0, 30.0]))
    assert found.a.tolist() == [[0.5, 0.25, 0.0]]
    assert found.sigma.tolist() == [[1.0, 0.0, 0.0]]
    drawn = volley(3, 2.0, 20_000, 50.0, np.random.default_rng(0))
    assert drawn.shape == (20_000, 3)
    assert drawn.std() == pytest.approx(2.0, rel=0.02)


def test_the_border_lies_where_half_survive():
    sigma = (0.0, 1.0, 2.0, 4.0)
    assert chain_experiment.border(np.array([1.0, 1.0, 0.75, 0.25]), sigma) == pytest.approx(3.0)
    assert chain_experiment.border(np.zeros(4), sigma) == 0.0
    assert chain_experiment.border(np.ones(4), sigma) == 4.0


def test_verdicts_compare_with_the_ideal():
    measures = {"x": Measure("x", 0.1), "y": Measure("y", 0.1, relative=False)}
    rows = {"ideal": {"x": 10.0, "y": 1.0}, "bad": {"x": 10.9, "y": 1.2}}
    metrics, table = judged(measures, rows)
    assert metrics["ideal_kept"] == 1.0
    assert metrics["bad_kept"] == 0.5
    assert table.tolist() == [[10.0, 1.0], [10.9, 1.2]]


def _small(name):
    if name == "memory":
        cells = attractor_memory(Memory(3, 3, 10))
        return cells.network, cells.pyramidal
    if name == "chain":
        times = volley(4, 1.0, 100, 20.0, np.random.default_rng(0))
        cells = synfire_chain(Chain(groups=2), list(np.sort(times, 1)))
        return cells.network, cells.regular[1]
    cells = self_sustained(600, seed=1)
    return cells.network, cells.excitatory


@pytest.mark.parametrize("name", ["memory", "chain", "activity"])
def test_no_distortion_leaves_every_spike(name):
    """Transforms that do nothing give the ideal network back, spike by spike, for 200 ms."""
    ideal, population = _small(name)
    network = scatter_weights(lose_synapses(ideal, 0.0, seed=3), 0.0, seed=3)
    network = scale_weights(restore_fan_in(ideal, network, seed=3), 1.0, seed=3)
    if name == "memory":  # all delays are 1 ms
        network = fix_delays(network, 1.0, seed=3)
    found = [Simulation(n, 0.1, seed=3).run(200.0).spikes(population) for n in (ideal, network)]
    assert found[0].time.size > 20
    assert (found[0].time == found[1].time).all()
    assert (found[0].id == found[1].id).all()
    worse = lose_synapses(ideal, 0.5, seed=3)
    other = Simulation(worse, 0.1, seed=3).run(200.0).spikes(population)
    assert found[0].time.size != other.time.size


def test_restored_fan_in_gives_each_neuron_its_mean_input():
    ideal, _ = _small("memory")
    lost = lose_synapses(ideal, 0.4, seed=3)
    restored = restore_fan_in(ideal, lost, seed=3)
    for projection, before, after in zip(
        ideal.projections, synapses(ideal, 3), synapses(restored, 3), strict=True
    ):
        wanted, left = (
            np.bincount(s.post, s.weight, projection.post.size) for s in (before, after)
        )
        reached = left > 0
        assert reached.mean() > 0.3
        assert left[reached] == pytest.approx(wanted[reached])


def test_thresholds_follow_rates_within_limits():
    moved = restore_rates([-50.0, -50.0, -50.0], [12.0, 22.0, 900.0], 12.0, 0.1, (-60.0, -41.0))
    assert moved == pytest.approx([-50.0, -49.0, -41.0])


def _last(chain, a, sigma, delay=None):
    times = volley(a, sigma, 100, 60.0, np.random.default_rng(1))
    cells = synfire_chain(chain, list(np.sort(times, 1)))
    network = cells.network
    if delay is not None:
        recurrent = [*cells.regular, *cells.fast]
        network = fix_delays(network, delay, seed=1, only=lambda p: p.pre in recurrent)
    record = Simulation(network, 0.1, seed=1).run(260.0)
    trains = [record.spikes(group) for group in cells.regular]
    return packets(trains, 100, np.array([0.0, 260.0]))


def test_the_chain_sharpens_some_packets_and_stops_others():
    quiet = Chain(background_rate=0.0)
    survivor = _last(quiet, 2, 2.0)
    assert survivor.a[-1] == pytest.approx(1.0, abs=0.02)
    assert survivor.sigma[-1] < 0.5
    assert _last(quiet, 2, 6.0).a[-1] == 0.0


def test_inhibition_too_early_kills_packets_and_weaker_drive_revives_them():
    assert _last(Chain(background_rate=0.0), 2, 1.0, delay=1.5).a[-1] == 0.0
    weak = Chain(background_rate=0.0, to_fast=1.0)
    assert _last(weak, 2, 1.0, delay=1.5).a[-1] == pytest.approx(1.0, abs=0.02)


def test_activity_of_a_clock():
    found = activity(Spikes(np.arange(5.0, 1001.0, 10.0), np.zeros(100, np.int64)), 2, 0.0, 1000.0)
    assert found.rate == pytest.approx(50.0)  # one of two neurons fires at 100 Hz
    assert found.cv == pytest.approx(0.0, abs=1e-9)
    assert found.last == 995.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: memory_experiment.Config(loss=1.5), "`loss` is 1.5"),
        (lambda: chain_experiment.Config(delay=0.0), "`delay` is 0 ms"),
        (lambda: chain_experiment.Config(inputs=200), "`regular` is 100"),
        (lambda: ai_states.Config(size=100), "`size` is 100"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(InputError, match=message):
        make()
