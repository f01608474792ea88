"""From a model and a split to Outputs, in float32 and eval mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from fierce_tools.data._splits import Split
from fierce_tools.models._classifier import Classifier
from fierce_tools.outputs import Outputs
from fierce_tools.training.batches import Examples, Normalization

BATCH = 512


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """While inside, float32 is float32: no autocast, no TF32 in convolutions."""
    cudnn = torch.backends.cudnn
    # What is not said here, cudnn.flags switches off.
    kept = {"enabled": cudnn.enabled, "benchmark": cudnn.benchmark, "deterministic": cudnn.deterministic}
    with cudnn.flags(**kept, allow_tf32=False), torch.autocast(device.type, enabled=False):
        yield


@torch.no_grad()
def infer(
    model: Classifier,
    split: Split,
    normalization: Normalization,
    class_names: tuple[str, ...],
    *,
    anchors: np.ndarray | None = None,
    features: bool = False,
    batch_size: int = BATCH,
) -> Outputs:
    """What the model makes of a split, in its order: logits, labels, index, head, and its features where asked for.

    Always float32 (TF32 off), whatever the training steps used; the model's mode is put back.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    examples = Examples(split, normalization, device)
    logits, hiddens = [], []
    with exact(device):
        for batch in examples.in_order(batch_size):
            hidden = model.features(batch.inputs)
            logits.append(model.head(hidden).cpu())
            if features:
                hiddens.append(hidden.cpu())
    model.train(training)
    return Outputs(
        logits=torch.cat(logits).numpy(),
        labels=split.labels.astype(np.int64),
        index=split.index,
        features=torch.cat(hiddens).numpy() if features else None,
        head_weight=model.head.weight.detach().cpu().numpy(),
        head_bias=model.head.bias.detach().cpu().numpy(),
        targets=split.targets,
        anchors=anchors,
        class_names=class_names,
    )
