//! The public interface as a hostile reviewer would try it: one file for each noun, each question under every kind of
//! engine where the kind could matter.

mod api;
