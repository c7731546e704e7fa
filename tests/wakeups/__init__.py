"""Who is told to look, and who is left alone."""
