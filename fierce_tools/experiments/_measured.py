"""The figures of an epoch, as metrics.jsonl has them, and of any model's outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from fierce_tools.analysis._metrics import accuracy, ece, finite_mean, infinite, per_example
from fierce_tools.analysis.feature_entropy import feature_entropy
from fierce_tools.outputs import Outputs
from fierce_tools.training.loop import EpochDone
from fierce_tools.training.train import Setup


def measure(event: EpochDone, setup: Setup) -> dict[str, Any]:
    """The row of metrics.jsonl for an epoch: entropies in nats, the feature entropy in bits, the rest plain."""
    row: dict[str, Any] = {
        "epoch": event.epoch,
        "step": event.epoch * event.steps,
        **{f"train_{name}": value for name, value in event.train.items()},
        "val_loss": event.val_loss,
        **on_validation(event, setup),
        "learning_rate": event.learning_rate,
        "images_per_second": event.images_per_second,
        "seconds": event.seconds,
    }
    return row


def on_validation(event: EpochDone, setup: Setup) -> dict[str, Any]:
    """Accuracy, top-5 accuracy where C > 10, NLL, ECE, entropy at T 1 and 9, and feature entropy of validation."""
    names = ("accuracy", "nll", "ece", "entropy_t1", "entropy_t9", "feature_entropy")
    if event.val is None or event.val_features is None:
        return {f"val_{name}": None for name in names}
    logits, labels = event.val.logits, event.val.labels
    assert labels is not None
    if not np.isfinite(logits).all():
        return {f"val_{name}": None for name in names}
    figures = figures_of(event.val)
    anchors = None if setup.anchors is None else setup.anchors.cpu().numpy()
    spread = feature_entropy(event.val_features, event.train_features, anchors)
    own = {} if spread.own_anchor_bits is None else {"val_anchor_entropy": spread.own_anchor_bits}
    return {f"val_{k}": v for k, v in figures.items()} | {"val_feature_entropy": spread.bits} | own


def figures_of(outputs: Outputs) -> dict[str, float]:
    """Accuracy (top-5 too where C > 10), NLL and mean soft-label entropies in nats, ECE as a fraction.

    `nll_infinite` counts the examples whose label has a probability of 0, where there are any; the NLL is the others'.
    """
    logits, labels = outputs.logits, outputs.get("labels")
    found = per_example(logits, labels, (1.0, 9.0))
    soft = found.entropy.mean(axis=1, dtype=np.float64)
    gone = infinite(found.loss[0])
    top5 = {"top5": accuracy(logits, labels, top=5)} if logits.shape[1] > 10 else {}
    return {
        "accuracy": float(found.correct.mean()), **top5, "nll": finite_mean(found.loss[0]),
        "ece": ece(found.confidence[0], found.correct), "entropy_t1": float(soft[0]), "entropy_t9": float(soft[1]),
        **({"nll_infinite": gone} if gone else {}),
    }  # fmt: skip
