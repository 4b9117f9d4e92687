//! Debug information as the module carried it: its DWARF sections, to be read when someone asks for a source line.
//!
//! ```text
//!  code u32                                    offset of the code section's contents in the module
//!  then for each section: name_len u32, len u32, name, bytes
//! ```
//!
//! Addresses in a module's DWARF count from the start of the code section's contents.

/// The custom section that names the file with a module's debug information, if the module has none itself.
pub const EXTERNAL_DEBUG_INFO: &str = "external_debug_info";

/// A module's debug information, where it lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebugSections<'a> {
    /// Where the code section's contents begin in the module; DWARF counts from there.
    pub code_start: u32,
    /// Names, such as `.debug_info`, and bytes of the custom sections.
    pub sections: Vec<(&'a str, &'a [u8])>,
}

impl<'a> DebugSections<'a> {
    /// As the section of an artifact holds it; nothing if there is none.
    pub(crate) fn encode(&self) -> Vec<u8> {
        if self.sections.is_empty() {
            return Vec::new();
        }
        let len: usize = self.sections.iter().map(|(name, contents)| 8 + name.len() + contents.len()).sum();
        let mut bytes = Vec::with_capacity(4 + len);
        bytes.extend_from_slice(&self.code_start.to_le_bytes());
        for (name, contents) in &self.sections {
            bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&(contents.len() as u32).to_le_bytes());
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(contents);
        }
        bytes
    }

    /// Reads what [`DebugSections::encode`] wrote; `None` if there is none, or it is damaged.
    pub(crate) fn decode(mut bytes: &'a [u8]) -> Option<DebugSections<'a>> {
        let code_start = number(&mut bytes)?;
        let mut sections = Vec::new();
        while !bytes.is_empty() {
            let (name_len, len) = (number(&mut bytes)?, number(&mut bytes)?);
            let (name, rest) = bytes.split_at_checked(name_len as usize)?;
            let (contents, rest) = rest.split_at_checked(len as usize)?;
            sections.push((std::str::from_utf8(name).ok()?, contents));
            bytes = rest;
        }
        Some(DebugSections { code_start, sections })
    }
}

fn number(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::DebugSections;

    #[test]
    fn what_was_written_is_read_and_damage_is_not() {
        let sections = vec![(".debug_info", &[1, 2, 3][..]), (".debug_str", &[])];
        let info = DebugSections { code_start: 77, sections };
        let bytes = info.encode();
        assert_eq!(DebugSections::decode(&bytes), Some(info));
        assert_eq!(DebugSections::decode(&[]), None);
        let readable = (0..bytes.len()).filter(|len| DebugSections::decode(&bytes[..*len]).is_some());
        assert_eq!(readable.collect::<Vec<_>>(), [4, 4 + 8 + 11 + 3], "only between sections");
        let mut huge = bytes.clone();
        huge[4..12].fill(0xff);
        assert_eq!(DebugSections::decode(&huge), None);
    }
}
