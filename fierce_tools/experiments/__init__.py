"""Where training and analysis meet: the one layer that sees both."""
