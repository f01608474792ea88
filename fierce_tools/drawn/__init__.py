"""What the command line and the dashboard draw alike: cells, matrices, pictures. No command and no widget here."""
