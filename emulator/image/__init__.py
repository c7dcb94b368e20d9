"""Pictures: recipes, links, drawing, editing, altering, inspecting, and the store that keeps them. Imports core."""
