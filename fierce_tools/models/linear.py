"""The smallest classifier there is: one dense layer on the pixels."""

from __future__ import annotations

import math

from torch import nn

from fierce_tools.models._classifier import Classifier


def linear(shape: tuple[int, ...], classes: int) -> Classifier:
    """Flatten, then one dense layer; its features are the inputs. 7,850 parameters on MNIST.

    Source: Vats 2021, the baseline student.
    """
    return Classifier(nn.Flatten(), math.prod(shape), classes)
