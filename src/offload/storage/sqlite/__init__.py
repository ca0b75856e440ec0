"""SQLite files: connections, transactions, schema, errors."""
