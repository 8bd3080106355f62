"""Data sets and encoders. Loaders never download; `fetch` does, and says so."""

from lapicque.data._fetch import fetch as fetch
from lapicque.data._registry import source as source, sources as sources
from lapicque.data._samples import DataSet as DataSet, Samples as Samples
from lapicque.data._sources import File as File, Source as Source
from lapicque.data.bars import bars as bars
from lapicque.data.batches import epoch_batches as epoch_batches, epoch_order as epoch_order
from lapicque.data.cifar10 import cifar10 as cifar10
from lapicque.data.digits import digits as digits
from lapicque.data.idx import read_idx as read_idx
from lapicque.data.iris import iris as iris
from lapicque.data.latency import spike_times as spike_times
from lapicque.data.mackey_glass import Series as Series, mackey_glass as mackey_glass
from lapicque.data.mnist import fashion_mnist as fashion_mnist, mnist as mnist
from lapicque.data.mnist1d import MNIST1DOptions as MNIST1DOptions, mnist1d as mnist1d
from lapicque.data.mnist_5k import mnist_5k as mnist_5k
from lapicque.data.pixels import scaled as scaled
from lapicque.data.speech_commands import (
    SpeechCommands as SpeechCommands,
    augmented as augmented,
    balanced_order as balanced_order,
    mel_features as mel_features,
    speech_commands as speech_commands,
)
from lapicque.data.synthetic import synthetic_images as synthetic_images
from lapicque.data.yin_yang import (
    yin_yang as yin_yang,
    yin_yang_class as yin_yang_class,
    yin_yang_samples as yin_yang_samples,
)
