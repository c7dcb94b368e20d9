"""What every other package uses: time, chance, files, strict JSON, JSON Schema, phrases. Imports no other package."""
