"""Pictures: recipes, drawing, captions, editing, altering, inspecting, and the store that keeps the last ones."""
