"""Buffers and results: the store, the database, the file-checksum cache, the home directory."""
