"""Other engines, measured beside this one in the same run."""
