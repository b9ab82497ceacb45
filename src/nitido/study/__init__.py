"""Studies: architectures × variants × learning rates × seeds, run, ranked and shown."""
