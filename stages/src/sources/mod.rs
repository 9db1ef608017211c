//! Sources: one reader per platform.
