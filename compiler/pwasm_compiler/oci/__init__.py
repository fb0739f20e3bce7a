"""Images: build, push, pull, and inspect them as a mesh would."""
