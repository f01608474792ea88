"""CIFAR-100, through torchvision."""

from __future__ import annotations

from typing import Annotated

from fierce_tools.data._dataset import Dataset
from fierce_tools.data._torchvision import cifar_like

DEFAULT_MODEL = "cifar-student"
# In the order of the files' own coarse labels.
COARSE = {
    "superclasses": {
        "aquatic mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
        "fish": ("aquarium_fish", "flatfish", "ray", "shark", "trout"),
        "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
        "food containers": ("bottle", "bowl", "can", "cup", "plate"),
        "fruit and vegetables": ("apple", "mushroom", "orange", "pear", "sweet_pepper"),
        "household electrical devices": ("clock", "keyboard", "lamp", "telephone", "television"),
        "household furniture": ("bed", "chair", "couch", "table", "wardrobe"),
        "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
        "large carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
        "large man-made outdoor things": ("bridge", "castle", "house", "road", "skyscraper"),
        "large natural outdoor scenes": ("cloud", "forest", "mountain", "plain", "sea"),
        "large omnivores and herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
        "medium-sized mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
        "non-insect invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
        "people": ("baby", "boy", "girl", "man", "woman"),
        "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
        "small mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
        "trees": ("maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"),
        "vehicles 1": ("bicycle", "bus", "motorcycle", "pickup_truck", "train"),
        "vehicles 2": ("lawn_mower", "rocket", "streetcar", "tank", "tractor"),
    }
}
CLASSES = tuple(sorted(fine for several in COARSE["superclasses"].values() for fine in several))


def cifar100(
    *,
    data_root: Annotated[str | None, "folder that holds the dataset's files (else FIERCE_DATA, else ./data)"] = None,
    download: Annotated[bool, "fetch the files where they are missing"] = False,
) -> Dataset:
    """50,000 training and 10,000 test photographs, 32×32 colour, 100 classes in 20 superclasses.

    Labels are the fine ones; `--coarse superclasses` trains on the coarse ones. Raises DataError where a file is
    missing or is not the original. Source: Krizhevsky 2009, files as torchvision lays them out
    (ROOT/cifar-100-python).
    """
    return cifar_like("cifar100", "CIFAR100", CLASSES, data_root, download)
