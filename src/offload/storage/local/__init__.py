"""Store and database in files of this machine."""
