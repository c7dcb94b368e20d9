"""What every other package uses: time, chance, files, strict JSON, names. Imports nothing of ours."""
