"""How instances come in. Nothing here imports torch, SimpleITK or highdicom."""
