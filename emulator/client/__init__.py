"""The Python API: a server in this process, a session on any server, and the objects that they return."""
