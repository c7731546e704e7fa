"""What the two clients are made of: whose connection is used, and how they wait."""
