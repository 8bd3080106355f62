"""Networks and recordings in the format NIR, the neuromorphic intermediate representation.

`read` and `write` are for files, `flat` checks a graph, `simulate` runs one as a reference.
`export_spiking`, `import_spiking`, `export_spike_times` and `import_spike_times` translate networks
of `lapicque.spiking` and `lapicque.spiketime`. NIR knows no units: `time_unit`, `dt` and
`generator` stand in the metadata of what is written, and must be given for what does not say them.
What NIR cannot say at all stands in the metadata, with a warning.

The package `nir` is needed to read and write: `pip install 'lapicque[nir]'`.
"""

from lapicque.interop.nir.data import (
    events as events,
    first_spikes as first_spikes,
    from_first_spikes as from_first_spikes,
    from_recording as from_recording,
    from_traces as from_traces,
    trains as trains,
)
from lapicque.interop.nir.files import (
    read as read,
    read_data as read_data,
    write as write,
    write_data as write_data,
)
from lapicque.interop.nir.graphs import (
    Flat as Flat,
    NIRWarning as NIRWarning,
    Timing as Timing,
    flat as flat,
    timing as timing,
)
from lapicque.interop.nir.simulate import (
    Traces as Traces,
    simulate as simulate,
    spike_signals as spike_signals,
)
from lapicque.interop.nir.spiketime import (
    export_spike_times as export_spike_times,
    import_spike_times as import_spike_times,
    input_signals as input_signals,
)
from lapicque.interop.nir.spiking import (
    Imported as Imported,
    export_spiking as export_spiking,
    import_spiking as import_spiking,
)
