"""The contract of an experiment: a typed configuration, presets, claims, `run` and `figures`.

An experiment is a module `lapicque/experiments/<work>/<name>.py` that defines

    Config      a frozen dataclass, every field with a default, validated in `__post_init__`
    PRESETS     {"smoke": Config(...), "quick": Config(...), "paper": Config(...)}
    CLAIMS      a tuple of `Claim`
    CITES       a tuple of BibTeX keys of `lab/references.bib`
    run(config, seed, session) -> Outcome
    figures(outcome, config) -> {name: matplotlib Figure}

and whose docstring opens with a one-line title. Its name is `<work>/<name>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # claims are listed before NumPy would be loaded
    import numpy as np


class Certainty(StrEnum):
    """How sure the stated value of a claim is."""

    PUBLISHED = "published"
    RELEASED_DATA = "released data"
    AUTHORS_CODE = "authors' code"
    REFERENCE_RUN = "reference run"
    DERIVED = "derived"
    NOT_VERIFIED = "not verified"


@dataclass(frozen=True)
class Claim:
    """A statement about one metric, with the value it is compared with.

    Attributes:
        id: Short name, unique within its experiment.
        statement: What is claimed, one sentence.
        metric: The metric that decides.
        at_least: Lowest value for which the claim holds; `None` leaves this side open.
        at_most: Highest value for which the claim holds; `None` leaves this side open.
        published: The stated value, in the units of the metric; `None` where none is known.
        certainty: How sure `published` is (or, without one, the statement).
        source: Work and place, such as "Haider et al. (2021), figure 2a".
        presets: The presets on which the claim is judged.
    """

    id: str
    statement: str
    metric: str
    certainty: Certainty
    source: str
    at_least: float | None = None
    at_most: float | None = None
    published: float | None = None
    presets: tuple[str, ...] = ("quick", "paper")

    def holds(self, measured: float) -> bool:
        """Whether a measured value lies within the tolerance. A `nan` never does."""
        low = -inf if self.at_least is None else self.at_least
        high = inf if self.at_most is None else self.at_most
        return bool(low <= measured <= high)


@dataclass(frozen=True)
class Outcome:
    """What an experiment found.

    Attributes:
        metrics: Named numbers; claims are judged by them.
        recordings: Named arrays, all that the figures need.
        data: For each data set that was used, where it came from.
    """

    metrics: Mapping[str, float]
    recordings: Mapping[str, np.ndarray] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
