"""Analyses: one file each, pure functions of arrays, without torch. `from fierce_tools.analysis import entropy`."""

from fierce_tools.menu import offer

offer(__name__)
