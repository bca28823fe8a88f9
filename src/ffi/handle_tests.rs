//! Tests of handles: stale and made-up ones, many threads, and reuse of slots.
