"""Train the models, and simulate patients to train and test them on. Knows nothing of the node."""
