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
        **on_training(event),
        "val_loss": event.val_loss,
        **({} if event.val_target_loss is None else {"val_target_loss": event.val_target_loss}),
        **on_validation(event, setup),
        "learning_rate": event.learning_rate,
        "images_per_second": event.images_per_second,
        "seconds": event.seconds,
    }
    return row


def on_training(event: EpochDone) -> dict[str, Any]:
    """Where true labels are known: accuracy against the labels and against these, in eval mode, of at most 2,000 evenly
    spaced training examples. Labels that were learned by heart raise the first and not the second."""
    outputs = event.seen[0].train
    if outputs is None:
        return {}
    finite = np.isfinite(outputs.logits).all()
    return {
        "train_accuracy": accuracy(outputs.logits, outputs.get("labels")) if finite else None,
        "train_target_accuracy": target_accuracy(outputs) if finite else None,
    }


def target_accuracy(outputs: Outputs) -> float:
    """Accuracy, a fraction, against the targets: class numbers [N]."""
    return accuracy(outputs.logits, np.asarray(outputs.get("targets"), np.int64))


def target_nll(outputs: Outputs | None) -> float | None:
    """Mean NLL in nats against the targets, class numbers [N]; None without outputs."""
    if outputs is None:
        return None
    found = per_example(outputs.logits, np.asarray(outputs.get("targets"), np.int64), (1.0,))
    return float(found.loss[0].mean(dtype=np.float64))


def on_validation(event: EpochDone, setup: Setup) -> dict[str, Any]:
    """Accuracy, top-5 accuracy where C > 10, NLL, ECE, entropy at T 1 and 9, and feature entropy of validation.

    Accuracy against the true labels, too, where these are known.
    """
    names = ["accuracy", "nll", "ece", "entropy_t1", "entropy_t9", "feature_entropy"]
    names += ["target_accuracy"] if setup.val is not None and setup.val.host_true is not None else []
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
    if event.val.targets is not None:
        figures["target_accuracy"] = target_accuracy(event.val)
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
