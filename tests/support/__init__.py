"""What the tests speak with: servers, databases, sessions, workflows from edge strings, races."""
