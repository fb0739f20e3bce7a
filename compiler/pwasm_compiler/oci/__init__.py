"""Images: made, pushed, pulled, and looked at as a mesh would."""
