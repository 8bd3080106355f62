"""The command `lapicque`. Each command imports what it needs, so that the others answer at once."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from lapicque import __version__
from lapicque._checks import InputError, UserError

FAILED, MISUSED, REFUTED, INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    help="Learning and inference with physical neurons: run published experiments and judge "
    "their claims.",
    epilog="Exit status: 0 finished and all claims hold, 3 a claim does not hold, "
    "2 something you can mend, 1 failed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(
    help="Data sets: where they come from, licence, size, checksum.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(data_app, name="data")

Out = Annotated[Path, typer.Option(help="Folder of the runs.", show_default=True)]
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="<work>/<experiment>, or the path of your own .py file."),
]


def main() -> None:
    """Entry point of the command line."""
    app()


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose mendable errors are one message on standard error and exit status 2."""

    @functools.wraps(command)
    def guarded(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except UserError as error:
            typer.echo(f"lapicque: {error}", err=True)
            raise typer.Exit(MISUSED) from error
        except KeyboardInterrupt:
            typer.echo("\nInterrupted.", err=True)
            raise typer.Exit(INTERRUPTED) from None

    return guarded


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lapicque {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command("list")
@_guarded
def list_(
    work: Annotated[str | None, typer.Option(help="Only this work.")] = None,
    out: Out = Path("runs"),
) -> None:
    """Works and experiments, with the state of their claims."""
    from lapicque.lab import status
    from lapicque.lab.registry import entries

    table = _table("experiment", "what it shows", "claims")
    for entry in entries(work):
        table.add_row(entry.name, entry.title, status.sentence(status.newest(entry, out)))
    _print(table)


@app.command()
@_guarded
def show(name: Name) -> None:
    """What an experiment does, its parameters, presets, claims and sources."""
    from lapicque.lab.config import to_values
    from lapicque.lab.describe import meanings, text
    from lapicque.lab.registry import load
    from lapicque.lab.report import tolerance, value

    experiment = load(name)
    _print(f"{experiment.name}\n\n{experiment.doc.strip()}\n")
    columns = {preset: to_values(config) for preset, config in experiment.presets.items()}
    table = _table("field", *columns, "meaning")
    for field, meaning in meanings(experiment.Config).items():
        table.add_row(field, *(text(values[field]) for values in columns.values()), meaning)
    _print(table)
    if experiment.claims:
        table = _table("claim", "stated", "holds if", "judged on", "source")
        for claim in experiment.claims:
            table.add_row(
                f"{claim.statement} [{claim.metric}]",
                value(claim.published),
                tolerance((claim.at_least, claim.at_most)),
                ", ".join(claim.presets),
                f"{claim.source} ({claim.certainty})",
            )
        _print("", table)
    _print(f"\nCites {', '.join(experiment.cites) or 'nothing'}.")


@app.command()
@_guarded
def run(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="<work>/<experiment>, or the path of your own .py file."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="smoke, quick or paper.  [default: quick]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.  [default: 0]")] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="A:B", help="Run the seeds A to B - 1 in processes.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the preset."),
    ] = None,
    out: Out = Path("runs"),
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Go on with a run that was stopped.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes for --seeds.  [default: one per core]"),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, and nothing else.")
    ] = False,
) -> None:
    """Run an experiment and judge its claims."""
    from lapicque.lab import folders, results, storage

    if seed is not None and seeds is not None:
        raise InputError("`--seed` and `--seeds` exclude each other; give one of them.")
    if resume is not None:
        folder, plan = resume, folders.read(resume)
        _agree(plan, name, preset, seeds if seeds is not None else seed, set_)
    elif name is None:
        raise InputError("Which experiment? Give its name; `lapicque list` shows all of them.")
    else:
        wanted = seeds if seeds is not None else (seed or 0)
        plan = folders.plan(name, preset or "quick", set_, wanted)
        folder = folders.create(out, plan)
    with _reported(folder), _standard_output_to_error(json):
        result = _execute(folder, plan, workers)
    if json:
        typer.echo(storage.to_json(result))
    else:
        _summarise(result, folder)
    if not results.hold(result):
        raise typer.Exit(REFUTED)


@app.command()
@_guarded
def tour(out: Out = Path("runs")) -> None:
    """One quick experiment per family, and a gallery page: the main job."""
    from lapicque.lab import progress, results
    from lapicque.lab.tour import tour as walk

    begun: list[Path] = []
    try:
        with progress.watch() as watch:
            page, cards = walk(out, watch, begun=begun.append)
    except KeyboardInterrupt:
        _interrupted(begun[-1] if begun else None)
    for card in cards:
        if card["result"] is not None:
            _summarise(card["result"], card["folder"])
    _print(f"\nGallery: {page}")
    if any(card["error"] for card in cards):
        typer.echo("lapicque: an experiment did not finish; the gallery says which.", err=True)
        raise typer.Exit(FAILED)
    if not all(results.hold(card["result"]) for card in cards):
        raise typer.Exit(REFUTED)


@app.command()
@_guarded
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Finished runs.")],
) -> None:
    """Rebuild reports from stored recordings; several runs are also shown side by side."""
    from lapicque.lab.report import compare
    from lapicque.lab.run import rebuild

    for folder in runs:
        _print(f"Report: {rebuild(folder)}")
    if len(runs) > 1:
        parents = [str(folder.resolve().parent) for folder in runs]
        page = Path(os.path.relpath(os.path.commonpath(parents))) / "comparison.html"
        _print(f"Side by side: {compare(runs, page)}")


@app.command()
@_guarded
def cite(name: Name) -> None:
    """BibTeX of the work and what it builds on."""
    from lapicque.lab.references import bibtex
    from lapicque.lab.registry import load

    typer.echo(bibtex(load(name).cites))


@data_app.command("list")
@_guarded
def data_list() -> None:
    """All data sets, and whether they can be loaded here."""
    from lapicque import data

    table = _table("name", "what it is", "size", "licence", "here", "how to get it")
    for source in data.sources():
        size = f"{source.size / 1e6:.1f} MB" if source.size else "–"
        here = "yes" if source.available else "no"
        table.add_row(source.name, source.title, size, source.licence, here, source.obtained)
    _print(table)
    table = _table("file", "bytes", "checksum")
    for source in data.sources():
        for file in source.files:
            table.add_row(f"{source.name}/{file.name}", f"{file.size:,}", file.checksum)
    _print("", table)


@data_app.command("fetch")
@_guarded
def data_fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of data sets.")],
) -> None:
    """Download data sets and verify their checksums."""
    from lapicque import data

    for name in names:
        for path in data.fetch(name):
            _print(str(path))


def _execute(folder: Path, plan: Any, workers: int | None) -> dict[str, Any]:
    from lapicque.lab import progress
    from lapicque.lab.run import execute
    from lapicque.lab.seeds import execute_all

    with progress.watch() as watch:
        if plan.several:
            return execute_all(folder, plan, watch, workers)
        return execute(folder, plan, watch)


def _agree(
    plan: Any, name: str | None, preset: str | None, seed: str | int | None, settings: Any
) -> None:
    """Check that what is asked for beside `--resume` is what the run began with."""
    from lapicque.lab import folders
    from lapicque.lab.config import to_json

    asked = folders.plan(
        name or plan.experiment.entry.address,
        preset or plan.preset,
        settings,
        plan.seeds[0] if seed is None else seed,
    )
    pairs: list[tuple[str, Any, Any]] = [
        ("experiment", asked.experiment.name, plan.experiment.name),
        ("preset", asked.preset, plan.preset),
    ]
    if seed is not None:
        pairs.append(("seed", asked.seed, plan.seed))
    if settings:
        wanted, begun = to_json(asked.config), to_json(plan.config)
        pairs += [(f"value of `{field}`", wanted[field], begun[field]) for field in begun]
    for what, wanted, begun in pairs:
        if wanted != begun:
            raise InputError(
                f"The run to resume has the {what} {begun}, not {wanted}; leave it out, or start "
                "a new run without `--resume`."
            )


@contextlib.contextmanager
def _reported(folder: Path) -> Iterator[None]:
    """Tell how to go on when a run is interrupted or fails."""
    from lapicque.lab.run import Failed

    try:
        yield
    except KeyboardInterrupt:
        _interrupted(folder)
    except Failed as failure:
        typer.echo(
            f"{failure.trace}\nlapicque: the run failed; this traceback is in "
            f"{failure.folder / 'error.txt'}. Once mended, go on with: "
            f"lapicque run --resume {folder}",
            err=True,
        )
        raise typer.Exit(FAILED) from failure


def _interrupted(folder: Path | None) -> None:
    hint = f" Go on with: lapicque run --resume {folder}" if folder else ""
    typer.echo(f"\nInterrupted.{hint}", err=True)
    raise typer.Exit(INTERRUPTED) from None


@contextlib.contextmanager
def _standard_output_to_error(wanted: bool) -> Iterator[None]:
    """What an experiment prints must not mix with the result on standard output."""
    if not wanted:
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _summarise(result: dict[str, Any], folder: Path) -> None:
    from lapicque.lab.report import span, tolerance, value, with_spread

    metrics, seed = result["metrics"], result["seed"]
    seeds = f"seeds {seed[0]} to {seed[-1]}" if isinstance(seed, list) else f"seed {seed}"
    title = f"\n{result['experiment']}, {result['preset']}, {seeds}, {span(result['wall_s'])}"
    _print(title)
    if result["claims"]:
        table = _table("claim", "measured", "stated", "holds if", "verdict")
        for claim in result["claims"]:
            table.add_row(
                claim["statement"],
                value(claim["measured"]),
                value(claim["published"]),
                tolerance(claim["tolerance"]),
                "✓ holds" if claim["holds"] else "✗ does not hold",
                style=None if claim["holds"] else "bold red",
            )
        _print(table)
    table = _table("metric", "mean ± sd" if isinstance(seed, list) else "value")
    for name, number in metrics.items():
        if isinstance(seed, list):
            if f"{name}_sd" in metrics:
                table.add_row(name, with_spread(number, metrics[f"{name}_sd"]))
        else:
            table.add_row(name, value(number))
    _print(table, f"Report: {folder / 'report.html'}")


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for i, column in enumerate(columns):
        table.add_column(column, no_wrap=i == 0 and column in ("experiment", "field", "metric"))
    return table


def _print(*things: Any) -> None:
    from rich.console import Console

    # A pipe has no width of its own; 80 would cut what others want to read or grep.
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    for thing in things:
        console.print(thing)


if __name__ == "__main__":
    main()
