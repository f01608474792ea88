"""Classifiers: one family a file. A classifier is features(x) [N, D], a linear head, and logits [N, C]."""

from fierce_tools.menu import offer

offer(__name__)
