"""The list of models: the table, the bar above it, and the actions on its rows."""
