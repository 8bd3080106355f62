"""All data sets, by name."""

from lapicque._checks import one_of
from lapicque.data._sources import Source
from lapicque.data.bars import SOURCE as BARS
from lapicque.data.cifar10 import SOURCE as CIFAR10
from lapicque.data.digits import SOURCE as DIGITS
from lapicque.data.iris import SOURCE as IRIS
from lapicque.data.mackey_glass import SOURCE as MACKEY_GLASS
from lapicque.data.mnist import FASHION_MNIST, MNIST
from lapicque.data.mnist1d import SOURCE as MNIST1D
from lapicque.data.mnist_5k import SOURCE as MNIST_5K
from lapicque.data.speech_commands import SOURCE as SPEECH_COMMANDS
from lapicque.data.synthetic import SOURCE as SYNTHETIC_IMAGES
from lapicque.data.yin_yang import SOURCE as YIN_YANG

_ALL = (
    YIN_YANG,
    BARS,
    IRIS,
    DIGITS,
    MNIST,
    MNIST_5K,
    MNIST1D,
    FASHION_MNIST,
    CIFAR10,
    SPEECH_COMMANDS,
    MACKEY_GLASS,
    SYNTHETIC_IMAGES,
)


def sources() -> tuple[Source, ...]:
    """All data sets with their licence, size, checksums, and whether they are here."""
    return _ALL


def source(name: str) -> Source:
    """What is known about one data set.

    Raises:
        InputError: There is none of that name; the message lists all.
    """
    one_of("name", name, [entry.name for entry in _ALL])
    return next(entry for entry in _ALL if entry.name == name)
