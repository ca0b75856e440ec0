"""Store and database behind the storage service: the client, light enough for the way that recalls a command."""
