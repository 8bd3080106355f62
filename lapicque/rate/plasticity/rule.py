"""The contract of a plasticity rule."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Float


class PlasticityRule(NamedTuple):
    """A pair of pure functions; what the synapse remembers goes in and comes out.

        state = rule.init(weights)
        change, state = rule.update(error, trace, state, dt)

    `weights` and `change` are (post, pre), `error` is the post-synaptic error (*batch, post) and
    `trace` the pre-synaptic trace (*batch, pre). The change is that of one step dt [ms] at a
    learning rate of 1/ms, averaged over the batch; the caller scales, clips and adds it.
    """

    init: Callable[[Float[Array, "post pre"]], Any]
    update: Callable[[Array, Array, Any, float], tuple[Float[Array, "post pre"], Any]]
