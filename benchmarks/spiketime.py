"""First-spike-time networks: an epoch of Yin-Yang, and a training step of ever wider layers.

The first table is the time for one epoch of Yin-Yang, 4-30-3, 5000 points in batches of 150:

    lapicque     exact spike times: weights (W), and axonal (WA) or synaptic (WS) delays
    fastAndDeep  the authors' program, also exact, where a checkout is given with `--public`
    jaxsnn       exact, too, but event by event, with EventProp or analytic gradients
    spyx         discrete time and surrogate gradients in JAX
    snnTorch     the same in PyTorch

Every rival goes on training through its turns, so that the accuracies, all on the same validation
set, show that each does learn; how each was tuned stands in its `_spiketime_*.py`. Where the
published program takes part, spike times are compared first, with its first parameters.

The second table is one training step without its update, so forward and backward, of a layer with
10 label neurons behind it, batch 80, tau_m = tau_s, up to 784-350-10. The published exact solver
goes only as far as 2 GB allow. Exact rivals must first agree in the gradient.

The process pins itself to one core, see `_race.py`.

    python benchmarks/spiketime.py --public ../fastAndDeep --public-v1 ../fastAndDeep-v1.0.0
    python benchmarks/spiketime.py --only lapicque,spyx --tables epoch --rounds 3
"""
# ruff: noqa: E402

from _race import RESULTS, Rival, Time, keep, machine, one_core, race

CORE = one_core()

import argparse
import contextlib
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from _spiketime import (
    BATCH,
    HIDDEN,
    STEPS,
    WIDE_BATCH,
    WIDTHS,
    Peer,
    Step,
    started,
    too_wide,
    wide,
)
from rich.console import Console
from rich.table import Table

from lapicque._checks import InputError, in_range

OWN = "lapicque"
GROUPS = (OWN, "public", "jaxsnn", "spyx", "snntorch")
TABLES = ("epoch", "width")
AGREE = 1e-4  # tau_s, in label times; the public program adds 1e-6 to its sums
AGREE_GRADIENT = 0.01  # in float32 and relative to the gradient of a layer
PACKAGES = ("lapicque", "jax", "jaxlib", "numpy", "optax", "torch", "spyx", "flax", "jaxsnn")


def of(group: str) -> Any:
    """The module of a group of rivals."""
    return import_module(f"_spiketime_{group}")


def trainers(options) -> dict[str, list[Callable[[], Peer]]]:
    """How the rivals of each group are made."""
    variants = ("W", "WA", "WS")
    makers: dict[str, list[Callable[[], Peer]]] = {
        OWN: [partial(_make, OWN, variant) for variant in variants],
        "jaxsnn": [partial(_make, "jaxsnn", m) for m in ("eventprop", "analytical")],
        "spyx": [partial(_make, "spyx")],
        "snntorch": [partial(_make, "snntorch")],
    }
    makers[OWN].append(partial(_make, OWN, "W", double=True))
    if options.public:
        makers["public"] = [partial(_make, "public", options.public, v) for v in variants]
    return makers


def _make(group: str, *arguments, **more) -> Peer:
    return of(group).rival(*arguments, **more)


def made(makers: dict[str, list[Callable]], only: list[str], console: Console) -> list:
    """The rivals that can take part, each started; missing ones are named."""
    rivals = []
    for group, thunks in makers.items():
        if group not in only:
            continue
        try:
            rivals += [thunk() for thunk in thunks]
        except ImportError as error:
            console.print(f"{group} is missing ({error}); left out.", markup=False)
    return rivals


def check_times(checkout: Path, console: Console) -> dict[str, float]:
    """Label times of both programs with the public program's first parameters [tau_s]."""
    distances = {}
    for variant in ("W", "WA", "WS"):
        weights, delays, theirs = of("public").answers(checkout, variant)
        ours = of(OWN).answers(weights, delays)
        distance = _distance(ours, theirs)
        assert distance < AGREE, f"Spike times of {variant} differ by {distance:.1e} tau_s."
        distances[variant] = distance
    found = ", ".join(f"{k} {v:.0e}" for k, v in distances.items())
    console.print(f"Label times differ from the public program's by at most {found} tau_s.")
    return distances


def _distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference of spike times; infinite where only one is silent."""
    silent = np.isinf(ours) & np.isinf(theirs)
    with np.errstate(invalid="ignore"):
        return float(np.max(np.where(silent, 0.0, np.abs(ours - theirs))))


def gradients(rival: Step) -> list[np.ndarray]:
    assert rival.gradients is not None
    return rival.gradients()


def check_gradients(rivals: list[Step]) -> None:
    """The exact rivals agree in both layers, the first one listed being the measure."""
    exact = [rival for rival in rivals if rival.gradients is not None]
    for other in exact[1:]:
        for ours, theirs in zip(gradients(exact[0]), gradients(other), strict=True):
            distance = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
            names = f"{exact[0].name} and {other.name}"
            assert distance < AGREE_GRADIENT, f"Gradients of {names} differ by {distance:.1e}."


def epochs(options, console: Console) -> dict:
    """The race over whole epochs."""
    rivals = made(trainers(options), options.only, console)
    result: dict = {"work": {"hidden": HIDDEN, "batch": BATCH, "samples": 5000, "steps": STEPS}}
    if {OWN, "fastAndDeep"} <= {rival.name.split()[0] for rival in rivals}:
        result["label_times_differ_by_at_most"] = check_times(options.public, console)
    second = {rival.name: started(rival.run) for rival in rivals}  # some compile once more
    times = race([Rival(r.name, r.run, 1) for r in rivals], options.rounds)
    own = [r.name for r in rivals if r.name.startswith(OWN)]
    rows = []
    for rival in rivals:
        row = {"rival": rival.name, "version": rival.version, **_seconds(times[rival.name])}
        row["first_epochs_s"] = [rival.first_s, second[rival.name]]
        row["compile_s"] = max(0.0, sum(row["first_epochs_s"]) - 2 * row["wall_median_s"])
        row["accuracy"], row["epochs"] = rival.accuracy(), options.rounds + 2
        row["over"] = {name: row["cpu_s"] / (times[name].cpu / 1e6) for name in own}
        row["over_by_wall"] = {name: row["wall_s"] / (times[name].wall / 1e6) for name in own}
        rows.append(row)
    console.print(epoch_table(rows, own))
    return result | {"rows": rows}


def _seconds(time: Time) -> dict[str, float]:
    return {f"{name}_s": value / 1e6 for name, value in time._asdict().items()}


def epoch_table(rows: list[dict], own: list[str]) -> Table:
    title = f"Yin-Yang, 4-{HIDDEN}-3, one epoch of 5000 points, batch {BATCH}, one core"
    made = Table(title=title)
    made.add_column("rival")
    heads = ["CPU [s]", "median", "wall [s]", "median", "compile [s]", "accuracy", "epochs"]
    for head in heads + [f"over {name.removeprefix(OWN)}" for name in own]:
        made.add_column(head, justify="right")
    for row in rows:
        cells = [f"{row[f'{k}_s']:.3f}" for k in ("cpu", "cpu_median", "wall", "wall_median")]
        cells += [f"{row['compile_s']:.1f}", f"{100 * row['accuracy']:.1f} %", f"{row['epochs']}"]
        made.add_row(row["rival"], *cells, *(f"{row['over'][name]:.2f}" for name in own))
    return made


def steps(options, inputs: int, neurons: int, console: Console) -> list[Step]:
    """Who takes part at one width."""
    work = wide(inputs, neurons)
    makers: dict[str, list[Callable]] = {}
    for group in (OWN, "spyx"):
        makers[group] = [lambda group=group: of(group).step(work)]
    makers["public"] = []
    for checkout in (options.public, options.public_v1):
        if checkout and not too_wide(work):
            makers["public"].append(lambda c=checkout: of("public").step(c, work))
    if options.public_v1:
        makers["public"].append(lambda: of("public").step(options.public_v1, work, euler=True))
    return made(makers, options.only, console)


def widths(options, console: Console) -> dict:
    """The race over training steps, width by width."""
    rows = []
    for inputs, neurons in WIDTHS:
        rivals = steps(options, inputs, neurons, console)
        check_gradients(rivals)
        for rival in rivals:
            rival.run()
        times = race([Rival(r.name, r.run, 1) for r in rivals], options.rounds)
        own = times.get(next((r.name for r in rivals if r.name.startswith(OWN)), ""))
        for rival in rivals:
            time = times[rival.name]
            row = {"inputs": inputs, "neurons": neurons, "rival": rival.name}
            row |= {"version": rival.version, **_seconds(time)}
            row |= {"compile_s": max(0.0, rival.first_s - time.wall / 1e6)}
            rows.append(row | {"over_lapicque": time.cpu / own.cpu if own else None})
    console.print(width_table(rows))
    return {"work": {"batch": WIDE_BATCH, "classes": 10, "steps": STEPS}, "rows": rows}


def width_table(rows: list[dict]) -> Table:
    made = Table(title=f"Forward and backward, batch {WIDE_BATCH}, least CPU time in ms, one core")
    made.add_column("rival")
    shapes = list(dict.fromkeys((row["inputs"], row["neurons"]) for row in rows))
    for inputs, neurons in shapes:
        made.add_column(f"{inputs}-{neurons}-10", justify="right")
    for name in dict.fromkeys(row["rival"] for row in rows):
        found = {(r["inputs"], r["neurons"]): r for r in rows if r["rival"] == name}
        cells = [f"{1e3 * found[s]['cpu_s']:.1f}" if s in found else "" for s in shapes]
        made.add_row(name, *cells)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="turns of every rival")
    parser.add_argument("--public", type=Path, help="checkout of the authors' program")
    parser.add_argument("--public-v1", type=Path, help="checkout of its release v1.0.0, for widths")
    parser.add_argument("--only", default=",".join(GROUPS), help="separated by commas")
    parser.add_argument("--tables", default=",".join(TABLES), help="epoch, width or both")
    parser.add_argument("--out", type=Path, default=RESULTS / "spiketime.json")
    options = parser.parse_args()
    console = Console(width=None if Console().is_terminal else 150)
    try:
        in_range("--rounds", options.rounds, 1)
    except InputError as error:
        parser.error(str(error))
    for name, known in (("only", GROUPS), ("tables", TABLES)):
        chosen = getattr(options, name).split(",")
        if wrong := set(chosen) - set(known):
            parser.error(f"--{name} knows {', '.join(known)}; not {', '.join(sorted(wrong))}.")
        setattr(options, name, chosen)
    if "public" in options.only and options.public is None:
        console.print("The public program is missing (no --public CHECKOUT); left out.")
    with contextlib.suppress(ImportError):  # those who need it are named below
        import_module("torch").set_num_threads(1)
    record = {"machine": machine(CORE, (*PACKAGES, "snntorch")), "rounds": options.rounds}
    for name, measure in (("epoch", epochs), ("width", widths)):
        if name in options.tables:
            record[name] = measure(options, console)
            keep(options.out, record)  # what there is so far
    console.print(f"Written to {options.out}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
