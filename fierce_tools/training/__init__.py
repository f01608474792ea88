"""Training: one loop that yields events. Shows nothing, judges nothing."""
