"""Doors to other people's tools. Each is an optional extra, imported only when asked for."""
