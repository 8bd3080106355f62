"""Virtual neuromorphic chips: specification, instance, calibration, and networks on them."""

from lapicque.substrate.calibration import Calibration as Calibration, calibrate as calibrate
from lapicque.substrate.chip import Chip as Chip, Distortions as Distortions
from lapicque.substrate.emulation import (
    Emulation as Emulation,
    Mapped as Mapped,
    map_network as map_network,
)
from lapicque.substrate.first_spike import FirstSpikeChip as FirstSpikeChip
from lapicque.substrate.in_the_loop import (
    LoopTrainer as LoopTrainer,
    measured_forward as measured_forward,
)
from lapicque.substrate.multiply import MatrixMode as MatrixMode
from lapicque.substrate.plasticity import (
    CorrelationSensors as CorrelationSensors,
    Processor as Processor,
    Task as Task,
)
from lapicque.substrate.presets import (
    brainscales1 as brainscales1,
    brainscales2 as brainscales2,
    spikey as spikey,
)
from lapicque.substrate.rate_coded import (
    RateChip as RateChip,
    SpikingRateChip as SpikingRateChip,
)
from lapicque.substrate.spec import (
    ChipSpec as ChipSpec,
    DelayElement as DelayElement,
    Quantity as Quantity,
)
