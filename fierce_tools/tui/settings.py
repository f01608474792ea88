"""Settings of the dashboard, from the user's configuration."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Settings:
    """What a person may set; `keys` gives other keys to commands by their id."""

    theme: str = "dark"
    poll_seconds: float = 1.0
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
