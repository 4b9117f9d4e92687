//! hotfoot-artifact
