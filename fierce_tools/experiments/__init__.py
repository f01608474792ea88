"""Experiments train many students and ask them; `from fierce_tools.experiments import missing_class`."""

from fierce_tools.menu import offer

offer(__name__)
