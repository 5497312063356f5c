"""Holdfast under other frameworks: a folder for each, built on the public surface, imported only when it is used."""
