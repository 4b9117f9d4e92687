//! Native debugging: what gdb and lldb need to show guests' functions and source lines, as an ELF file in memory that is
//! announced through the [GDB JIT interface].
//!
//! ```text
//!  .text          no bytes: where the module's code is
//!  .symtab        every function and trampoline
//!  .debug_info    one unit, and in it each function that debug information knows
//!  .debug_line    from addresses to the source lines of the guest's DWARF
//! ```
//!
//! [GDB JIT interface]: https://sourceware.org/gdb/current/onlinedocs/gdb.html/JIT-Interface.html

mod dwarf;
mod elf;

use crate::module::Module;
use crate::profiling::code;
use crate::vm::sys::gdb::Registered;

/// Announces a module's code to a debugger, until what is returned is dropped; nothing if the engine's configuration does
/// not ask for it.
pub fn announce(module: &Module) -> Option<Registered> {
    if !module.engine().config().native_debug_info || module.text().is_empty() {
        return None;
    }
    let pieces = code::pieces(module);
    let name = module.name().unwrap_or("wasm");
    let lines = pieces.iter().map(|piece| code::lines(module, piece));
    let dwarf = dwarf::describe(name, module.text(), pieces.iter().zip(lines));
    Some(Registered::new(elf::file(module.text(), &pieces, &dwarf)))
}
