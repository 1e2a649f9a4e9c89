"""How well a method reads patients whose truth is known."""
