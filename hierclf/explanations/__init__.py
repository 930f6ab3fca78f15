"""Why a model decided what it decided, as plain data."""
