"""Fashion-MNIST, through torchvision."""

from __future__ import annotations

from typing import Annotated

from fierce_tools.data._dataset import Dataset
from fierce_tools.data._torchvision import mnist_like

DEFAULT_MODEL = "fmnist-student"
CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def fashion_mnist(
    *,
    data_root: Annotated[str | None, "folder that holds the dataset's files (else FIERCE_DATA, else ./data)"] = None,
    download: Annotated[bool, "fetch the files where they are missing"] = False,
) -> Dataset:
    """60,000 training and 10,000 test images of clothes, 28×28 grey, 10 classes.

    Raises DataError where the files are missing or damaged. Source: Xiao et al. 2017, files as torchvision lays them
    out (ROOT/FashionMNIST/raw).
    """
    return mnist_like("fashion-mnist", "FashionMNIST", CLASSES, data_root, download)
