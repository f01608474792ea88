"""Colours that are told apart with any colour vision, on dark and on light, and the two themes."""

from __future__ import annotations

from textual.theme import Theme

# Okabe and Ito 2008, brightened for a dark ground; Tol's "bright" and "vibrant" for a light one.
DARK = ("#56b4e9", "#e69f00", "#2bc49a", "#cc79a7", "#f0e442", "#e8743b", "#8f9bff", "#b8b8b8")
LIGHT = ("#0072b2", "#c25e00", "#00795a", "#aa3377", "#8a7400", "#cc3311", "#4b3fbf", "#5f5f5f")
SIGNS = "abcdefghijklmnopqrstuvwxyz"

THEMES = (
    Theme(
        name="fierce-dark",
        primary="#7aa2f7",
        secondary="#8a93a8",
        accent="#e0af68",
        foreground="#d5d8e0",
        background="#14161b",
        surface="#1b1e25",
        panel="#262a34",
        success="#7fc98f",
        warning="#e0af68",
        error="#f0717d",
        dark=True,
        variables={"boost-row": "#2a3350"},
    ),
    Theme(
        name="fierce-light",
        primary="#2f5fb3",
        secondary="#636a78",
        accent="#9a5b00",
        foreground="#22252b",
        background="#fbfaf7",
        surface="#f1efe9",
        panel="#e2dfd6",
        success="#2a7a3f",
        warning="#9a5b00",
        error="#b3261e",
        dark=False,
        variables={"boost-row": "#d6dff0"},
    ),
)


def colour(index: int, dark: bool) -> str:
    """The colour of the index-th marked run (#rrggbb)."""
    hues = DARK if dark else LIGHT
    return hues[index % len(hues)]


def sign(index: int) -> str:
    """The letter of the index-th marked run, for where colours are not enough."""
    return SIGNS[index % len(SIGNS)]
