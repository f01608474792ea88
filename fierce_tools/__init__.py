"""What does an image classifier know? Train, distil and ask checkpoints.

>>> from fierce_tools.losses import fierce
>>> from fierce_tools.analysis import entropy
"""

__version__ = "0.1.0"
