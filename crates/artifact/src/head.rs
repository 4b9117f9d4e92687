//! The head of an artifact: what it is, where its parts are, and whether its bytes are those that were written.
//!
//! ```text
//!  offset of the file      contents
//!  64   8 bytes            "hotfoot\0"
//!  72   u32, u32           version, number of sections
//!  80   u64                length of the file
//!  88   u64                length of the front: what loading reads, from the start of the file
//!  96   32 bytes           body digest: blake3 of everything behind the front
//!  128  32 bytes           front digest: blake3 of the front, without this and the next field
//!  160  32 bytes           signature: keyed blake3 of the front digest, or zeroes
//!  192  [u64, u64]         offset and length of each section
//! ```
//!
//! The front digest covers the body digest, so it stands for the whole file; the signature covers the front digest.
//! Checking the front costs microseconds and is always done; checking the body costs as long as reading the file.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::elf;
use crate::read::ReadError;
use crate::section::Section;

/// Begins the head of every artifact.
pub const MAGIC: &[u8; 8] = b"hotfoot\0";
/// Changes whenever an older runtime could misread a newer file or the reverse.
pub const VERSION: u32 = 6;

/// A secret that both who signs an artifact and who checks it have.
pub type Key = [u8; 32];

/// The fixed part of the head.
#[derive(Copy, Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Head {
    pub(crate) magic: [u8; 8],
    pub(crate) version: U32,
    pub(crate) sections: U32,
    pub(crate) file_len: U64,
    pub(crate) front_len: U64,
    pub(crate) body_digest: [u8; 32],
    pub(crate) front_digest: [u8; 32],
    pub(crate) signature: [u8; 32],
}

/// Where a section is in the file.
#[derive(Copy, Clone, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Place {
    pub(crate) offset: U64,
    pub(crate) len: U64,
}

/// First byte of the head.
pub(crate) const START: usize = elf::HEADER_LEN;
const DIGEST_START: usize = START + std::mem::offset_of!(Head, front_digest);
const SIGNATURE_START: usize = START + std::mem::offset_of!(Head, signature);
/// First byte of the directory.
pub(crate) const DIRECTORY_START: usize = START + size_of::<Head>();
/// First byte behind the directory.
pub(crate) const END: usize = DIRECTORY_START + Section::COUNT * size_of::<Place>();

impl Head {
    /// Reads the head and checks the front, which is then known to be what was written.
    pub(crate) fn read(file: &[u8]) -> Result<Head, ReadError> {
        let not_ours = |why: &str| ReadError::NotAnArtifact(why.to_owned());
        if !file.starts_with(elf::MAGIC) {
            return Err(not_ours("it is no ELF file"));
        }
        let head = file.get(START..).unwrap_or_default();
        let Some(rest) = head.strip_prefix(MAGIC) else {
            return Err(not_ours("it is an ELF file that hotfoot did not write"));
        };
        let damaged = |why: String| ReadError::Damaged(why);
        match U32::read_from_prefix(rest) {
            Ok((version, _)) if version.get() == VERSION => {}
            Ok((version, _)) => return Err(ReadError::Version { found: version.get() }),
            Err(_) => return Err(damaged("it ends inside its head".to_owned())),
        }
        let Ok((head, _)) = Head::read_from_prefix(head) else {
            return Err(damaged("it ends inside its head".to_owned()));
        };
        let (found, expected) = (file.len() as u64, head.file_len.get());
        if found != expected {
            return Err(damaged(format!("it has {found} bytes and had {expected} when it was written")));
        }
        let front = usize::try_from(head.front_len.get()).ok().and_then(|len| file.get(..len));
        match front {
            Some(front) if front.len() >= END && front_digest(front) == head.front_digest => Ok(head),
            _ => Err(damaged("the checksum of its head is wrong".to_owned())),
        }
    }

    /// Checks everything behind the front.
    pub(crate) fn check_body(&self, file: &[u8]) -> Result<(), ReadError> {
        let body = file.get(self.front_len.get() as usize..).unwrap_or_default();
        if *blake3::hash(body).as_bytes() == self.body_digest {
            return Ok(());
        }
        Err(ReadError::Damaged("the checksum of its code and tables is wrong".to_owned()))
    }

    /// Checks that someone with this key signed the front digest.
    pub(crate) fn check_signature(&self, key: &Key) -> Result<(), ReadError> {
        if self.signature == [0; 32] {
            return Err(ReadError::Signature("it is not signed"));
        }
        // This comparison takes the same time wherever the difference is.
        if blake3::keyed_hash(key, &self.front_digest) == self.signature {
            return Ok(());
        }
        Err(ReadError::Signature("it was signed with another key, or changed afterwards"))
    }
}

/// The digest of the front, without the fields that hold it and what signs it.
fn front_digest(front: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&front[..DIGEST_START]).update(&front[DIRECTORY_START..]);
    *hasher.finalize().as_bytes()
}

/// Fills in the head of a file that is complete but for it.
pub(crate) fn seal(file: &mut [u8], front_len: usize, directory: &[Place]) {
    file[DIRECTORY_START..END].copy_from_slice(directory.as_bytes());
    let mut head = Head {
        magic: *MAGIC,
        version: VERSION.into(),
        sections: (Section::COUNT as u32).into(),
        file_len: (file.len() as u64).into(),
        front_len: (front_len as u64).into(),
        body_digest: *blake3::hash(&file[front_len..]).as_bytes(),
        front_digest: [0; 32],
        signature: [0; 32],
    };
    file[START..DIRECTORY_START].copy_from_slice(head.as_bytes());
    head.front_digest = front_digest(&file[..front_len]);
    file[START..DIRECTORY_START].copy_from_slice(head.as_bytes());
}

/// Signs an artifact's bytes, so that [`Artifact::check_signature`](crate::Artifact::check_signature) with the same key
/// accepts them.
///
/// # Errors
/// When the bytes are no artifact, or their head is damaged.
pub fn sign(file: &mut [u8], key: &Key) -> Result<(), ReadError> {
    let head = Head::read(file)?;
    let signature = blake3::keyed_hash(key, &head.front_digest);
    file[SIGNATURE_START..DIRECTORY_START].copy_from_slice(signature.as_bytes());
    Ok(())
}

/// Whether bytes begin as an artifact's do, of this version or another.
pub fn is_artifact(start: &[u8]) -> bool {
    start.starts_with(elf::MAGIC) && start.get(START..).is_some_and(|head| head.starts_with(MAGIC))
}

/// How many bytes [`is_artifact`] looks at.
pub const RECOGNISABLE_LEN: usize = START + MAGIC.len();
