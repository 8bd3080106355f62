"""What all experiments of the suite run on: specimens of one kind of chip."""

from lapicque.substrate import Chip, brainscales2

WORK = "Billaudelle et al. (2020)"
CITES = ("billaudelle2020versatile",)


def specimen(seed: int, number: int) -> Chip:
    """A BrainScaleS-2, the same one in every experiment of the suite; every seed gets others."""
    return Chip(brainscales2(), 1000 * seed + number)
