//! What scripts call the traps.
//!
//! The specification does not name traps; its scripts give a message, which a runtime need not reproduce. This table
//! says which code each message means, so that the right trap is asked for and not just any.

use hotfoot::Trap;

/// The codes that a message of a script allows, or `None` when the message is unknown.
pub(super) fn codes(message: &str) -> Option<&'static [Trap]> {
    Some(match message {
        "unreachable" => &[Trap::UnreachableCodeReached],
        "integer divide by zero" => &[Trap::IntegerDivisionByZero],
        "integer overflow" => &[Trap::IntegerOverflow],
        "invalid conversion to integer" => &[Trap::BadConversionToInteger],
        "out of bounds memory access" => &[Trap::MemoryOutOfBounds],
        "out of bounds table access" | "undefined element" | "undefined" => &[Trap::TableOutOfBounds],
        // Early scripts of the bulk memory proposal do not say of what.
        "out of bounds" => &[Trap::MemoryOutOfBounds, Trap::TableOutOfBounds],
        "out of bounds array access" => &[Trap::ArrayOutOfBounds],
        "uninitialized" => &[Trap::IndirectCallToNull],
        "indirect call type mismatch" | "indirect call" => &[Trap::BadSignature],
        "call stack exhausted" => &[Trap::StackOverflow],
        "null reference"
        | "null function reference"
        | "null structure reference"
        | "null array reference"
        | "null i31 reference" => &[Trap::NullReference],
        "cast failure" => &[Trap::CastFailure],
        "unaligned atomic" => &[Trap::HeapMisaligned],
        "expected shared memory" => &[Trap::AtomicWaitNonSharedMemory],
        // Some scripts add which element it is.
        _ if message.starts_with("uninitialized element") => &[Trap::IndirectCallToNull],
        _ => return None,
    })
}

/// Whether an error is the trap that a script asks for.
pub(super) fn check(error: &hotfoot::Error, message: &str) -> Result<(), String> {
    let Some(codes) = codes(message) else {
        return Err(format!("no trap is known under the message `{message}`; add it to the table of messages"));
    };
    match error.downcast_ref::<Trap>() {
        Some(trap) if codes.contains(trap) => Ok(()),
        Some(trap) => Err(format!("trapped with {trap:?}, where `{message}` is expected")),
        None => Err(format!("failed without a trap, where `{message}` is expected: {error:#}")),
    }
}
