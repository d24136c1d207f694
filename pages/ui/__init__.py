"""What pages share: the table of pages, the routes between them, words, filters, tables, and the registry handle."""
