"""What the SDK knows of contexts and of the running callback, and what it refuses because of it."""
