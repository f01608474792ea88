"""Datasets: one file each, arrays in memory. `from fierce_tools.data import digits`."""

from fierce_tools.menu import offer

offer(__name__)
