//! hotfoot-testing
