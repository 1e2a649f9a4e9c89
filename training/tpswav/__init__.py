"""TP-SwAV: texture-preserving self-supervision, a mixture of device experts and three tasks, for every vertebra in CT."""
