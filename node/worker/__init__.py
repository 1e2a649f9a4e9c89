"""The worker: a process of its own that measures studies, and its supervisor in the node's process."""

from node.worker.supervisor import Supervisor

__all__ = ["Supervisor"]
