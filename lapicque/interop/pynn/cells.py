"""PyNN's cells as parts of the engine. Names and units of parameters are the same in both."""
# pyright: reportMissingImports=false

from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pyNN.errors import InvalidParameterValueError
from pyNN.standardmodels import build_translations, cells

from lapicque.spiking.neurons import (
    LIF,
    AdEx,
    ConductanceAlpha,
    ConductanceExp,
    CurrentAlpha,
    CurrentDelta,
    CurrentExp,
)
from lapicque.spiking.sources import Poisson, SpikeArray

Parameters = dict[str, NDArray[Any]]

CONDUCTANCES = {"gsyn_exc": "syn_E", "gsyn_inh": "syn_I"}
CURRENTS = {"isyn_exc": "syn_E", "isyn_inh": "syn_I"}


def same_names(model: type) -> dict:
    """The translation of a model whose parameters are called the same in the engine."""
    return build_translations(*((name, name) for name in model.default_parameters))  # pyright: ignore


class NeuronCell:
    """A cell made of a neuron and its receptors."""

    neuron: ClassVar[type]
    receptors: ClassVar[type]
    variables: ClassVar[dict[str, str]]  # recordable here -> in the engine

    @classmethod
    def parts(cls, parameters: Parameters, time: float) -> tuple[Any, Any]:
        """Neuron and receptors, for `Network.population`.

        Raises:
            InvalidParameterValueError: A value is out of range.
        """
        return tuple(
            _checked(part, {field.name: parameters[field.name] for field in fields(part)})
            for part in (cls.neuron, cls.receptors)
        )


class SourceCell:
    """A cell that fires on its own."""

    variables: ClassVar[dict[str, str]] = {}


def _checked(part: type, values: dict[str, Any]) -> Any:
    try:
        return part(**values)
    except ValueError as error:
        raise InvalidParameterValueError(str(error)) from error


class IF_curr_exp(NeuronCell, cells.IF_curr_exp):
    __doc__ = cells.IF_curr_exp.__doc__
    translations = same_names(cells.IF_curr_exp)
    neuron, receptors, variables = LIF, CurrentExp, {"v": "v", **CURRENTS}
    recordable: ClassVar = ["spikes", *variables]


class IF_curr_alpha(NeuronCell, cells.IF_curr_alpha):
    __doc__ = cells.IF_curr_alpha.__doc__
    translations = same_names(cells.IF_curr_alpha)
    neuron, receptors, variables = LIF, CurrentAlpha, {"v": "v", **CURRENTS}
    recordable: ClassVar = ["spikes", *variables]


class IF_curr_delta(NeuronCell, cells.IF_curr_delta):
    __doc__ = cells.IF_curr_delta.__doc__
    translations = same_names(cells.IF_curr_delta)
    neuron, receptors, variables = LIF, CurrentDelta, {"v": "v"}


class IF_cond_exp(NeuronCell, cells.IF_cond_exp):
    __doc__ = cells.IF_cond_exp.__doc__
    translations = same_names(cells.IF_cond_exp)
    neuron, receptors, variables = LIF, ConductanceExp, {"v": "v", **CONDUCTANCES}


class IF_cond_alpha(NeuronCell, cells.IF_cond_alpha):
    __doc__ = cells.IF_cond_alpha.__doc__
    translations = same_names(cells.IF_cond_alpha)
    neuron, receptors, variables = LIF, ConductanceAlpha, {"v": "v", **CONDUCTANCES}


class EIF_cond_exp_isfa_ista(NeuronCell, cells.EIF_cond_exp_isfa_ista):
    __doc__ = cells.EIF_cond_exp_isfa_ista.__doc__
    translations = same_names(cells.EIF_cond_exp_isfa_ista)
    neuron, receptors = AdEx, ConductanceExp
    variables: ClassVar = {"v": "v", "w": "w", **CONDUCTANCES}


class EIF_cond_alpha_isfa_ista(NeuronCell, cells.EIF_cond_alpha_isfa_ista):
    __doc__ = cells.EIF_cond_alpha_isfa_ista.__doc__
    translations = same_names(cells.EIF_cond_alpha_isfa_ista)
    neuron, receptors = AdEx, ConductanceAlpha
    variables: ClassVar = {"v": "v", "w": "w", **CONDUCTANCES}


class SpikeSourceArray(SourceCell, cells.SpikeSourceArray):
    __doc__ = cells.SpikeSourceArray.__doc__
    translations = same_names(cells.SpikeSourceArray)

    @classmethod
    def parts(cls, parameters: Parameters, time: float) -> tuple[SpikeArray, None]:
        """The spikes after `time` [ms].

        Raises:
            InvalidParameterValueError: Times are not above 0, not finite, or fall.
        """
        trains = [np.asarray(train.value, float) for train in parameters["spike_times"]]
        for train in trains:
            if (np.diff(train) < 0).any():
                raise InvalidParameterValueError("`spike_times` must rise from spike to spike.")
        _checked(SpikeArray, {"times": trains})
        return SpikeArray([train[train > time] for train in trains]), None


class SpikeSourcePoisson(SourceCell, cells.SpikeSourcePoisson):
    __doc__ = cells.SpikeSourcePoisson.__doc__
    translations = same_names(cells.SpikeSourcePoisson)

    @classmethod
    def parts(cls, parameters: Parameters, time: float) -> tuple[Poisson, None]:
        """Sources that start and stop by themselves if all do so at once, see `rate_at` otherwise.

        Raises:
            InvalidParameterValueError: A rate or a time is negative.
        """
        rate, start, duration = (parameters[name] for name in ("rate", "start", "duration"))
        if not (duration >= 0).all():
            raise InvalidParameterValueError("`duration` must be at least 0 ms.")
        _checked(Poisson, {"rate": rate, "start": start.min()})
        if cls.together(parameters):
            return Poisson(rate, float(start[0]), float(duration[0])), None
        return Poisson(cls.rate_at(parameters, time)), None

    @staticmethod
    def together(parameters: Parameters) -> bool:
        """Whether all sources start and stop at the same times."""
        return all((parameters[n] == parameters[n][0]).all() for n in ("start", "duration"))

    @classmethod
    def rate_at(cls, parameters: Parameters, time: float) -> NDArray[np.float64]:
        """Rates [Hz] from `time` [ms] until the next of `changes`."""
        start, stop = cls.changes(parameters)
        return np.where((start <= time) & (time < stop), parameters["rate"], 0.0)

    @staticmethod
    def changes(parameters: Parameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """When sources start and stop [ms]."""
        return parameters["start"], parameters["start"] + parameters["duration"]
