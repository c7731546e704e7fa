"""Two sessions and one task: whatever meets, the end is one that the rules allow."""
