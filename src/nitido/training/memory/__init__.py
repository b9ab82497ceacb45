"""Memory of a training: how much is available, and how steps are adapted to it."""
