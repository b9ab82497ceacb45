"""The memory of a training: how much there is, and how its steps make do with it."""
