"""What drives each engine, as a script in the environment of that engine."""
