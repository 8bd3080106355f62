"""Networks on virtual chips: what is refused, what fits, what is lost, and what is left exact."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from lapicque._checks import InputError
from lapicque.spiking import (
    LIF,
    STDP,
    AdEx,
    AllToAll,
    ConductanceAlpha,
    ConductanceExp,
    CurrentExp,
    FixedInDegree,
    FixedProbability,
    FromArrays,
    Network,
    Poisson,
    Simulation,
    SpikeArray,
    TsodyksMarkram,
)
from lapicque.spiking.statistics import cv, rates
from lapicque.substrate import (
    Chip,
    Distortions,
    Emulation,
    brainscales1,
    brainscales2,
    map_network,
    spikey,
)
from lapicque.substrate.check import OutOfRange
from lapicque.substrate.routing import REASONS, SET

NONE = Distortions.none()
SPIKEY = LIF(
    v_rest=-75.0, v_reset=-80.0, v_thresh=-55.0, tau_m=10.0, tau_refrac=1.0, cm=0.2
)  # fmt: skip
INHIBITORY = ConductanceExp(e_rev_I=-80.0)


def random_network(n=40, sources=30, p=0.4, excited=0.004, inhibited=0.02, seed_of_p=None):
    """Neurons with excitatory sources and inhibition among themselves."""
    network = Network()
    cells = network.population(n, SPIKEY, INHIBITORY, label="cells")
    source = network.population(sources, Poisson(30.0), label="sources")
    network.project(source, cells, FixedProbability(p), excited, 1.0, label="in")
    network.project(
        cells, cells, FixedProbability(p, self_connections=False), inhibited, 1.0,
        receptor="inhibitory", label="among",
    )  # fmt: skip
    return network


def varied_network():
    """All that can be mapped in one: sources of both kinds, both receptors, STP, capacitances."""
    network = Network()
    noise = network.population(30, Poisson(np.linspace(10.0, 60.0, 30)), label="noise")
    given_ = network.population(
        4, SpikeArray([[5.0, 20.0], [20.0], [], [33.3, 70.0]]), label="kick"
    )
    first = network.population(40, SPIKEY, INHIBITORY, label="first")
    light = LIF(
        v_rest=-70.0, v_reset=-80.0, v_thresh=-55.0, cm=np.linspace(0.1, 0.3, 20), tau_m=15.0
    )
    second = network.population(20, light, INHIBITORY, v=np.linspace(-75, -60, 20), label="second")
    once = {"self_connections": False}
    network.project(noise, first, FixedProbability(0.6), 0.006, 1.2)
    network.project(given_, first, AllToAll(), 0.008, 0.5)
    network.project(
        first, second, FixedInDegree(12, multiple=False), 0.004, 2.0,
        plasticity=TsodyksMarkram(U=0.4, tau_rec=100.0),
    )  # fmt: skip
    network.project(
        second, first, FixedProbability(0.5), lambda rng, d: rng.uniform(0.0, 0.02, d.size), 1.0,
        receptor="inhibitory",
    )  # fmt: skip
    network.project(
        second, second, FixedProbability(0.3, **once), 0.01, 1.5, receptor="inhibitory",
        plasticity=TsodyksMarkram(U=0.3, tau_rec=1.0, tau_facil=80.0),
    )  # fmt: skip
    network.record(second, "v", neurons=[0, 19], interval=1.0)
    return network


# -- the ideal -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", [spikey(), brainscales1(chain=16), brainscales1("wafer", chain=16)]
)
def test_without_distortions_spikes_are_those_of_the_simulator(spec):
    network = varied_network()
    ideal = Simulation(network, 0.1, seed=3)
    chip = Emulation(network, Chip(spec, 1, NONE), 0.1, seed=3)
    for pieces in (70.0, 130.0):
        wanted, found = ideal.run(pieces), chip.run(pieces)
        for population in network.populations:
            assert_array_equal(found.spikes(population).id, wanted.spikes(population).id)
            assert_array_equal(found.spikes(population).time, wanted.spikes(population).time)
        last = network.populations[-1]
        assert len(wanted.spikes(last).id) > 5
        assert_array_equal(found.signal(last), wanted.signal(last))
    assert chip.report.lost == 0
    for projection in network.projections:
        assert_array_equal(chip.weights(projection), ideal.weights(projection))


def test_each_distortion_alone_changes_spikes():
    network = varied_network()
    ideal = Simulation(network, 0.1, seed=3).run(100.0)
    spec = brainscales1(chain=16)

    def spikes(recording):
        return [tuple(map(tuple, recording.spikes(p))) for p in network.populations[2:]]

    for name in ("pattern", "synapses", "trials", "codes", "weights", "delays"):
        on = replace(NONE, **{name: True})
        chip = Emulation(network, Chip(spec, 1, on), 0.1, seed=3)
        assert spikes(chip.run(100.0)) != spikes(ideal), name


# -- ranges --------------------------------------------------------------------------------------

RANGES = {
    "tau_m": (9.0, 110.0), "tau_syn_E": (0.5, 5.0), "tau_syn_I": (0.5, 5.0),
    "tau_refrac": (0.0, 10.0),
    "v_reset": (-100.0, 0.0), "v_thresh": (-100.0, 0.0), "v_spike": (-100.0, 0.0),
    "a": (0.0, 10.0), "b": (0.0, 0.086), "delta_T": (0.0, 3.0), "tau_w": (20.0, 780.0),
}  # fmt: skip


@pytest.mark.parametrize("speedup", [1e3, 1e4, 1e5])
def test_ranges_are_the_documented_ones_and_scale_with_the_speed_up(speedup):
    spec = brainscales1(speedup=speedup)
    for name, (low, high) in RANGES.items():
        scale = speedup / 1e4 if name.startswith("tau") else 1.0
        scale = 1e4 / speedup if name in ("a", "b") else scale
        assert_allclose(spec.range(name), (low * scale, high * scale), rtol=1e-12, err_msg=name)
    assert spec.links.per_chip == pytest.approx(2084.0 * 1e4 / speedup)


def test_small_capacitor_makes_membranes_faster():
    """0.7 to 8.3 ms, as one version of the documentation says."""
    low, high = brainscales1(speedup=1e4, capacitor="small").range("tau_m")
    assert (round(low, 1), round(high, 1)) == (0.7, 8.3)
    a = brainscales1(capacitor="small").range("a")[1]
    assert a == pytest.approx(10.0 * 2.165 / 0.164)


@pytest.mark.parametrize(
    ("name", "value"), [("tau_m", 8.9), ("tau_m", 110.5), ("tau_refrac", 11.0)]
)
def test_values_out_of_range_are_refused_by_name_value_and_range(name, value):
    usual = {"tau_m": 20.0, "tau_refrac": 1.0}
    model = LIF(**usual | {name: [usual[name], value, usual[name]]})
    network = Network()
    network.population(3, model, ConductanceExp(), label="cells")
    chip = Chip(brainscales1(), 1)
    with pytest.raises(OutOfRange, match=f"`{name}` of cells is {value:g} ms") as caught:
        map_network(network, chip)
    low, high = RANGES[name]
    assert f"between {low:g} and {high:g} ms" in str(caught.value)
    assert f"{value / 10:g} us on the chip, {low / 10:g} to {high / 10:g}" in str(caught.value)
    mapped = map_network(network, chip, ignore_ranges=True)
    assert [(v.name, v.value) for v in mapped.report.ranges] == [(name, value)]


def test_the_extremes_of_a_range_are_allowed_and_realised():
    """Up to the coarseness of codes, which for time constants grows with speed."""
    spec = brainscales1()
    names = ("tau_m", "tau_syn_E", "tau_syn_I", "v_thresh")
    for end in (0, 1):
        own = {name: RANGES[name][end] for name in names}
        model = LIF(v_reset=-100.0 if end else -101.0, v_rest=-90.0, cm=0.2,
                    tau_m=own["tau_m"], v_thresh=own["v_thresh"], tau_refrac=2.0)  # fmt: skip
        network = Network()
        cells = network.population(
            4, model, ConductanceExp(tau_syn_E=own["tau_syn_E"], tau_syn_I=own["tau_syn_I"])
        )
        chip = Chip(spec, 1, replace(NONE, codes=True))
        emulation = Emulation(network, chip, calibrated=False, ignore_ranges=not end)
        for name in names:
            assert_allclose(emulation.get(cells, name), own[name], rtol=0.01, atol=0.1)


def test_what_a_chip_does_not_have_is_refused():
    def cells(model=SPIKEY, receptors=INHIBITORY):
        network = Network()
        return network, network.population(4, model, receptors, label="cells")

    def refused(network, spec, message):
        with pytest.raises(InputError, match=message):
            map_network(network, Chip(spec, 1))

    refused(cells(AdEx())[0], spikey(), "`model` of cells is AdEx; Spikey has LIF")
    refused(cells(receptors=CurrentExp())[0], brainscales1(), "CurrentExp.*ConductanceExp")
    refused(cells(receptors=ConductanceAlpha())[0], spikey(), "ConductanceAlpha")
    refused(
        cells(receptors=ConductanceExp(tau_syn_E=2.0))[0],
        spikey(),
        "`tau_syn_E` of cells is 2 ms.* 5 ms",
    )
    refused(cells(replace(SPIKEY, i_offset=0.1))[0], spikey(), "`i_offset`")
    network, own = cells()
    network.noise(own, Poisson(100.0), 0.001)
    refused(network, spikey(), "no private noise")
    for plasticity, message in (
        (TsodyksMarkram(U=0.4, tau_rec=100.0, tau_facil=80.0), "one must be 0"),
        (STDP(), "STDP"),
    ):
        network, own = cells()
        network.project(own, own, AllToAll(), 0.001, 1.0, plasticity=plasticity, label="loop")
        refused(network, brainscales1(), f"loop.*{message}")


# -- room ----------------------------------------------------------------------------------------


def test_capacities_and_fan_in_are_the_documented_ones():
    sizes = (1, 2, 4, 8, 16, 32, 64)
    chip, reticle, wafer = (brainscales1(e) for e in ("chip", "reticle", "wafer"))
    assert [chip.capacity(s) for s in sizes] == [472, 236, 118, 59, 32, 16, 8]
    assert [reticle.capacity(s) for s in sizes] == [8 * chip.capacity(s) for s in sizes]
    assert wafer.capacity(1) == 181_248
    assert wafer.circuits == 196_608
    assert [chip.fan_in(s) for s in sizes] == [224, 448, 896, 1792, 3584, 7168, 14336]
    assert (spikey().capacity(), spikey(2).capacity()) == (192, 384)
    assert spikey().routing.rows == 256


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 32, 64])
def test_so_many_neurons_find_a_place_and_no_more(size):
    spec = brainscales1()
    room = spec.capacity(size)
    network = Network()
    network.population(room + 1, replace(SPIKEY, cm=0.2), INHIBITORY)
    chip = Chip(spec, 1, NONE)
    mapped = map_network(network, chip, size=size, max_neuron_loss=1.0)
    assert mapped.report.neurons_lost == 1
    places = mapped.places
    placed = ~places.missing
    used = (places.circuit[placed, None] + np.arange(size)).ravel()
    assert len(np.unique(used)) == used.size
    assert used.max() < spec.circuits
    pairs = places.bus[placed] * 64 + places.address[placed]
    assert len(np.unique(pairs)) == pairs.size
    assert places.address.max() < spec.routing.addresses
    with pytest.raises(InputError, match=rf"1 of {room + 1} neurons.*room for {room} neurons"):
        map_network(network, chip, size=size)


def test_defective_circuits_are_not_used():
    chip = Chip(replace(brainscales1("reticle"), defects=0.2), 4)
    network = Network()
    network.population(400, SPIKEY, INHIBITORY)
    places = map_network(network, chip, size=1).places
    assert chip.usable[places.circuit].all()
    assert not chip.usable.all()


def test_sources_enter_where_the_links_can_carry_them():
    """At most 2084 Hz a chip as long as other chips have room."""
    network = Network()
    cells = network.population(10, SPIKEY, INHIBITORY)
    sources = network.population(60, Poisson(200.0))
    network.project(sources, cells, AllToAll(), 0.001, 1.0)
    mapped = map_network(network, Chip(brainscales1("reticle"), 1), max_synapse_loss=1.0)
    where = mapped.places.chip[mapped.places.units(1)]
    assert 200 * np.bincount(where).max() <= 2084
    assert len(np.unique(where)) == 6


# -- synapses ------------------------------------------------------------------------------------


def documented(chain):
    """50 neurons of 4 circuits, 50 sources, p 0.5, on one chip."""
    network = Network()
    cells = network.population(50, SPIKEY, INHIBITORY)
    sources = network.population(50, Poisson(10.0))
    for pre in (sources, cells):
        network.project(pre, cells, FixedProbability(0.5), 0.005, 1.0)
    chip = Chip(brainscales1(chain=chain), 1)
    return map_network(network, chip, size=4, max_synapse_loss=1.0).report


def test_documented_example_loses_synapses_only_where_drivers_are_few():
    assert 0.10 <= documented(5).loss <= 0.40
    assert set(documented(5).reasons) == {"no row"}
    assert documented(16).lost == 0


def test_more_loss_than_allowed_is_an_error_that_says_why():
    network = random_network(50, 50, 0.5)
    chip = Chip(brainscales1(), 1)
    with pytest.raises(InputError, match=r"synapses \(\d.* %\) find no place.*no row: \d+"):
        map_network(network, chip, size=4)
    loss = map_network(network, chip, size=4, max_synapse_loss=1.0).report.loss
    map_network(network, chip, size=4, max_synapse_loss=loss)
    with pytest.raises(InputError, match="max_synapse_loss"):
        map_network(network, chip, size=4, max_synapse_loss=0.99 * loss)


def feed_forward(n, **options):
    network = Network()
    layers = [network.population(n, SPIKEY, INHIBITORY) for _ in range(3)]
    for pre, post in pairwise(layers):
        network.project(pre, post, AllToAll(), 0.001, 1.0)
    chip = Chip(brainscales1("wafer"), 1)
    return map_network(network, chip, max_synapse_loss=1.0, **options).report


def test_feed_forward_layers_find_their_place():
    assert feed_forward(10, spread=True).lost == 0
    assert feed_forward(100, size=8, spread=True).lost == 0


def test_loss_of_random_networks_grows_with_their_size():
    def loss(n):
        network = random_network(n, 1, 0.1)
        chip = Chip(brainscales1("wafer"), 1)
        return map_network(network, chip, size=4, max_synapse_loss=1.0).report.loss

    found = [loss(n) for n in (100, 400, 1600)]
    assert found[0] == 0
    assert all(later >= earlier - 0.02 for earlier, later in pairwise(found))


def accounted(mapped):
    """Synapses are there or lost, each once; what is there has a weight and a row."""
    report, routing, written = mapped.report, mapped.routing, mapped.written
    total = 0
    for k, (projection, synapses) in enumerate(
        zip(mapped.network.projections, mapped.drawn, strict=True)
    ):
        here, own = routing.fate[k] == SET, report.projections[k]
        assert own.synapses == len(synapses) == own.set + own.lost
        assert own.set == here.sum()
        assert set(own.reasons) <= set(REASONS[1:])
        assert_array_equal(routing.row[k] >= 0, here)
        assert_array_equal(written.strength[k] != 0, here)
        places = mapped.places
        units = [mapped.network.populations.index(p) for p in (projection.pre, projection.post)]
        for unit, index in zip(units, (synapses.pre, synapses.post), strict=True):
            assert not places.missing[places.units(unit)][index[here]].any()
        total += own.set
    assert report.synapses == total + report.lost == total + sum(report.reasons.values())


def flat(mapped):
    """Row, presynaptic and postsynaptic unit, and sign of all synapses that there are."""
    columns = []
    for k, (projection, synapses) in enumerate(
        zip(mapped.network.projections, mapped.drawn, strict=True)
    ):
        here = mapped.routing.fate[k] == SET
        first = mapped.places.first
        pre = first[mapped.network.populations.index(projection.pre)] + synapses.pre
        post = first[mapped.network.populations.index(projection.post)] + synapses.post
        sign = np.full(len(synapses), int(projection.receptor == "inhibitory"))
        columns.append(np.stack([mapped.routing.row[k], pre, post, sign])[:, here])
    return np.concatenate(columns, 1)


def several(n, sources, p, seed):
    """Two populations and sources of both signs; some pairs occur twice."""
    network = Network()
    a, b = (network.population(n, SPIKEY, INHIBITORY) for _ in range(2))
    s = network.population(sources, Poisson(5.0))
    for pre, post, receptor in (
        (s, a, "excitatory"), (a, b, "excitatory"), (b, a, "inhibitory"), (s, b, "inhibitory"),
        (a, a, "excitatory"), (s, b, "excitatory"),
    ):  # fmt: skip
        network.project(pre, post, FixedProbability(p), 0.01, 1.0, receptor=receptor)
    rng = np.random.default_rng(seed)
    twice = rng.integers(0, min(n, sources), 5)
    network.project(s, a, FromArrays(np.tile(twice, 2), np.tile(twice, 2)), 0.01, 1.0)
    return network


SIZES = {
    "n": st.integers(5, 60), "sources": st.integers(5, 60), "p": st.floats(0.0, 1.0),
    "seed": st.integers(0, 99),
}  # fmt: skip


@given(
    **SIZES, size=st.sampled_from([1, 2, 4, 16]), chain=st.integers(1, 16), spread=st.booleans(),
    drivers=st.integers(2, 56), extent=st.sampled_from(["chip", "reticle"]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_buses_keep_what_wires_allow(n, sources, p, seed, size, chain, spread, drivers, extent):
    """Drivers, rows, addresses and columns, counted anew from the rows of the synapses."""
    spec = brainscales1(extent, chain=chain)
    spec = replace(spec, routing=replace(spec.routing, drivers=drivers))
    network = several(n, sources, p, seed)
    mapped = map_network(
        network, Chip(spec, seed), seed=seed, size=size, spread=spread, max_synapse_loss=1.0,
        max_neuron_loss=1.0,
    )  # fmt: skip
    accounted(mapped)
    places = mapped.places
    row, pre, post, sign = flat(mapped)
    # of an address, 0 is kept for the background and 15, 31, 47, 63 mean that nobody listens
    usable = np.setdiff1d(np.arange(64), [0, 15, 31, 47, 63])
    group = usable[places.address[pre]] // 16
    used = {}
    for r in np.unique(row):
        mine = row == r
        for values in (sign, places.bus[pre], places.chip[post]):
            assert len(np.unique(values[mine])) == 1
        half = fits_half(places, post[mine], group[mine], size)
        assert half is not None
        key = places.chip[post[mine][0]], places.bus[pre[mine][0]]
        used.setdefault(key, {}).setdefault(half, []).append(r)
    total = {}
    for (chip, _), halves in used.items():
        needed = [-(-len(rows) // 2) for rows in halves.values()]
        assert sum(needed) <= chain
        total[chip] = total.get(chip, 0) + sum(needed)
    assert all(n <= 4 * drivers for n in total.values())


def fits_half(places, post, group, size):
    """The half of the chip in which one row can hold these synapses, if there is one.

    Each parity of columns listens to one group of addresses; a column has one synapse.
    """
    neurons, where = np.unique(post, return_inverse=True)
    circuits = places.circuit[neurons][:, None] + np.arange(size)
    has = np.zeros((2, 2, len(neurons)), int)
    for half in (0, 1):
        for parity in (0, 1):
            has[half, parity] = ((circuits % 2 == half) & (circuits // 2 % 2 == parity)).sum(1)
    groups = np.unique(group)
    if len(groups) > 2:
        return None
    options = [(g, h) for g in groups for h in groups if {g, h} == set(groups)]
    for half in (0, 1):
        for listens in options:
            room = {g: np.zeros(len(neurons), int) for g in groups}
            for parity, g in enumerate(listens):
                room[g] += has[half, parity]
            if all((np.bincount(where[group == g], minlength=len(neurons)) <= room[g]).all()
                   for g in groups):  # fmt: skip
                return half
    return None


@given(**SIZES, chip=st.sampled_from(["spikey", "two blocks", "labels"]), rows=st.integers(8, 256))
@settings(max_examples=40, deadline=None)
def test_rows_keep_what_wires_allow(n, sources, p, seed, chip, rows):
    """One sign and one source per label in a row, one synapse where it crosses a neuron."""
    spec = spikey(2 if chip == "two blocks" else 1)
    labels = 3 if chip == "labels" else 1
    spec = replace(spec, routing=replace(spec.routing, rows=rows, labels=labels))
    network = several(2 * n, sources, p, seed)
    mapped = map_network(
        network, Chip(spec, seed), seed=seed, max_synapse_loss=1.0, max_neuron_loss=1.0
    )
    accounted(mapped)
    row, pre, post, sign = flat(mapped)
    block = mapped.places.circuit[post] // 192
    assert_array_equal(row // rows, block)
    crossings = np.stack([row, post])
    assert np.unique(crossings, axis=1).shape == crossings.shape
    for r in np.unique(row):
        mine = row == r
        assert len(np.unique(sign[mine])) == 1
        assert len(np.unique(pre[mine])) <= labels
    if labels == 1:  # a source of one sign has one row, and no row is free where one is missing
        source = (pre * 2 + sign) * 2 + block
        assert len(np.unique(source)) == len(np.unique(row))
        if "no row" in mapped.report.reasons:
            assert max(np.unique(row[block == b]).size for b in (0, 1)) == rows


def test_a_source_of_both_signs_needs_two_rows_and_row_257_does_not_exist():
    def mapped(sources, signs):
        network = Network()
        cells = network.population(4, SPIKEY, INHIBITORY)
        source = network.population(sources, Poisson(1.0))
        for receptor in ("excitatory", "inhibitory")[:signs]:
            network.project(source, cells, AllToAll(), 0.004, 1.0, receptor=receptor)
        return map_network(network, Chip(spikey(), 1))

    assert len(np.unique(flat(mapped(128, 2))[0])) == 256
    assert len(np.unique(flat(mapped(256, 1))[0])) == 256
    for sources, signs, lost in ((129, 2, 8), (257, 1, 4)):
        with pytest.raises(InputError, match=rf"{lost} of \d+ synapses.*no row: {lost}\b"):
            mapped(sources, signs)


# -- settings ------------------------------------------------------------------------------------


def test_potentials_come_back_within_a_step_of_their_codes():
    """A step is 1.8 V / 1023, a tenth of that in biology."""
    v = np.linspace(-99.0, -1.0, 118)
    network = Network()
    cells = network.population(118, replace(SPIKEY, v_reset=-99.5, v_thresh=v), INHIBITORY)
    chip = Chip(brainscales1(), 1, replace(NONE, codes=True))
    found = Emulation(network, chip, size=4, calibrated=False).get(cells, "v_thresh")
    assert 0 < np.abs(found - v).max() <= 1800 / 1023 / 10


def test_neurons_of_a_parity_share_the_mean_of_their_thresholds():
    network = Network()
    threshold = np.array([-50.0, -60.0, -54.0, -60.0])
    cells = network.population(4, replace(SPIKEY, v_thresh=threshold), INHIBITORY)
    chip = Chip(spikey(), 1, replace(NONE, codes=True))
    mapped = map_network(network, chip)
    assert_allclose(mapped.configured.values[cells]["v_thresh"], [-52, -60, -52, -60], atol=0.1)
    assert mapped.report.shared["v_thresh"] == pytest.approx(2.0)
    assert mapped.report.shared["v_rest"] == 0


def to_lsb(weight, receptor="excitatory"):
    """Digital weights of ten thousand synapses on Spikey, and how many of them were clipped."""
    network = Network()
    cells = network.population(192, SPIKEY, INHIBITORY)
    sources = network.population(53, Poisson(1.0))
    network.project(sources, cells, AllToAll(), weight, 1.0, receptor=receptor)
    chip = Chip(spikey(), 1, replace(NONE, weights=True))
    mapped = map_network(network, chip, max_synapse_loss=0.1)
    return mapped.written, mapped.report.projections[0].clipped


def test_rounding_of_weights_keeps_their_mean():
    digital = to_lsb(0.0073)[0].digital[0]
    assert set(digital) == {7, 8}
    assert digital.mean() == pytest.approx(7.3, abs=0.02)
    written, clipped = to_lsb(0.0162)
    assert set(written.digital[0]) == {15}
    assert clipped == written.digital[0].size
    weights = np.random.default_rng(0).uniform(0.001, 0.060, 192 * 53)
    strength = to_lsb(weights, "inhibitory")[0].strength[0]
    assert strength.mean() == pytest.approx(weights.mean(), rel=0.01)
    assert np.abs(strength - weights).max() < 0.004  # a level


def test_levels_of_brainscales1_are_the_documented_curve():
    d = np.arange(16)
    curve = 93.94 + 81.34 * d - 1.597 * d**2
    levels = brainscales1().weights
    assert_allclose(levels.levels, curve / curve[-1], rtol=1e-12)
    wanted = np.full(100_000, 0.47)
    found = levels.levels[levels.digital(wanted, np.random.default_rng(1))]
    assert found.mean() == pytest.approx(0.47, rel=0.01)
    assert len(np.unique(found)) == 2


def test_a_row_takes_the_smallest_scale_that_covers_its_largest_weight():
    """And what is below its lowest level is reported, as what is above the highest."""
    network = Network()
    cells = network.population(3, SPIKEY, INHIBITORY)
    source = network.population(1, Poisson(1.0))
    network.project(source, cells, AllToAll(), np.array([0.02, 0.02, 0.0001]), 1.0)
    mapped = map_network(network, Chip(brainscales1(), 1, replace(NONE, weights=True)), size=1)
    top = min(s for s in brainscales1().weights.choices("excitatory") if s >= 0.02)
    found = mapped.written.strength[0]
    level = brainscales1().weights.levels * top
    assert all(np.isclose(value, level, rtol=1e-9).any() for value in found)
    assert found[2] == pytest.approx(level[0])
    assert mapped.report.projections[0].clipped == 1


# -- runs ----------------------------------------------------------------------------------------


def test_a_run_depends_on_its_three_keys_alone():
    network = random_network(20, 10, excited=0.03)
    cells = network.populations[0]

    def spikes(chip=1, seed=3, trial=0, **distortions):
        switches = Distortions(**distortions)
        emulation = Emulation(
            network, Chip(brainscales1(chain=16), chip, switches), seed=seed, trial=trial
        )
        found = emulation.run(100.0).spikes(cells)
        return list(zip(found.time, found.id, strict=True))

    assert len(spikes()) > 20
    assert spikes() == spikes()
    assert spikes() != spikes(trial=1)
    assert spikes() != spikes(chip=2)
    assert spikes() != spikes(seed=4)
    # without what varies from run to run only the fixed pattern is left
    still = {"trials": False, "weights": False}
    assert spikes(**still) == spikes(trial=1, **still)


def test_trials_are_drawn_anew_around_one_pattern():
    network = random_network(118, 1)
    cells, chip = network.populations[0], Chip(brainscales1(), 1)
    options = {"size": 4, "max_synapse_loss": 1.0, "calibrated": False}
    options["max_neuron_loss"] = 1.0
    tau = np.array([
        map_network(network, chip, trial=t, **options).configured.values[cells]["tau_m"]
        for t in range(2)
    ])  # fmt: skip
    assert (tau[0] != tau[1]).all()
    assert np.corrcoef(tau)[0, 1] > 0.9
    still = Chip(chip.spec, 1, Distortions(trials=False))
    one, two = (map_network(network, still, trial=t, **options) for t in range(2))
    for name, values in one.configured.values[cells].items():
        assert_array_equal(values, two.configured.values[cells][name])


def loaded(share, duration=4000.0):
    """Spike sources of one chip that fire at a share of what its link carries."""
    network = Network()
    cells = network.population(4, SPIKEY, INHIBITORY)
    sources = network.population(40, Poisson(share * 2084.0 / 40))
    network.project(sources, cells, AllToAll(), 0.0005, 1.0)
    chip = Chip(brainscales1(chain=16), 1, replace(NONE, links=True))
    emulation = Emulation(network, chip, seed=2)
    for _ in range(2):
        emulation.run(duration / 2)
    return emulation.report.pulses


def test_pulses_are_conserved_and_lost_only_where_links_are_too_slow():
    for share, low, high in ((0.1, 0.0, 0.0), (2.0, 0.3, 0.6)):
        p = loaded(share)
        assert p.down_generated == p.down_sent + p.down_dropped + p.down_lost
        assert p.down_generated == pytest.approx(share * 2084 * 4, rel=0.1)
        assert low <= (p.down_dropped + p.down_lost) / p.down_generated <= high
        assert p.up_lost == 0


def test_spikes_missing_in_the_recording_took_part_in_the_network():
    network = Network()
    driven = replace(SPIKEY, v_rest=np.linspace(-40.0, -25.0, 40), tau_refrac=1.0)
    cells = network.population(40, driven, INHIBITORY)
    target = network.population(2, replace(SPIKEY, v_rest=-60.0), INHIBITORY)
    network.project(cells, target, FixedProbability(0.5), 0.0005, 1.0)
    network.record(target, "v", interval=1.0)
    spec = brainscales1(chain=16)
    free = Emulation(network, Chip(spec, 1, NONE), seed=1)
    limited = Emulation(network, Chip(spec, 1, replace(NONE, links=True)), seed=1)
    every, some = free.run(500.0), limited.run(500.0)
    assert len(every.spikes(cells).id) > 1.5 * 2084 * 0.5
    pulses = limited.report.pulses
    fired = sum(len(every.spikes(p).id) for p in (cells, target))
    assert pulses.up_sent + pulses.up_lost == fired
    assert pulses.up_sent == sum(len(some.spikes(p).id) for p in (cells, target))
    assert pulses.up_lost > 0.3 * fired
    assert pulses.on_wafer == len(every.spikes(cells).id)
    assert_array_equal(some.signal(target), every.signal(target))


def test_weights_are_rewritten_where_synapses_are():
    network = random_network(50, 50, 0.5)
    projection = network.projections[0]
    emulation = Emulation(network, Chip(brainscales1(), 1), size=4, max_synapse_loss=1.0)
    here = emulation.is_set(projection)
    assert 0 < here.sum() < here.size
    assert_array_equal(emulation.weights(projection) != 0, here)
    before = emulation.weights(projection)
    emulation.set_weights(projection, 0.008)
    after = emulation.weights(projection)
    assert_array_equal(after != 0, here)
    assert after[here].mean() == pytest.approx(2 * before[here].mean(), rel=0.1)
    with pytest.raises(InputError, match=r"tau_m.*cannot be set"):
        emulation.set(network.populations[0], "tau_m", 12.0)


# -- Spikey --------------------------------------------------------------------------------------


def variation(values):
    return np.std(values) / np.mean(values)


@pytest.mark.parametrize("seed", range(5))
def test_calibration_of_spikey_leaves_a_quarter_of_the_spread(seed):
    """Of 192 membranes as of 22 real chips; and of the rows of synapses."""
    network = Network()
    cells = network.population(188, SPIKEY, INHIBITORY)
    chip = Chip(replace(spikey(), defects=0.0), seed)
    before, after = (map_network(network, chip, calibrated=c).configured for c in (False, True))
    assert 0.30 <= variation(before.values[cells]["tau_m"]) <= 0.45
    assert variation(after.values[cells]["tau_m"]) <= 0.12
    assert after.values[cells]["tau_m"].mean() == pytest.approx(10.0, rel=0.05)
    assert 0.15 <= variation(before.rows["E"]) <= 0.25
    assert variation(after.rows["E"]) <= 0.1


def inhibitory(weight, n=192):
    """Neurons that rest above threshold and inhibit each other, 15 inputs each."""
    network = Network()
    start = np.random.default_rng(0).uniform(-80.0, -55.0, n)  # apart, or they stay in step
    cells = network.population(n, replace(SPIKEY, v_rest=-40.0), INHIBITORY, v=start)
    inputs = FixedInDegree(15, self_connections=False, multiple=False)
    network.project(cells, cells, inputs, weight, 1.0, receptor="inhibitory")
    return network, cells


def activity(simulation, cells, duration=1000.0):
    """Rate of each neuron [Hz], and the mean CV of their intervals."""
    simulation.run(200.0)
    spikes = simulation.run(duration).spikes(cells)
    return rates(spikes, cells.size, 200.0, 200.0 + duration), np.nanmean(cv(spikes, cells.size))


def test_inhibition_alone_makes_irregular_activity():
    """Our reference runs: 26.7 +- 1.2 Hz and CV 0.55 at 7 nS; rates fall, CVs rise with weight."""
    found = []
    for weight in (0.004, 0.007, 0.014):
        network, cells = inhibitory(weight)
        rate, irregular = activity(Simulation(network, 0.1, seed=1), cells, 3000.0)
        found.append((rate.mean(), irregular))
    (r4, c4), (r7, c7), (r14, c14) = found
    assert r7 == pytest.approx(26.7, abs=1.2)
    assert c7 == pytest.approx(0.55, abs=0.05)
    assert r4 > r7 > r14
    assert c4 < c7 < c14


def only(spec, *names):
    """A chip of which these quantities alone differ from circuit to circuit."""
    quantities = {
        name: own if name in names else replace(own, spread=0.0, trial=0.0)
        for name, own in spec.quantities.items()
    }
    return replace(spec, quantities=quantities, defects=0.0)


def test_membranes_and_synapses_of_a_calibrated_spikey_keep_irregular_activity():
    """Our reference runs: 27 +- 12 Hz, CV 0.57, none silent; uncalibrated 74 of 192 silent."""
    network, cells = inhibitory(0.007)
    chip = Chip(only(spikey(), "tau_m", "row_I"), 0)
    for calibrated in (True, False):
        emulation = Emulation(network, chip, seed=1, calibrated=calibrated)
        rate, irregular = activity(emulation, cells)
        silent = np.mean(rate < 1)
        if calibrated:
            assert rate.mean() == pytest.approx(27.0, abs=5.0)
            assert 0.5 <= irregular <= 0.65
            assert silent == 0
        else:
            assert silent >= 0.25


def test_depressing_synapses_of_spikey_tire_and_recover():
    """Regular spikes from 100 to 400 ms evoke less and less; the one at 700 ms as the first."""
    times = np.append(np.arange(100.0, 401.0, 50.0), 700.0)
    network = Network()
    cell = network.population(1, SPIKEY, INHIBITORY)
    source = network.population(1, SpikeArray([times]))
    plasticity = TsodyksMarkram(U=0.4, tau_rec=100.0)
    network.project(source, cell, AllToAll(), 0.015, 1.0, plasticity=plasticity)
    network.record(cell, "v")
    v = Emulation(network, Chip(spikey(), 2)).run(800.0).signal(cell)[:, 0, 0]
    heights = [v[int(10 * t) : int(10 * t) + 400].max() - v[990] for t in times]
    assert (np.diff(heights[:7]) < 0).all()
    assert heights[6] < 0.8 * heights[0]
    assert heights[7] == pytest.approx(heights[0], rel=0.15)


def synfire(kick=((100.0,),) * 10, loop=True, tau_refrac=10.0, inhibited=0.008):
    """Nine links of 10 + 10 neurons, with the weights of our reference runs."""
    network = Network()
    cell = replace(SPIKEY, tau_refrac=tau_refrac)
    links = [[network.population(10, cell, INHIBITORY) for _ in "EI"] for _ in range(9)]
    source = network.population(10, SpikeArray([np.sort(times) for times in kick]))
    for k, (e, i) in enumerate(links):
        network.project(i, e, AllToAll(), inhibited, 1.0, receptor="inhibitory")
        if loop or k < 8:
            e_next, i_next = links[(k + 1) % 9]
            network.project(e, e_next, AllToAll(), 0.006, 1.0)
            network.project(e, i_next, AllToAll(), 0.010, 1.0)
    for first in links[0]:
        network.project(source, first, AllToAll(), 0.010, 1.0)
    return network, [e for e, _ in links]


ONLY_MEMBRANES = replace(only(spikey(), "tau_m"), synapse_spread=0.10)  # as our reference runs


def last_second(network, excitatory, duration, chip=None, **options):
    """Mean rate at the end [Hz]."""
    run = Simulation(network, 0.1) if chip is None else Emulation(network, chip, **options)
    run.run(duration - 500.0)
    stretch = run.run(500.0)
    return np.mean([2 * len(stretch.spikes(p).id) / p.size for p in excitatory])


def test_inhibition_keeps_a_synfire_loop_from_exploding():
    assert 50 <= last_second(*synfire(), 1000.0) <= 60
    assert last_second(*synfire(tau_refrac=1.0, inhibited=0.0), 1000.0) > 600


@pytest.mark.parametrize(("a", "sigma", "fires"), [(1, 0, 1), (1, 6, 1), (0.3, 10, 0), (2, 10, 2)])
def test_synfire_chain_passes_packets_that_are_strong_and_sharp(a, sigma, fires):
    """The last link fires once, not at all, or twice, for a packet too wide and strong."""
    rng = np.random.default_rng(1)
    packet = rng.normal(100.0, sigma, round(10 * a))
    network, excitatory = synfire(np.array_split(packet, 10), loop=False)
    chip = Chip(ONLY_MEMBRANES, 0)
    last = Emulation(network, chip).run(300.0).spikes(excitatory[-1])
    assert len(last.id) / 10 == pytest.approx(fires, abs=0.1)


@pytest.mark.slow
def test_synfire_loops_live_on_calibrated_chips_and_die_on_others():
    """With the spreads of our reference runs, of which eight of eight lived, and none."""
    network = synfire()
    alive = [last_second(*network, 20_000.0, Chip(ONLY_MEMBRANES, seed)) for seed in range(8)]
    assert sum(50 <= rate <= 60 for rate in alive) >= 7
    rough = replace(ONLY_MEMBRANES, synapse_spread=0.30)
    dead = [last_second(*network, 3000.0, Chip(rough, s), calibrated=False) for s in range(8)]
    assert sum(rate == 0 for rate in dead) >= 5


def test_a_synapse_keeps_the_sign_of_its_row():
    network = Network()
    source = network.population(1, SpikeArray([[1.0]]))
    cells = network.population(1, LIF(tau_refrac=2.0), CurrentExp(5.0, 5.0))
    projection = network.project(source, cells, AllToAll(), 0.5, 1.0)
    emulation = Emulation(network, Chip(brainscales2(), 0))
    emulation.set_weights(projection, 0.0)
    assert not emulation.weights(projection).any()
    with pytest.raises(InputError, match="the other sign"):
        emulation.set_weights(projection, -0.5)
