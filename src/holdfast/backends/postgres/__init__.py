"""The PostgreSQL backend: one schema of a database, any number of processes, a commit in one round trip."""

from holdfast.backends.postgres.kernel import PostgresKernel
from holdfast.backends.postgres.settings import OPTIONS, Settings, settings_of

__all__ = ["OPTIONS", "PostgresKernel", "Settings", "settings_of"]
