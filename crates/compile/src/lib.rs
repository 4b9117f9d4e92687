//! hotfoot-compile
