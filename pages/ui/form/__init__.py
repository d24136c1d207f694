"""The form to add or edit a model: its values, its fields and sections, and its connection test."""
