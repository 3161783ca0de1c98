"""Kinds of goldens: one file each, behind one Protocol (`base`), found through one table (`registry`)."""
