"""How results go out: one row per object and destination, retries, one association for many objects."""

from node.outbox.outbox import Outbox

__all__ = ["Outbox"]
