//! hotfoot-abi
