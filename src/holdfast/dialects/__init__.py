"""Syntaxes of text templates: pure functions of a template's text and the values that it is given."""
