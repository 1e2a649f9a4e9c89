"""The node: receive, route, work, write, deliver."""
