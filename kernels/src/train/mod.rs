//! Training kernels.
