"""Expressions in the result files that the authors publish, with their fitness there.

Names are those of the tasks: R, E; v, u, p (for target, potential and response); w, E.
"""

from typing import NamedTuple

WORK = "Jordan, Schmidt et al. (2021)"
FILES = f"{WORK}, result files of the preprint"
CITES = ("jordan2021evolving", "miller2000cartesian")


class Rewarded(NamedTuple):
    """Rule, runs that ended with it (or how it was met), and cumulative reward of 500 trials."""

    rule: str
    found: str
    fitness: float


REWARDED = (
    Rewarded("E * (R - 1)", "runs 2, 3, 6", 210.2),
    Rewarded("E * (R - 1) / (R * R)", "run 5", 210.2),
    Rewarded("R * E + R - E", "on the way", 133.0),
    Rewarded("R - 1/2 + E / (2 * R)", "run 0", 88.6),
    Rewarded("-(R * E + (R - E)**2) / (R * (R - E))", "run 1", 84.0),
    Rewarded("R - 1 + E / R", "run 4", 78.8),
    Rewarded("R * (2 * E - R)", "run 7", 70.6),
    Rewarded("R * (E - R)", "on the way", 69.4),
    Rewarded("R * E", "generation 1", 43.4),
    Rewarded("2 * R * E", "generation 1", 27.2),
    Rewarded("R", "generation 1", -7.0),
)
VALIDATED_REWARD = 197.2  # of (R - 1) E in 10 new experiments, standard deviation 60.5


class Corrected(NamedTuple):
    """Rule, its run, fitness in evolution, in validation with standard deviation, and its slope."""

    rule: str
    run: int
    fitness: float
    validated: float
    spread: float
    slope: float  # f / ((v - u) p) at v = -59.5 mV, u = -60 mV, p = 0.01 mV/pA


CORRECTED = (
    Corrected("p * (v - u) * (2*u - 1) / v", 0, -13.410, -11.44, 3.02, 2.0336),
    Corrected("p * (v + u) * (v * (v - u) - p) / v**2", 2, -13.419, -11.48, 3.06, 2.0091),
    Corrected("2 * p * (v - u)", 4, -13.444, -11.46, 3.04, 2.0),
    Corrected(
        "v * p * (v - u) * (u - 1) / (v**2 - u * p * (u - 1))", 3, -14.246, -14.09, 3.71, 1.0359
    ),
    Corrected("p * (v - u)", 5, -14.735, -14.59, 3.77, 1.0),
    Corrected("u * (u - v) / (2 * (v * p + u**2))", 1, -26.224, -25.75, 5.68, 0.8335),
)


class Correlated(NamedTuple):
    """Rules of depression and facilitation, run, generations, and lowest of 8 ratios."""

    f_dep: str
    f_fac: str
    run: str
    generations: int
    fitness: float


CORRELATED = (
    Correlated("E / w - w", "(w * E)**w - 1", "18", 478, 20.88),
    Correlated("E - w", "w - (w / (w - E))**(w - E)", "4", 455, 20.03),
    Correlated("20 * E - 40 * w", "-w / (w - 1)", "7", 1024, 14.53),
    Correlated("1024 * E**10 - w", "(w*E - E**E)**(w*E - E**E)", "8", 885, 14.13),
    Correlated("0.1 - w", "E**2 - w", "3", 895, 13.88),
    Correlated("0.1 - w", "-w / (w**2 - w + 2*E)", "2", 814, 12.37),
    Correlated("w * E * (w + E)**(-w - E) - w - E", "E - w", "5", 1358, 11.60),
    Correlated("2 * E - w", "E**2 - w - 1", "0", 1357, 11.21),
    Correlated("w * E - w - E", "E - w", "9, 19", 490, 10.99),
)
VALIDATED_RATIO = {"18": (23.55, 12.17), "9, 19": (14.93, 7.05), "homeostatic": (18.36, 5.67)}
