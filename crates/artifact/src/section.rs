//! The parts of an artifact's file: their names and their order.
//!
//! The order is that of the file. What loading reads comes first and is covered by the head's digest; see
//! [`write`](mod@crate::write) for what is in each.

/// A part of the file.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Section {
    /// What the code assumes.
    Header,
    /// The module's interface.
    Info,
    /// Trampolines of each type.
    Trampolines,
    /// Machine code.
    Text,
    /// Bytes of all data segments.
    Data,
    /// Code of each defined function.
    Functions,
    /// Type of each function.
    FunctionTypes,
    /// Functions that a reference can name.
    Escaping,
    /// Items of element segments.
    Elements,
    /// Exports in order.
    Exports,
    /// Numbers of the exports in the order of their names.
    ExportsByName,
    /// Code offsets that may trap.
    TrapOffsets,
    /// Their trap codes.
    TrapCodes,
    /// Calls with handlers of exceptions.
    CallSites,
    /// Those handlers.
    Handlers,
    /// Calls across which frames keep references.
    StackMaps,
    /// Where in the frames those are.
    Roots,
    /// Code offset to place in the module.
    Addresses,
    /// Places in inlined functions.
    Inlined,
    /// Function names.
    Names,
    /// Text of all names.
    Strings,
    /// The module's DWARF.
    Debug,
}

impl Section {
    /// How many there are.
    pub const COUNT: usize = Section::ALL.len();

    /// In the order of the file.
    pub const ALL: [Section; 22] = [
        Section::Header,
        Section::Info,
        Section::Trampolines,
        Section::Text,
        Section::Data,
        Section::Functions,
        Section::FunctionTypes,
        Section::Escaping,
        Section::Elements,
        Section::Exports,
        Section::ExportsByName,
        Section::TrapOffsets,
        Section::TrapCodes,
        Section::CallSites,
        Section::Handlers,
        Section::StackMaps,
        Section::Roots,
        Section::Addresses,
        Section::Inlined,
        Section::Names,
        Section::Strings,
        Section::Debug,
    ];

    /// Its name in the ELF file.
    pub fn name(self) -> &'static str {
        match self {
            Section::Header => ".hotfoot.header",
            Section::Info => ".hotfoot.info",
            Section::Trampolines => ".hotfoot.tramps",
            Section::Text => ".text",
            Section::Data => ".hotfoot.data",
            Section::Functions => ".hotfoot.funcs",
            Section::FunctionTypes => ".hotfoot.ftypes",
            Section::Escaping => ".hotfoot.refs",
            Section::Elements => ".hotfoot.elems",
            Section::Exports => ".hotfoot.exports",
            Section::ExportsByName => ".hotfoot.byname",
            Section::TrapOffsets => ".hotfoot.traps",
            Section::TrapCodes => ".hotfoot.tcodes",
            Section::CallSites => ".hotfoot.calls",
            Section::Handlers => ".hotfoot.catches",
            Section::StackMaps => ".hotfoot.maps",
            Section::Roots => ".hotfoot.roots",
            Section::Addresses => ".hotfoot.addrs",
            Section::Inlined => ".hotfoot.inlined",
            Section::Names => ".hotfoot.names",
            Section::Strings => ".hotfoot.strings",
            Section::Debug => ".hotfoot.debug",
        }
    }

    /// Whether it is mapped for itself, and so begins on a page.
    pub(crate) fn is_mapped(self) -> bool {
        matches!(self, Section::Text | Section::Data)
    }
}
