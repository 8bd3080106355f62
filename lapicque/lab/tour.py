"""One quick experiment per family and a gallery of what they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lapicque._checks import UserError
from lapicque.lab import report, storage
from lapicque.lab.folders import create, plan
from lapicque.lab.progress import Watch
from lapicque.lab.run import Failed, execute

STOPS = (
    "latent_equilibrium/digits",
    "latent_equilibrium/bars_microcircuit",
    "generalized_latent_equilibrium/lagline",
    "delgrad/yin_yang",
    "spiking/vogels_abbott",
    "lif_sampling/random_boltzmann",
    "comprehensive_workflow/three_backends",
    "evolve/symbolic_regression",
)


def tour(
    out: Path, watch: Watch, stops: Sequence[str] = STOPS, begun: Callable[[Path], None] = print
) -> tuple[Path, list[dict[str, Any]]]:
    """Run the quick preset of each experiment and write `out/tour/index.html`.

    An experiment that fails does not stop the others. `begun` hears of each run directory.

    Returns:
        The page, and for each experiment its name, title, folder, result and error.

    Raises:
        StorageError: The page cannot be written.
    """
    where = storage.make_folder(out / "tour")
    cards = []
    for name in stops:
        card: dict[str, Any] = dict.fromkeys(("folder", "result", "error"))
        card |= {"name": name, "title": name}
        try:
            chosen = plan(name)
            card |= {"name": chosen.experiment.name, "title": chosen.experiment.title}
            card["folder"] = create(out, chosen)
            begun(card["folder"])
            card["result"] = execute(card["folder"], chosen, watch, who=name)
        except Failed as failure:
            card["error"] = failure.trace
        except UserError as error:
            card["error"] = str(error)
        if card["error"]:
            watch.log(name, card["error"])
        cards.append(card)
    return report.gallery(cards, where / "index.html"), cards
