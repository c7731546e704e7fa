"""Rules of the house, asked of the catalog, the parse tree and the files."""
