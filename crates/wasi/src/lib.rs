//! hotfoot-wasi
