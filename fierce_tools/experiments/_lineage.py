"""Whether a run's teachers and data are still what they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fierce_tools.data._dataset import Dataset
from fierce_tools.data._known import as_trained
from fierce_tools.errors import DataError
from fierce_tools.runs import Run


def check_teachers(run: Run, facts: Mapping[str, Any]) -> None:
    """Raises DataError where a run has been taught by other teachers, or on other examples, than `facts` say."""
    before = run.info()
    for kind in ("teachers", "transfer_set"):
        was, now = _listed(before.get(kind)), _listed(facts.get(kind))
        if [t.get("sha256") for t in was] == [t.get("sha256") for t in now]:
            continue
        known = {t.get("sha256") for t in was}
        other = next((t for t in now if t["sha256"] not in known), None)
        expected = ", ".join(str(t.get("sha256"))[:12] + "…" for t in was) or "none"
        what = f"{other['path']} (sha256 {other['sha256'][:12]}…)" if other else f"{kind.replace('_', ' ')} here"
        raise DataError(
            f"{what} is not what {run.name} has been distilled with so far: expected {expected}",
            "bring that file back, or start a new run",
        )


def check_data(run: Run, data: Dataset) -> None:
    """Raises DataError where a run was trained on other data than these, as far as it says."""
    before = run.info().get("dataset_sha256")
    if before is not None and as_trained(data, before).fingerprint() != before:
        raise DataError(
            f"{data.name} as found here is not what {run.name} was trained on (fingerprint {data.fingerprint()[:12]}…, "
            f"expected {str(before)[:12]}…)",
            "bring the data back, or give the student another --name",
        )


def _listed(found: Any) -> list[dict[str, Any]]:
    values = found if isinstance(found, list) else [found]
    return [v for v in values if isinstance(v, dict)]
