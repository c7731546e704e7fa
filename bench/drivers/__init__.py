"""What drives an install while it is measured: clients, runners, pgbench."""
