"""The Python side: a server in this process, a session on a server elsewhere, and what they hand out."""
