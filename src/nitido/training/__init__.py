"""Training: hyperparameters, losses, the training loop, checkpoints. Networks do not depend on this package."""
