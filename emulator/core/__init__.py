"""What every other package uses: time, chance, files, strict JSON, names, messages. It imports no other package."""
