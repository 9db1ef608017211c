//! Text kernels: measures, normal form, language, personal data.
