"""The form to add or edit a model: what is typed, the fields and sections that it is typed into, and its test."""
