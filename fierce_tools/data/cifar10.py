"""CIFAR-10, through torchvision."""

from __future__ import annotations

from typing import Annotated

from fierce_tools.data._dataset import Dataset
from fierce_tools.data._torchvision import cifar_like

DEFAULT_MODEL = "cifar-student"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COARSE = {
    "animal-vehicle": {
        "animal": ("bird", "cat", "deer", "dog", "frog", "horse"),
        "vehicle": ("airplane", "automobile", "ship", "truck"),
    }
}


def cifar10(
    *,
    data_root: Annotated[str | None, "folder that holds the dataset's files (else FIERCE_DATA, else ./data)"] = None,
    download: Annotated[bool, "fetch the files where they are missing"] = False,
) -> Dataset:
    """50,000 training and 10,000 test photographs, 32×32 colour, 10 classes.

    Raises DataError where a file is missing or is not the original. Source: Krizhevsky 2009, files as torchvision lays
    them out (ROOT/cifar-10-batches-py).
    """
    return cifar_like("cifar10", "CIFAR10", CLASSES, data_root, download)
