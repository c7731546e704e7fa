"""The parts of the Python package that need no database to be judged."""
