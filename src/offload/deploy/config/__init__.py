"""What a deployment is to be: options, tables of files, defaults."""
