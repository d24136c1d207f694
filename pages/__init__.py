"""The pages of the dashboard, one file each. `main` is the entry script, which runs first on every rerun."""
