//! How an exception gets from where it is thrown to its handler.
//!
//! Entering and leaving a `try_table` costs nothing: a handler is found from the return address of the call that did not
//! return, in a table of the artifact. Each entry of that table names what it catches with a [`Catch`], and where the
//! frame keeps its function's VM context, because a tag's index means something in an instance only.
//!
//! At a handler, the stack and frame pointers are those of the function during the call, and two registers (those of
//! the exception payload in Cranelift's `tail` convention) hold:
//!
//! ```text
//!  first    the `exnref`, if the handler asks for one; otherwise undefined
//!  second   address of the payload, one slot a value; it stays valid until the next exception is thrown
//! ```
//!
//! All other registers are undefined.

/// What a handler catches. Encoded as `tag << 1 | reference`, with [`Catch::ANY`] in place of a tag that does not matter.
///
/// ```
/// use hotfoot_abi::exception::Catch;
/// let catch = Catch { tag: Some(3), reference: true };
/// assert_eq!(Catch::decode(catch.encode()), catch);
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Catch {
    /// Index of the tag in the module, imports first; `None` catches every exception.
    pub tag: Option<u32>,
    /// Whether the handler takes a reference to the exception.
    pub reference: bool,
}

impl Catch {
    /// Stands for every tag; larger than the number of tags that a module can have.
    const ANY: u32 = 0x7fff_fffe;

    /// As a number.
    pub const fn encode(self) -> u32 {
        let tag = match self.tag {
            Some(tag) => tag,
            None => Self::ANY,
        };
        tag << 1 | self.reference as u32
    }

    /// From a number.
    pub const fn decode(number: u32) -> Catch {
        let tag = match number >> 1 {
            Self::ANY => None,
            tag => Some(tag),
        };
        Catch { tag, reference: number & 1 == 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::Catch;

    #[test]
    fn catches_round_trip() {
        for tag in [None, Some(0), Some(1_000_000)] {
            for reference in [false, true] {
                let catch = Catch { tag, reference };
                assert_eq!(Catch::decode(catch.encode()), catch);
                assert_ne!(catch.encode(), u32::MAX, "the code generator keeps this number for itself");
            }
        }
    }
}
