"""The one of PyNN's connectors that is not taken as it is; they draw synapses by themselves."""
# pyright: reportMissingImports=false

import numpy as np
from pyNN import connectors
from pyNN.parameters import LazyArray


class OneToOneConnector(connectors.OneToOneConnector):
    __doc__ = connectors.OneToOneConnector.__doc__

    def connect(self, projection) -> None:
        if projection.pre.size > 1:
            super().connect(projection)
        else:  # where PyNN 0.13 stumbles with NumPy 2.1 or newer
            self._connect_with_map(projection, LazyArray(np.eye(*projection.shape, dtype=bool)))
