//! hotfoot
