"""Resources of the REST API: one module with one router each."""
