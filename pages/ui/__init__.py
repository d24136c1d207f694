"""What pages share: the table of pages, the routes between them, words, messages, filters, tables, waiting, and the
registry handle; and the parts of single pages: `entries` of the audit log, `syncing` and `adopting` of the proxy."""
