"""Store and database over HTTP: the server. docs/service.md says what it speaks; `storage.remote` is the client."""
