"""`python -m fierce_tools`."""

from fierce_tools.cli import main

main()
