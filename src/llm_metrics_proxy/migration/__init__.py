"""The engine that recomputes stored records while the proxy serves; ``safe_migrations`` says what it computes."""
