"""Chaotic function prediction: Mackey-Glass, alone for ten Lyapunov times

A forecaster learns from 750 points of a chaotic series and then hears only itself. Baselines of
NeuroBench (echo state network, LSTM), trivial ones (the mean, the last value, a linear predictor)
and entries of our own are scored alike, with memory and operations beside the error:

    prospective   slow neurons that look ahead as far as they are slow; readout by least squares
    late          the same neurons without looking ahead
    gle           the first, its hidden weights taught by errors with swapped time constants before
    gle_alone     the same without the least squares: all that is known was learned on line
    spiking       integrate-and-fire neurons, read out by their spikes

Above 21.7 a forecaster at delay 17 is worse than the mean of what it has seen. Instances overlap
and series are generated here, so that only statistics compare. Settings of our entries were chosen
on the first instances of this same series, as those of the baselines were.
"""

from dataclasses import dataclass

import numpy as np

from lapicque._checks import in_range, one_of
from lapicque.benchmark import metrics
from lapicque.benchmark.mackey_glass import (
    EXAMPLES,
    LEADER_BOARD,
    Forecaster,
    check_delays,
    check_instances,
    checksum,
    instance,
    last_value,
    linear,
    mean_value,
    score,
)
from lapicque.data import mackey_glass
from lapicque.lab import Certainty, Claim, Outcome
from lapicque.lab.figure import COLOURS, MUTED, subplots

SINGLE = ("mean", "last", "linear", "esn", "esn_largest", "esn_small")
TOGETHER = ("lstm", "prospective", "late", "gle", "gle_alone", "spiking")
ENTRIES = (*SINGLE, *TOGETHER)


@dataclass(frozen=True)
class Config:
    """Settings of the benchmark."""

    delays: tuple[int, ...] = (17,)  # time units; entries are compared on the first
    entries: tuple[str, ...] = ENTRIES
    instances: int = 30  # of everything that is quick
    large_instances: int = 30  # of the large echo state networks
    batch: int = 6  # instances of trained networks that run side by side
    batches: int = 5
    elsewhere: tuple[str, ...] = ("mean", "esn", "prospective")  # entries on the other delays
    elsewhere_instances: int = 5
    esn_units: int = 0  # of the large networks; 0 for what the harness has
    units: int = 200  # neurons of our networks of rate
    passes: int = 10  # of learning on line
    alone_passes: int = 50
    lstm_epochs: int = 200
    spiking_units: int = 500
    spiking_step: float = 0.2  # ms

    def __post_init__(self):
        check_delays(self.delays)
        for name in ("instances", "large_instances", "elsewhere_instances"):
            check_instances(getattr(self, name))
        for name in ("batch", "batches"):
            in_range(name, getattr(self, name), 1)
        check_instances(self.batch * self.batches)
        for entry in (*self.entries, *self.elsewhere):
            one_of("entries", entry, ENTRIES)
        for name in ("units", "alone_passes", "lstm_epochs", "spiking_units"):
            in_range(name, getattr(self, name), 1)
        in_range("passes", self.passes, 0)
        in_range("esn_units", self.esn_units, 0)
        in_range("spiking_step", self.spiking_step, 0.01, 1.0, unit="ms")


PRESETS = {
    "smoke": Config(
        delays=(17, 20), instances=2, large_instances=1, batch=2, batches=1, elsewhere=("mean",),
        entries=("mean", "esn", "esn_small", "lstm", "prospective", "late", "spiking"),
        esn_units=30, lstm_epochs=1,
        elsewhere_instances=2, units=20, spiking_units=20, spiking_step=1.0,
    ),
    "quick": Config(large_instances=4, batches=1, alone_passes=30),
    "paper": Config(delays=tuple(range(17, 31))),
}  # fmt: skip

_PAPER = "Yik et al. (2025), leader board of chaotic function prediction"
_CODE = "NeuroBench/neurobench 2.3.0, examples/mackey_glass"

CLAIMS = (
    Claim(
        "esn",
        "The echo state network of the harness has a sMAPE of 11 +- 4 over thirty instances",
        "esn_smape",
        Certainty.REFERENCE_RUN,
        "our own run of a re-implementation with other random numbers: 11.22; the example states "
        "9.917 on the hosted series",
        at_least=7.0,
        at_most=15.0,
        published=11.22,
        presets=("paper",),
    ),
    Claim(
        "esn_small",
        "One of the size and density of the leader board's comes near its 14.79",
        "esn_small_smape",
        Certainty.PUBLISHED,
        f"{_PAPER}; its other settings are not known, tolerance is our limit",
        at_least=10.0,
        at_most=20.0,
        published=14.79,
    ),
    Claim(
        "esn_operations",
        "It does 936,056 dense operations per point",
        "esn_dense",
        Certainty.AUTHORS_CODE,
        _CODE,
        at_least=936_056,
        at_most=936_056,
        published=936_056,
    ),
    Claim(
        "lstm",
        "The LSTM of the example has a sMAPE of about 14.3",
        "lstm_smape",
        Certainty.AUTHORS_CODE,
        f"{_CODE}; tolerance is our limit",
        at_least=10.0,
        at_most=19.0,
        published=14.347,
    ),
    Claim(
        "lstm_operations",
        "It does 14,560 dense operations per point",
        "lstm_dense",
        Certainty.AUTHORS_CODE,
        _CODE,
        at_least=14_560,
        at_most=14_560,
        published=14_560,
    ),
    Claim(
        "prospective",
        "Slow neurons that look ahead err less than the best entry of the leader board",
        "prospective_smape",
        Certainty.PUBLISHED,
        f"{_PAPER}: LSTM; the series is ours, the settings were chosen on it",
        at_most=13.37,
        published=13.37,
    ),
    Claim(
        "frugal",
        "with fewer operations per point than its echo state network, dense ones against effective",
        "prospective_dense",
        Certainty.PUBLISHED,
        _PAPER,
        at_most=4370,
        published=4370,
    ),
    Claim(
        "looking_ahead",
        "Without looking ahead the same neurons do not get below the mean",
        "late_smape",
        Certainty.NOT_VERIFIED,
        "own claim; the mean as prediction has 21.7",
        at_least=21.7,
    ),
)

CITES = ("yik2025neurobench", "mackey1977oscillation", "ellenberger2024backpropagation")


def forecaster(name: str, tau: int, config: Config) -> Forecaster:
    """An entry by its name, with the settings for a delay."""
    from dataclasses import replace

    from lapicque.benchmark import recurrent, reservoir

    trivial = {"mean": mean_value, "last": last_value, "linear": linear()}
    if name in trivial:
        return trivial[name]
    if name.startswith("esn"):
        settings = reservoir.SMALL_ESN if name == "esn_small" else reservoir.ESN_BY_DELAY[tau]
        if config.esn_units and name != "esn_small":
            settings = replace(settings, units=config.esn_units)
        scaling = "largest" if name == "esn_largest" else "first"
        return reservoir.echo_state(replace(settings, scaling=scaling))
    if name == "lstm":
        return recurrent.lstm(recurrent.LongShortTermMemory(epochs=config.lstm_epochs))
    if name == "spiking":
        units, step = config.spiking_units, config.spiking_step
        return reservoir.spiking(reservoir.SpikingReservoir(units, dt=step))
    options = {
        "prospective": {"passes": 0},
        "late": {"passes": 0, "remembering": 1.0, "taus": (10.0,)},
        "gle": {"passes": config.passes},
        "gle_alone": {"passes": config.alone_passes, "ridge": 0.0},
    }[name]
    return recurrent.equilibrium(recurrent.Equilibrium(units=config.units, **options))


def run(config: Config, seed: int, session) -> Outcome:
    """Score every entry; instance k has the seed `seed` + k, as the protocol has for seed 0."""
    found, recordings, rows = {}, {}, {}
    for tau in config.delays:
        for name in config.entries if tau == config.delays[0] else config.elsewhere:
            session.log(f"delay {tau}: {name}")
            table = _scored(name, tau, config, seed, session)
            label = name if tau == config.delays[0] else f"{name}_{tau}"
            found |= _described(label, table)
            recordings[f"{label}/smape"] = table["smape"].ravel()
            if tau == config.delays[0]:
                recordings[f"{name}/prediction"] = table["prediction"][0]
                rows[name] = {"SMAPE": found[f"{name}_smape"]} | {
                    column: found[f"{name}_{_key(column)}"]
                    for column in metrics.COLUMNS
                    if f"{name}_{_key(column)}" in found
                }
    first = config.delays[0]
    recordings["truth"] = instance(first, 0).targets
    board = {**rows, **LEADER_BOARD, **EXAMPLES} if first == 17 else rows
    session.log("\n" + metrics.table("SMAPE", board))
    origins = {
        f"mackey_glass_{tau}": f"{mackey_glass(tau).origin}; SHA-256 of the first five Lyapunov "
        f"times {checksum(mackey_glass(tau).values)}"
        for tau in config.delays
    }
    return Outcome(found, recordings, origins)


def _key(column: str) -> str:
    return column.removeprefix("Effective_").lower()


def _scored(name: str, tau: int, config: Config, seed: int, session) -> dict[str, np.ndarray]:
    """Rows of chunks: sMAPE and valid time of each instance, columns of the board, a prediction."""
    forecast = forecaster(name, tau, config)
    if tau != config.delays[0]:
        chunk, chunks = 1, config.elsewhere_instances
    elif name in ("esn", "esn_largest"):
        chunk, chunks = 1, config.large_instances
    elif name in SINGLE:
        chunk, chunks = 1, config.instances
    else:
        chunk, chunks = config.batch, config.batches

    def one(state, i):
        which = range(i * chunk, (i + 1) * chunk)
        given = [instance(tau, k) for k in which]
        told = forecast(np.stack([g.train for g in given]), [seed + k for k in which])
        scores = score(told, given)
        shown = np.clip(np.nan_to_num(told.predictions[0]), -10, 10)  # some diverge
        row = {"smape": scores.smape, "valid": scores.valid_time, "prediction": shown}
        if told.records:
            columns = metrics.row(metrics.summary(told.records))
            row |= {_key(column): float(value or 0.0) for column, value in columns.items()}
        return state + 1, row

    _, table = session.loop(f"{tau}/{name}", one, np.array(0), chunks)
    return table


def _described(label: str, table: dict[str, np.ndarray]) -> dict[str, float]:
    """Mean, spread and median of the error, and the means of all other columns."""
    smape = table["smape"].ravel()
    found = {
        f"{label}_smape": float(smape.mean()),
        f"{label}_smape_sd": float(smape.std(ddof=1)) if smape.size > 1 else 0.0,
        f"{label}_smape_median": float(np.median(smape)),
        f"{label}_valid_time": float(table["valid"].mean()),
    }
    for name in map(_key, metrics.COLUMNS):
        if name in table:
            found[f"{label}_{name}"] = float(table[name].mean())
    return found


_LABELS = {
    "mean": "mean",
    "last": "last value",
    "linear": "linear",
    "esn": "ESN 966",
    "esn_largest": "ESN 966, largest eigenvalue",
    "esn_small": "ESN 186",
    "lstm": "LSTM 40",
    "prospective": "prospective neurons",
    "late": "the same, late",
    "gle": "GLE, then least squares",
    "gle_alone": "GLE alone",
    "spiking": "spiking",
}


def figures(outcome: Outcome, config: Config):
    """Errors of all instances; a prediction; what accuracy costs."""
    shown = [name for name in config.entries if f"{name}/smape" in outcome.recordings]
    return {
        "errors": _errors(outcome, shown),
        "prediction": _prediction(outcome, shown),
        "cost": _cost(outcome, config, shown),
    }


def _errors(outcome: Outcome, shown: list[str]):
    figure, axes = subplots(height=0.6 + 0.32 * len(shown))
    ax = axes[0, 0]
    for y, name in enumerate(reversed(shown)):
        smape = outcome.recordings[f"{name}/smape"]
        spread = np.linspace(-0.2, 0.2, smape.size) if smape.size > 1 else [0.0]
        ax.plot(smape, y + np.asarray(spread), ".", color=COLOURS[0], ms=4, alpha=0.6)
        ax.plot([np.median(smape)] * 2, [y - 0.35, y + 0.35], color=COLOURS[1], lw=2)
    if "mean_smape" in outcome.metrics:
        ax.axvline(outcome.metrics["mean_smape"], color=MUTED, ls="--", lw=1, zorder=0)
    ax.set_yticks(range(len(shown)), [_LABELS[name] for name in reversed(shown)])
    ax.set(xlabel="sMAPE [%]", title="Instances and median; dashed: the mean")
    ax.set_xlim(0, None)
    return figure


def _prediction(outcome: Outcome, shown: list[str]):
    told = [n for n in ("esn", "esn_small", "lstm", "prospective", "spiking") if n in shown]
    figure, axes = subplots(max(1, len(told)), 1, height=1.0 + 0.9 * max(1, len(told)), sharex=True)
    time = np.arange(1, 751) / 75
    for ax, name in zip(axes[:, 0], told, strict=False):
        ax.plot(time, outcome.recordings["truth"], color="0.75", lw=3)
        ax.plot(time, outcome.recordings[f"{name}/prediction"], color=COLOURS[0], lw=1)
        ax.set(title=_LABELS[name], ylabel="x", ylim=(0.2, 1.5), xlim=(0, 10))
    axes[-1, 0].set_xlabel("time alone [Lyapunov times]; grey: the truth")
    return figure


def _cost(outcome: Outcome, config: Config, shown: list[str]):
    figure, axes = subplots(1, 2, height=4.2, sharey=True)
    points = [
        (_LABELS[name], *(outcome.metrics[f"{name}_{key}"] for key in ("smape", "footprint")),
         outcome.metrics[f"{name}_macs"] + outcome.metrics[f"{name}_acs"])
        for name in shown
        if f"{name}_footprint" in outcome.metrics
    ]  # fmt: skip
    for k, (label, smape, footprint, operations) in enumerate(points):
        style = {"color": COLOURS[k % len(COLOURS)], "marker": "os^"[k // len(COLOURS)]}
        axes[0, 0].semilogx([operations], [smape], ls="", label=label, ms=6, **style)
        axes[0, 1].semilogx([footprint / 1024], [smape], ls="", ms=6, **style)
    if config.delays[0] == 17:
        for name, mark in zip(LEADER_BOARD, ("*", "P"), strict=True):
            row = LEADER_BOARD[name]
            operations = row["Effective_MACs"] + row["Effective_ACs"]
            style = {"color": MUTED, "marker": mark, "ls": "", "ms": 9}
            axes[0, 0].semilogx([operations], [row["SMAPE"]], label=name, **style)
            axes[0, 1].semilogx([row["Footprint"] / 1024], [row["SMAPE"]], **style)
    axes[0, 0].set(xlabel="effective operations per point", ylabel="sMAPE [%]")
    axes[0, 1].set(xlabel="footprint [KiB]")
    axes[0, 0].set_ylim(0, None)
    figure.legend(loc="outside lower center", ncols=2)
    return figure
