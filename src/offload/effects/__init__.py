"""What a call does besides computing: files, connections and processes that it did not declare."""
