"""Networks on a virtual wafer: sources instead of noise, merged buses, repair, nearest possible."""

from dataclasses import replace

import numpy as np
import pytest

from lapicque._checks import InputError
from lapicque.experiments.characterization_compensation._networks import (
    Chain,
    private_sources,
    shared_sources,
    synfire_chain,
)
from lapicque.experiments.characterization_compensation.on_the_wafer import (
    BLOCKS,
    KINDS,
    Config,
    kind,
    repaired,
    wafer,
)
from lapicque.spiking import LIF, ConductanceExp, Network, Poisson
from lapicque.spiking.drawn import synapses, with_synapses
from lapicque.substrate import Chip, Distortions, brainscales1, map_network

CONFIG = Config(threads=1)


def chain():
    """Two groups with shared background, drawn."""
    cells = synfire_chain(Chain(groups=2))
    shared = shared_sources(cells.network, 40, 10)
    return cells, with_synapses(shared, synapses(shared, 1))


def test_sources_stand_for_noise():
    """Rates add up to that of the noise, from different sources; private ones have one target."""
    cells, shared = chain()
    pool = shared.populations[-1]
    assert pool.model.rate == pytest.approx(200.0)
    drawn = synapses(shared, 1)
    for population in (*cells.regular, *cells.fast):
        (found,) = [
            s for p, s in zip(shared.projections, drawn, strict=True)
            if p.pre is pool and p.post is population
        ]  # fmt: skip
        assert (np.bincount(found.post, minlength=population.size) == 10).all()
        assert len(np.unique(found.pre * population.size + found.post)) == len(found)
    network = Network()
    own = network.population(5, LIF(), ConductanceExp())
    network.noise(own, Poisson(np.array([0.0, 30.0, 0.0, 0.0, 70.0]), duration=50.0), 0.1)
    private = private_sources(network)
    (found,) = synapses(private, 0)
    assert private.noises == []
    assert len(network.noises) == 1
    assert found.post.tolist() == [1, 4]
    assert found.pre.tolist() == [0, 1]
    sources = private.populations[1].model
    assert sources.duration == 50.0
    assert sources.rate.tolist() == [30.0, 70.0]


def test_repaired_weights_give_each_neuron_its_mean_input_on_the_same_synapses():
    _, shared = chain()
    before = wafer(shared, CONFIG, 1, **BLOCKS)
    assert 0.02 < before.report.loss < 0.5
    assert tuple(dict.fromkeys(kind(p.label) for p in shared.projections)) == KINDS["chain"]
    network = repaired(before)
    after = wafer(network, CONFIG, 1, **BLOCKS)
    grown = 0
    for projection, changed, wanted, found in zip(
        shared.projections, network.projections, before.mapped.drawn, after.mapped.drawn,
        strict=True,
    ):  # fmt: skip
        there = before.is_set(projection)
        assert (after.is_set(changed) == there).all()
        size = projection.post.size
        full = np.bincount(wanted.post, wanted.weight, size)
        left = np.bincount(found.post[there], found.weight[there], size)
        assert left[left > 0] == pytest.approx(full[left > 0])
        grown += int((found.weight > 1.01 * wanted.weight).sum())
    assert grown > 100


def test_merged_blocks_share_few_buses():
    network = Network()
    network.population(118, LIF(), ConductanceExp())
    chip = Chip(replace(brainscales1(), defects=0.0), 1)
    for size, few, many in ((4, 2, 8), (2, 2, 4)):
        # of neurons of 4 and 2 circuits, 118 fill a chip and half of one; a bus has 59 addresses
        plain, merged = (
            map_network(network, chip, size=size, merge=merge, ignore_ranges=True).places
            for merge in (False, True)
        )
        assert np.bincount(merged.bus).max() <= 59
        assert len(np.unique(merged.bus * 64 + merged.address)) == 118
        assert len(np.unique(merged.bus)) == few
        assert len(np.unique(plain.bus)) == many
    with pytest.raises(InputError, match="`spread` and `merge`"):
        map_network(network, chip, spread=True, merge=True, ignore_ranges=True)


def test_what_is_out_of_range_becomes_the_nearest_possible():
    network = Network()
    cells = network.population(4, LIF(cm=0.2), ConductanceExp(tau_syn_E=17.5, tau_syn_I=0.1))
    codes = replace(Distortions.none(), codes=True)
    mapped = map_network(
        network, Chip(brainscales1(), 1, codes), calibrated=False, ignore_ranges=True
    )
    values = mapped.configured.values[cells]
    assert values["tau_syn_E"] == pytest.approx(5.0, rel=0.01)
    assert values["tau_syn_I"] == pytest.approx(0.5, rel=0.01)
    exact = map_network(network, Chip(brainscales1(), 1, Distortions.none()), ignore_ranges=True)
    assert (exact.configured.values[cells]["tau_syn_E"] == 17.5).all()
