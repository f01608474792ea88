"""MNIST handwritten digits, through torchvision."""

from __future__ import annotations

from typing import Annotated

from fierce_tools.data._dataset import Dataset
from fierce_tools.data._torchvision import mnist_like

DEFAULT_MODEL = "mnist-student"


def mnist(
    *,
    data_root: Annotated[str | None, "folder that holds the dataset's files (else FIERCE_DATA, else ./data)"] = None,
    download: Annotated[bool, "fetch the files where they are missing"] = False,
) -> Dataset:
    """60,000 training and 10,000 test images of handwritten digits, 28×28 grey, 10 classes.

    Raises DataError where the files are missing or damaged. Source: LeCun et al. 1998, files as torchvision lays
    them out (ROOT/MNIST/raw).
    """
    return mnist_like("mnist", "MNIST", tuple(str(c) for c in range(10)), data_root, download)
