"""Losses: one file each, pure functions of tensors. `from fierce_tools.losses import fierce`."""

from fierce_tools.menu import offer

offer(__name__)
