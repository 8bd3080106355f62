"""One folder per published work, one module per experiment."""
